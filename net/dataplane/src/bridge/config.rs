use std::net::IpAddr;
use std::path::PathBuf;

use ipnet::IpNet;

use crate::Netns;

/// How packets get to pods of other nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tunnel {
    /// By a route to nodes on the same network segment, through VXLAN to others.
    #[default]
    Auto,
    /// Always through VXLAN.
    Always,
    /// Always by a route; nodes behind a router are refused by name.
    Never,
}

/// What the built-in pod network is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BridgeConfig {
    /// The node's network namespace.
    pub netns: Netns,
    /// Name of the bridge, at most 15 bytes.
    pub bridge: String,
    /// Name of the tunnel, at most 15 bytes.
    pub tunnel_link: String,
    /// The node's ranges (`spec.podCIDRs`), the primary family first, at most one of each family. Empty: pods cannot
    /// start until [`crate::BridgeNetwork::assign`].
    pub pod_cidrs: Vec<IpNet>,
    /// The ranges of all pods of the cluster: packets between them keep their addresses.
    pub cluster_cidrs: Vec<IpNet>,
    /// The ranges of Services: packets of the node itself to them leave by the bridge, with the bridge's address.
    pub service_cidrs: Vec<IpNet>,
    /// Further networks that pods reach with their own addresses.
    pub no_masquerade: Vec<IpNet>,
    /// File that remembers which sandbox has which addresses.
    pub ledger: PathBuf,
    /// Largest packet of pods, bytes; `None`: that of the link to the default gateway, less the tunnel's head.
    pub mtu: Option<u32>,
    /// The node's own addresses; the tunnel leaves from the first of a peer's family.
    pub node_addresses: Vec<IpAddr>,
    /// When to tunnel.
    pub tunnel: Tunnel,
    /// VXLAN network identifier.
    pub vxlan_id: u32,
    /// UDP port of the tunnel.
    pub vxlan_port: u16,
}

impl BridgeConfig {
    /// Defaults for a node with these ranges; the ledger at `ledger`.
    pub fn new(ledger: impl Into<PathBuf>, pod_cidrs: Vec<IpNet>) -> Self {
        Self {
            netns: Netns::Current,
            bridge: "trireme0".to_owned(),
            tunnel_link: "trireme-vxlan".to_owned(),
            pod_cidrs,
            cluster_cidrs: Vec::new(),
            service_cidrs: Vec::new(),
            no_masquerade: Vec::new(),
            ledger: ledger.into(),
            mtu: None,
            node_addresses: Vec::new(),
            tunnel: Tunnel::Auto,
            vxlan_id: 1,
            vxlan_port: 8472,
        }
    }
}

/// Another node of the cluster.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Peer {
    /// Its name, for messages.
    pub name: String,
    /// Its ranges (`spec.podCIDRs`).
    pub pod_cidrs: Vec<IpNet>,
    /// Its addresses (`InternalIP`).
    pub addresses: Vec<IpAddr>,
}
