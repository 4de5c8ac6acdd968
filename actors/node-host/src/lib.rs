//! A node, put together: runtime, pod network, kubelet, proxy and DNS of one machine.
//!
//! **Place in the supervision tree.** [`NodeHost::plant`] adds the supervisor `/node/<name>` with `kubelet`, `proxy`,
//! `dns` and the pod network's routes below it.
//!
//! The rooms know each other only by the traits of `trireme-node` and of the kubelet; here they are given to each other.
//! The API is reached over HTTPS as `system:node:<name>` ([`HttpsApi`]), on servers and agents alike. Servers reach a node
//! by streams over the bus session that the node made ([`BusNodes`], [`NodeDoor`]): no port is open on a node.
//!
//! **Deliberately absent.** Rules of any room.

mod bus_nodes;
mod dialer;
mod door;
mod host;
mod https_api;

pub use bus_nodes::BusNodes;
pub use dialer::LocalNode;
pub use door::{DIAL, NodeDoor};
pub use host::{NodeHost, NodeHostError, NodeParts};
pub use https_api::HttpsApi;
