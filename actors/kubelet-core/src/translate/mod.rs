//! A pod, as the runtime is asked for it: [`sandbox_config`], [`container_config`] and what they are made of.
//!
//! Pure: ConfigMaps, Secrets and Services are handed in by the shell, paths are resolved by it.

mod container;
mod dns;
mod env;
mod fields;
mod hosts;
mod sandbox;

use thiserror::Error;

pub use container::{ContainerInputs, container_config, effective_user, verify_non_root};
pub use dns::{HostResolver, dns, parse_resolv_conf};
pub use env::{EnvInputs, Environment, Sources, environment, expand, needed_sources};
pub use fields::{field, quoted_map, resource_field};
pub use hosts::hosts_file;
pub use sandbox::{Hostname, hostname, log_directory, sandbox_config};

/// What a node knows of itself for its pods.
#[derive(Clone, Debug, Default)]
pub struct NodeFacts {
    /// Name.
    pub node_name: String,
    /// The node's addresses, the primary one first.
    pub host_ips: Vec<String>,
    /// Addresses of the cluster's DNS.
    pub cluster_dns: Vec<String>,
    /// `cluster.local`.
    pub cluster_domain: String,
    /// The node's resolver.
    pub resolver: HostResolver,
    /// The node's /etc/hosts.
    pub hosts_file: String,
    /// Memory of the machine.
    pub memory_bytes: i64,
    /// CPU (thousandths), memory and ephemeral storage (bytes) for pods.
    pub allocatable: crate::resources::Amounts,
    /// Processes a pod may have.
    pub pids_limit: Option<i64>,
    /// Folder of pods' logs.
    pub logs_folder: String,
}

/// Why a container's or sandbox' configuration could not be made (`CreateContainerConfigError`). Trying again helps once
/// what it names has changed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct ConfigError(pub String);
