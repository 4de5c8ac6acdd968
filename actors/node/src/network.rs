//! [`PodNetwork`]: gives a sandbox its addresses.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::error::RuntimeError;
use crate::runtime::Answer;

/// A port of the node that leads to a pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostPort {
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: String,
    /// Port of the node.
    pub host_port: u16,
    /// Address of the node; `None` means all.
    pub host_ip: Option<IpAddr>,
    /// Port of the pod.
    pub container_port: u16,
}

/// Asks for a place in the pod network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkRequest {
    /// The sandbox' id; attaching twice gives the same answer.
    pub sandbox: String,
    /// Pod namespace and name, for messages.
    pub pod: (String, String),
    /// Path of the network namespace, such as `/run/netns/x` or `/proc/<pid>/ns/net`.
    pub netns: String,
    /// Ports to publish.
    pub host_ports: Vec<HostPort>,
    /// Bits per second into the pod (`kubernetes.io/ingress-bandwidth`).
    pub ingress_bandwidth: Option<u64>,
    /// Bits per second out of the pod.
    pub egress_bandwidth: Option<u64>,
}

/// A pod's addresses, one per family, the primary family first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodAddresses {
    /// Addresses.
    pub addresses: Vec<IpAddr>,
}

/// A pod network on this node.
pub trait PodNetwork: Send + Sync {
    /// Puts `eth0` with addresses and routes into the namespace (loopback is up as well).
    fn attach(&self, request: NetworkRequest) -> Answer<'_, Result<PodAddresses, RuntimeError>>;

    /// Takes it away and frees the addresses; a sandbox that was never attached is no error. `netns` may be gone.
    fn detach(&self, request: NetworkRequest) -> Answer<'_, Result<(), RuntimeError>>;

    /// Forgets all sandboxes but these, which live on after a restart.
    fn keep_only(&self, sandboxes: Vec<String>) -> Answer<'_, Result<(), RuntimeError>>;

    /// `None` when it works, else why pods cannot be given addresses (`NetworkReady` of the node's condition).
    fn not_ready(&self) -> Option<String>;
}
