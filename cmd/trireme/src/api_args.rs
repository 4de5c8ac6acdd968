//! The flags of the API server.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::cli::DataDirArg;

/// A part of the cluster that a machine runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Component {
    /// The Kubernetes API.
    Api,
    /// The controllers.
    Controllers,
    /// The scheduler.
    Scheduler,
    /// Running pods.
    Node,
    /// Nothing: machines and their replicated store alone.
    None,
}

/// What runs pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Runtime {
    /// Nothing: pods only pretend to run.
    Hollow,
}

impl std::fmt::Display for Component {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Api => "api",
            Self::Controllers => "controllers",
            Self::Scheduler => "scheduler",
            Self::Node => "node",
            Self::None => "none",
        })
    }
}

/// The API server.
#[derive(Args, Clone, Debug)]
pub(crate) struct ApiArgs {
    /// What to run, comma-separated; what is not built yet is refused by name. Controllers and scheduler need the API beside them.
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "api,controllers,scheduler",
        value_name = "NAMES"
    )]
    pub(crate) components: Vec<Component>,

    /// What runs pods; without it nothing does. `hollow` registers nodes whose pods only pretend to run.
    #[arg(long, value_enum, value_name = "NAME")]
    pub(crate) runtime: Option<Runtime>,

    /// How many nodes `--runtime hollow` stands for.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=16_384), value_name = "N")]
    pub(crate) hollow_nodes: u32,

    /// Users with static tokens, as CSV: token,name,uid,"group1,group2".
    #[arg(long, value_name = "FILE")]
    pub(crate) token_auth_file: Option<PathBuf>,

    /// The range that the addresses of Services come from.
    #[arg(long, default_value = "10.96.0.0/12", value_name = "CIDR")]
    pub(crate) service_cidr: String,

    /// Who decides what is allowed: Node, RBAC, AlwaysAllow, AlwaysDeny; the first opinion counts.
    #[arg(long, default_value = "Node,RBAC", value_name = "MODES")]
    pub(crate) authorization_mode: String,

    /// The scheduler's configuration: a KubeSchedulerConfiguration (kubescheduler.config.k8s.io/v1), as YAML or JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) scheduler_config: Option<PathBuf>,

    /// Write the administrator's kubeconfig here.
    #[arg(long, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,
}

impl ApiArgs {
    /// Whether a component is to run.
    pub(crate) fn runs(&self, component: Component) -> bool {
        self.components.contains(&component)
    }
}

#[derive(Args, Clone, Debug)]
pub(crate) struct KubeconfigArgs {
    #[command(flatten)]
    pub(crate) data: DataDirArg,

    /// The server's address to write, when clients reach it under another one.
    #[arg(long, value_name = "ADDR:PORT")]
    pub(crate) server: Option<SocketAddr>,
}
