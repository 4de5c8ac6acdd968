//! The command line.

mod changes;
mod common;
mod create;
mod generate;
mod network;
mod operations;
mod reads;
mod set;
mod streams;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

pub(crate) use self::changes::{Apply, Create, Delete, Edit, FromFiles, Marks, Patch, Scale, Taint};
pub(crate) use self::common::{BadFlag, BadValue, DryRun, Files, Printing};
pub(crate) use self::create::{CreateKind, CreateSecret};
pub(crate) use self::generate::{
    Autoscale, ClusterRules, CreateService, CronJob, DisruptionBudget, Ingress, NamespacedSubjects,
    PriorityClass, Quota, Rules, Subjects,
};
pub(crate) use self::network::{Attach, Expose, PortForward};
pub(crate) use self::operations::{
    ApiResources, Auth, Certificate, ConfigCommand, Drain, Node, Rollout, RolloutObjects, Top, TopWanted,
    Version, Wait,
};
pub(crate) use self::reads::{Describe, Explain, Get};
pub(crate) use self::set::{Set, SetEnv, SetObjects};
pub(crate) use self::streams::{Exec, Logs, Run};

/// Controls the cluster. Commands, flags and output are those of upstream's kubectl.
#[derive(Debug, Parser)]
#[command(name = "kubectl", disable_version_flag = true, max_term_width = 100)]
pub(crate) struct Kubectl {
    #[command(flatten)]
    pub(crate) connection: Connection,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// How the cluster is reached.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Connection (any command)")]
pub(crate) struct Connection {
    /// Path to the kubeconfig file
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// The kubeconfig context to use
    #[arg(long, global = true)]
    pub(crate) context: Option<String>,
    /// The kubeconfig cluster to use
    #[arg(long, global = true)]
    pub(crate) cluster: Option<String>,
    /// The kubeconfig user to use; where a command binds users, the users
    #[arg(long, global = true)]
    pub(crate) user: Vec<String>,
    /// The namespace scope of this request
    #[arg(short, long, global = true)]
    pub(crate) namespace: Option<String>,
    /// The address and port of the API server
    #[arg(short, long, global = true)]
    pub(crate) server: Option<String>,
    /// Bearer token for authentication to the API server
    #[arg(long, global = true)]
    pub(crate) token: Option<String>,
    /// Path to a cert file for the certificate authority
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) certificate_authority: Option<PathBuf>,
    /// Path to a client certificate file for TLS
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) client_certificate: Option<PathBuf>,
    /// Path to a client key file for TLS
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) client_key: Option<PathBuf>,
    /// Server name to use for server certificate validation
    #[arg(long, global = true)]
    pub(crate) tls_server_name: Option<String>,
    /// If true, the server's certificate will not be checked for validity
    #[arg(long, global = true)]
    pub(crate) insecure_skip_tls_verify: bool,
    /// Username to impersonate for the operation
    #[arg(long = "as", global = true)]
    pub(crate) as_user: Option<String>,
    /// UID to impersonate for the operation
    #[arg(long, global = true)]
    pub(crate) as_uid: Option<String>,
    /// Group to impersonate for the operation; may be repeated
    #[arg(long, global = true)]
    pub(crate) as_group: Vec<String>,
    /// The length of time to wait before giving up on a single server request; 0 means no limit
    #[arg(long, global = true, value_parser = request_timeout)]
    pub(crate) request_timeout: Option<Duration>,
}

/// Bare numbers are seconds here, as upstream.
fn request_timeout(text: &str) -> Result<Duration, BadFlag> {
    text.parse().map(Duration::from_secs).or_else(|_| common::duration(text))
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Create a resource from a file or from stdin
    Create(Create),
    /// Take a replication controller, service, deployment or pod and expose it as a new service
    Expose(Box<Expose>),
    /// Set specific features on objects
    #[command(subcommand)]
    Set(Set),
    /// Run a particular image on the cluster
    Run(Box<Run>),
    /// Get documentation for a resource
    Explain(Explain),
    /// Display one or many resources
    Get(Get),
    /// Edit a resource on the server
    Edit(Edit),
    /// Delete resources by file names, stdin, resources and names, or by resources and label selector
    Delete(Delete),
    /// Manage the rollout of a resource
    #[command(subcommand)]
    Rollout(Rollout),
    /// Set a new size for a deployment, replica set, or replication controller
    Scale(Scale),
    /// Creates an autoscaler that automatically chooses and sets the number of pods
    Autoscale(Autoscale),
    /// Modify certificate resources
    #[command(subcommand)]
    Certificate(Certificate),
    /// Display addresses of the control plane and services
    #[command(name = "cluster-info")]
    ClusterInfo,
    /// Modify kubeconfig files
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Display resource (CPU/memory) usage
    #[command(subcommand)]
    Top(Top),
    /// Mark node as unschedulable
    Cordon(Node),
    /// Mark node as schedulable
    Uncordon(Node),
    /// Drain node in preparation for maintenance
    Drain(Drain),
    /// Update the taints on one or more nodes
    Taint(Taint),
    /// Show details of a specific resource or group of resources
    Describe(Describe),
    /// Print the logs for a container in a pod
    Logs(Logs),
    /// Execute a command in a container
    Exec(Exec),
    /// Attach to a running container
    Attach(Attach),
    /// Forward one or more local ports to a pod
    #[command(name = "port-forward")]
    PortForward(PortForward),
    /// Inspect authorization
    #[command(subcommand)]
    Auth(Auth),
    /// Apply a configuration to a resource by file name or stdin
    Apply(Apply),
    /// Update fields of a resource
    Patch(Patch),
    /// Replace a resource by file name or stdin
    Replace(FromFiles),
    /// Wait for a specific condition on one or many resources
    Wait(Wait),
    /// Update the labels on a resource
    Label(Marks),
    /// Update the annotations on a resource
    Annotate(Marks),
    /// Print the supported API resources on the server
    #[command(name = "api-resources")]
    ApiResources(ApiResources),
    /// Print the supported API versions on the server
    #[command(name = "api-versions")]
    ApiVersions,
    /// Print the list of flags inherited by all commands
    Options,
    /// Print the client and server version information
    Version(Version),
}
