//! The flags of the API server.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use trireme_apiserver::ServerConfig;

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

impl Component {
    /// What a server runs by itself.
    pub(crate) const SERVER: [Self; 3] = [Self::Api, Self::Controllers, Self::Scheduler];
    /// What a whole cluster in one process runs.
    pub(crate) const ALL: [Self; 4] = [Self::Api, Self::Controllers, Self::Scheduler, Self::Node];
}

/// What runs pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Runtime {
    /// The built-in one: real containers. Needs root.
    Builtin,
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
    /// What to run, comma-separated: `up` runs all of it, a server api,controllers,scheduler. All but none need the API beside
    /// them.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "NAMES")]
    pub(crate) components: Vec<Component>,

    /// What runs pods. `hollow` registers nodes whose pods only pretend to run.
    #[arg(long, value_enum, default_value_t = Runtime::Builtin, value_name = "NAME")]
    pub(crate) runtime: Runtime,

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

    /// Short reads answered at the same time; with --max-mutating-requests-inflight the seats of priority and fairness.
    #[arg(long, default_value_t = ServerConfig::MAX_REQUESTS, value_name = "N")]
    pub(crate) max_requests_inflight: u32,

    /// Writes carried out at the same time.
    #[arg(long, default_value_t = ServerConfig::MAX_MUTATING, value_name = "N")]
    pub(crate) max_mutating_requests_inflight: u32,

    /// How long a request may take that is no watch and no connection to a node, as `1m`.
    #[arg(long, default_value = "1m", value_parser = crate::durations::request_duration, value_name = "DURATION")]
    pub(crate) request_timeout: Duration,

    /// The scheduler's configuration: a KubeSchedulerConfiguration (kubescheduler.config.k8s.io/v1), as YAML or JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) scheduler_config: Option<PathBuf>,

    /// Features to switch on or off, as A=true,B=false; unknown names are refused.
    #[arg(long, default_value = "", value_name = "GATES")]
    pub(crate) feature_gates: String,

    /// Write the administrator's kubeconfig here.
    #[arg(long, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,
}

impl ApiArgs {
    /// The same, with these components where none were named.
    pub(crate) fn or_components(&self, default: &[Component]) -> Self {
        let mut args = self.clone();
        if args.components.is_empty() {
            default.clone_into(&mut args.components);
        }
        args
    }

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
