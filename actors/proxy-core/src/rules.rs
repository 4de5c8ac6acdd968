use core::net::IpAddr;
use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;

/// A transport protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// `TCP`.
    Tcp,
    /// `UDP`.
    Udp,
    /// `SCTP`.
    Sctp,
}

impl Protocol {
    /// By Kubernetes' name; empty is `TCP`.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "" | "TCP" => Some(Self::Tcp),
            "UDP" => Some(Self::Udp),
            "SCTP" => Some(Self::Sctp),
            _ => None,
        }
    }

    /// Its number in packets.
    pub fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
            Self::Sctp => 132,
        }
    }
}

/// A family of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// Of an address.
    pub fn of(address: IpAddr) -> Self {
        if address.is_ipv4() { Self::V4 } else { Self::V6 }
    }

    /// Both.
    pub const BOTH: [Self; 2] = [Self::V4, Self::V6];
}

/// Where packets for a Service arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Front {
    /// Address.
    pub address: IpAddr,
    /// Protocol.
    pub protocol: Protocol,
    /// Port.
    pub port: u16,
}

/// A port of every address of the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NodeFront {
    /// Family.
    pub family: Family,
    /// Protocol.
    pub protocol: Protocol,
    /// Port.
    pub port: u16,
}

/// Who answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Backend {
    /// Address.
    pub address: IpAddr,
    /// Port.
    pub port: u16,
}

/// Backends among which connections are spread evenly. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Family.
    pub family: Family,
    /// Protocol.
    pub protocol: Protocol,
    /// For how many seconds a client keeps its backend; `None`: not at all.
    pub affinity_s: Option<u32>,
    /// By place; places are numbered from 0 without gaps.
    pub backends: Vec<Backend>,
    /// For people who list rules: `namespace/name:port`.
    pub comment: String,
}

/// How packets from outside the cluster's own addresses are let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gate {
    /// Family.
    pub family: Family,
    /// `externalTrafficPolicy: Local`: clients keep their address and reach the node's own pods only, while pods and
    /// the node itself reach all. Else every packet gets the node's address.
    pub local_only: bool,
    /// Backends of the whole cluster.
    pub cluster: Option<u32>,
    /// Backends on this node.
    pub local: Option<u32>,
    /// For people who list rules.
    pub comment: String,
}

/// Who may come to a load balancer's address (`loadBalancerSourceRanges`); others are dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wall {
    /// Family.
    pub family: Family,
    /// Allowed sources of this family.
    pub allowed: Vec<IpNet>,
}

/// What becomes of packets at a front.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// To a backend of this pool.
    Pool(u32),
    /// Through this gate.
    Gate(u32),
    /// Refused: nobody answers at all.
    Reject,
    /// Dropped: somebody answers, but not on this node.
    Drop,
}

/// Everything the node's kernel shall know of Services.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// Pools by number.
    pub pools: BTreeMap<u32, Pool>,
    /// Gates by number.
    pub gates: BTreeMap<u32, Gate>,
    /// Walls by number.
    pub walls: BTreeMap<u32, Wall>,
    /// Addresses and ports.
    pub fronts: BTreeMap<Front, Target>,
    /// Node ports.
    pub node_fronts: BTreeMap<NodeFront, Target>,
    /// Which fronts have a wall.
    pub guarded: BTreeMap<Front, u32>,
    /// All cluster addresses: their other ports are refused.
    pub addresses: BTreeSet<IpAddr>,
    /// Pods of this node, which may reach themselves through a Service.
    pub selves: BTreeSet<IpAddr>,
}
