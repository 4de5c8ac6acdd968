//! What `create` makes without a file.

use std::path::PathBuf;
use std::time::Duration;

use clap::Subcommand;

use super::common::duration;
use super::generate::{
    ClusterRules, CreateService, CronJob, DisruptionBudget, Ingress, NamespacedSubjects, PriorityClass,
    Quota, Rules, Subjects,
};

#[derive(Debug, Subcommand)]
pub(crate) enum CreateKind {
    /// Create a namespace with the specified name
    #[command(alias = "ns")]
    Namespace { name: String },
    /// Create a deployment with the specified name
    #[command(alias = "deploy")]
    Deployment {
        name: String,
        /// Image names to run
        #[arg(long, required = true)]
        image: Vec<String>,
        /// Number of replicas to create
        #[arg(short, long, default_value_t = 1)]
        replicas: u32,
        /// The container port that this deployment exposes
        #[arg(long)]
        port: Option<u16>,
        /// Command of the container
        #[arg(last = true)]
        command: Vec<String>,
    },
    /// Create a config map from a local file, directory or literal value
    #[command(alias = "cm")]
    Configmap {
        name: String,
        /// key=value
        #[arg(long)]
        from_literal: Vec<String>,
        /// [key=]file
        #[arg(long)]
        from_file: Vec<String>,
    },
    /// Create a secret using a specified subcommand
    #[command(subcommand)]
    Secret(CreateSecret),
    /// Create a service account with the specified name
    #[command(alias = "sa")]
    Serviceaccount { name: String },
    /// Create a job with the specified name
    Job {
        name: String,
        /// Image name to run
        #[arg(long)]
        image: Option<String>,
        /// The resource to create a job from (only cronjob is supported)
        #[arg(long)]
        from: Option<String>,
        /// Command of the container
        #[arg(last = true)]
        command: Vec<String>,
    },
    /// Create a cron job with the specified name
    #[command(alias = "cj")]
    Cronjob(CronJob),
    /// Create a service using a specified subcommand
    #[command(alias = "svc", subcommand)]
    Service(CreateService),
    /// Create a role with single rule
    Role(Rules),
    /// Create a cluster role
    Clusterrole(ClusterRules),
    /// Create a role binding for a particular role or cluster role
    Rolebinding(NamespacedSubjects),
    /// Create a cluster role binding for a particular cluster role
    Clusterrolebinding(Subjects),
    /// Create a quota with the specified name
    #[command(alias = "resourcequota")]
    Quota(Quota),
    /// Create a pod disruption budget with the specified name
    #[command(alias = "pdb")]
    Poddisruptionbudget(DisruptionBudget),
    /// Create a priority class with the specified name
    #[command(alias = "pc")]
    Priorityclass(PriorityClass),
    /// Create an ingress with the specified name
    #[command(alias = "ing")]
    Ingress(Box<Ingress>),
    /// Request a service account token
    Token {
        name: String,
        /// Requested lifetime, such as 10m
        #[arg(long, value_parser = duration)]
        duration: Option<Duration>,
        /// Audience of the token
        #[arg(long)]
        audience: Vec<String>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum CreateSecret {
    /// Create a secret from a local file, directory, or literal value
    Generic {
        name: String,
        /// key=value
        #[arg(long)]
        from_literal: Vec<String>,
        /// [key=]file
        #[arg(long)]
        from_file: Vec<String>,
        /// The type of secret to create
        #[arg(long = "type")]
        of_type: Option<String>,
    },
    /// Create a TLS secret
    Tls {
        name: String,
        /// Path to PEM encoded public key certificate
        #[arg(long)]
        cert: PathBuf,
        /// Path to private key associated with given certificate
        #[arg(long)]
        key: PathBuf,
    },
    /// Create a secret for use with a container registry
    DockerRegistry {
        name: String,
        /// Server location for the registry
        #[arg(long, default_value = "https://index.docker.io/v1/")]
        docker_server: String,
        /// Username for registry authentication
        #[arg(long)]
        docker_username: String,
        /// Password for registry authentication
        #[arg(long)]
        docker_password: String,
        /// Email for the registry
        #[arg(long, default_value = "")]
        docker_email: String,
    },
}
