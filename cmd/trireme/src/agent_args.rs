//! The flags of `trireme agent`.

use std::net::SocketAddr;

use clap::{Args, ValueEnum};

use crate::cli::MachineArgs;
use crate::node::NodeArgs;

/// An agent.
#[derive(Args, Clone, Debug)]
pub(crate) struct AgentArgs {
    #[command(flatten)]
    pub(crate) machine: MachineArgs,

    #[command(flatten)]
    pub(crate) node: NodeArgs,

    /// What to run: `node` runs pods and needs root, `none` joins without.
    #[arg(long, value_enum, default_value_t = AgentComponent::Node, value_name = "NAME")]
    pub(crate) components: AgentComponent,

    /// The range that the addresses of Services come from, as the servers have it.
    #[arg(long, default_value = "10.96.0.0/12", value_name = "CIDR")]
    pub(crate) service_cidr: String,

    /// The server to join through; needed on the first start only.
    #[arg(long, value_name = "ADDR:PORT", requires = "token")]
    pub(crate) join: Option<SocketAddr>,

    /// The join token, as `trireme token create --role agent` prints it (also from TRIREME_TOKEN).
    #[arg(long, env = "TRIREME_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    pub(crate) token: Option<String>,
}

/// What an agent runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum AgentComponent {
    /// Pods, with the built-in runtime.
    Node,
    /// The machine alone.
    None,
}
