//! Commands that make pods reachable, and that attach to them.

use clap::Args;

use super::common::{Files, Writing};

#[derive(Args, Debug)]
pub(crate) struct PortForward {
    /// TYPE/NAME [LOCAL_PORT:]REMOTE_PORT...
    pub(crate) words: Vec<String>,
    /// Addresses to listen on (comma separated); only IP addresses or localhost
    #[arg(long, default_value = "localhost", value_delimiter = ',')]
    pub(crate) address: Vec<String>,
}

#[derive(Args, Debug)]
pub(crate) struct Attach {
    /// POD, TYPE/NAME, or TYPE NAME
    pub(crate) words: Vec<String>,
    /// Container name
    #[arg(short, long)]
    pub(crate) container: Option<String>,
    /// Pass stdin to the container
    #[arg(short = 'i', long)]
    pub(crate) stdin: bool,
    /// Stdin is a TTY
    #[arg(short, long)]
    pub(crate) tty: bool,
    /// Only print output from the remote session
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

#[derive(Args, Debug, Default)]
pub(crate) struct Expose {
    /// TYPE NAME, TYPE/NAME
    #[arg(value_name = "TYPE[/NAME] [NAME]")]
    pub(crate) words: Vec<String>,
    #[command(flatten)]
    pub(crate) files: Files,
    /// The port that the service should serve on; copied from the resource being exposed, if unspecified
    #[arg(long)]
    pub(crate) port: Option<String>,
    /// The network protocol for the service to be created; the default is 'TCP'
    #[arg(long)]
    pub(crate) protocol: Option<String>,
    /// Name or number for the port on the container that the service should direct traffic to
    #[arg(long)]
    pub(crate) target_port: Option<String>,
    /// The name for the newly created object
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Additional external IP address (not managed by the cluster) to accept for the service
    #[arg(long)]
    pub(crate) external_ip: Option<String>,
    /// IP to assign to the load balancer
    #[arg(long)]
    pub(crate) load_balancer_ip: Option<String>,
    /// Type for this service: ClusterIP, NodePort, LoadBalancer, or ExternalName
    #[arg(long = "type")]
    pub(crate) of_type: Option<String>,
    /// A label selector to use for this service; only equality-based requirements
    #[arg(long)]
    pub(crate) selector: Option<String>,
    /// Labels to apply to the service created by this call
    #[arg(short, long)]
    pub(crate) labels: Option<String>,
    /// ClusterIP to be assigned to the service; 'None' makes a headless service
    #[arg(long)]
    pub(crate) cluster_ip: Option<String>,
    /// Session affinity for the service: 'None', 'ClientIP'
    #[arg(long)]
    pub(crate) session_affinity: Option<String>,
    #[command(flatten)]
    pub(crate) writing: Writing,
}
