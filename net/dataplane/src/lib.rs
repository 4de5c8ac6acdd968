//! The data plane of a node: what the kernel is told about pods and Services, over netlink, without helper programs.
//!
//! Role: [`BridgeNetwork`] is the built-in pod network (`trireme_node::PodNetwork`): a bridge, a veth pair and
//! addresses for each pod, ports of the node that lead to pods, routes or a VXLAN tunnel to the pods of other nodes.
//! [`nft`] and [`Conntrack`] are the tools with which the proxy programs Services; [`rt`] those for links and routes.
//!
//! Place in the supervision tree: none. Calls are synchronous system calls under one lock; the asynchronous trait
//! hands them to the I/O runtime's blocking threads.
//!
//! # Invariants
//! - Everything can be repeated: after a crash at any point the same call ends in the same state.
//! - The kernel's own tables are the truth about links, routes and rules; the only thing on disk is which sandbox has
//!   which addresses and ports, written before the kernel is told.
//! - Rules change in one atomic batch. A refusal names the object and carries the kernel's own words.
//! - A thread that enters another network namespace does nothing else and ends.
//!
//! # Deliberately absent
//! - Kubernetes objects: callers say what they want in addresses and ports.
//! - `bridge-nf-call-iptables`: pods own single addresses (/32, /128) and reach each other through the node's routing,
//!   never bridge to bridge, so replies of Services pass the connection tracking by themselves. The parameter may have
//!   either value; it is left as it is, because other bridges of the machine have a say.
//! - Network policies, IPVS and iptables: they join with the rooms that need them.

mod bridge;
mod conntrack;
mod error;
mod ipam;
mod netlink;
mod netns;
pub mod nft;
pub mod rt;

pub use bridge::{BridgeConfig, BridgeNetwork, Peer, Tunnel};
pub use conntrack::{Conntrack, Flow};
pub use error::NetError;
pub use netns::Netns;
