//! Services as a node's data plane sees them: Services and EndpointSlices in, the smallest change of rules out. Pure.
//!
//! Role: [`Compiler`] keeps what it was told and what it has planned ([`Rules`]); each call of
//! [`Compiler::compile`] gives the [`Delta`] between the two, touching only Services that changed. The shell that
//! carries deltas out, and knows how a kernel is told, is `trireme-proxy`.
//!
//! # Invariants
//! - `apply(before, diff(before, after)) == after`, and the compiler's own rules are the sum of its deltas.
//! - Numbers of pools, gates and walls are given once and never again.
//! - An endpoint keeps its place in a pool while others come and go, so that a change costs as many elements as
//!   endpoints changed.
//! - Of two Services that claim one address and port, the one first in the order of their names has it.
//!
//! # Source of behaviour
//! Endpoints are chosen as kube-proxy v1.35 does (`pkg/proxy/topology.go`): ready ones by hints, else serving and
//! terminating ones; traffic policies as in KEP-2086 and KEP-1669; trafficDistribution arrives as hints (KEP-4444,
//! KEP-3015).
//!
//! # Deliberately absent
//! Kernels, clocks, and anything a node must not decide: hints and readiness come from the controllers.

mod claims;
mod compile;
mod compiler;
mod delta;
mod health;
mod json;
mod rules;
mod select;
mod service;
mod slice;

pub use compiler::{Compiler, NodeView};
pub use delta::{Change, Delta, StaleUdp};
pub use health::HealthCheck;
pub use rules::{Backend, Family, Front, Gate, NodeFront, Pool, Protocol, Rules, Target, Wall};
pub use service::{Service, ServiceKey, ServicePort};
pub use slice::{Endpoint, Slice, SlicePort};
