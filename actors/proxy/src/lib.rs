//! Services on a node, in the nftables way: the shell around `trireme-proxy-core`.
//!
//! Role: [`Proxy`] follows Services and EndpointSlices, lets the compiler plan, and commits each plan as one atomic
//! batch of nf_tables; health checks of load balancers are answered beside it.
//!
//! Place in the supervision tree: `/node/<name>/proxy`, permanent. Nothing is lost with an incarnation: the kernel
//! goes on forwarding by the last rules, and the next incarnation replaces them in one batch.
//!
//! # Invariants
//! - Nothing is programmed before both kinds were listed once, so that a start never empties a table that works.
//! - One commit is in flight; what is told meanwhile goes into the next one together.
//! - A refused commit is followed by one that writes everything anew, with a growing pause between tries.
//!
//! # Layout in the kernel
//! Tables `ip trireme-services` and `ip6 trireme-services`. Verdict maps lead from (address, protocol, port) to one
//! chain for each pool; a pool's chain draws a number and looks the backend up in one map of all pools, so a changed
//! endpoint is a changed element. Session affinity lives in a map whose elements expire. See [`Kernel`].
//!
//! # Deliberately absent
//! IPVS and iptables modes; node ports on loopback addresses (as kube-proxy's nftables mode).

mod health;
mod kernel;
mod nodes;
mod proxy;
mod ruleset;
mod write;

pub use kernel::{Kernel, ServicesConfig};
pub use nodes::{PodRoutes, PodRoutesInput};
pub use proxy::{Proxy, ProxyConfig, ProxyInput};
