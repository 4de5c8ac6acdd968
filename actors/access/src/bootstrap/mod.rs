//! What the server makes at its start, so that a fresh cluster can be used: namespaces, default roles and bindings,
//! priority classes, flow control, entries of its own API groups; and how it heals them ([`reconcile`]).
//!
//! `data/rbac.json` and `data/other.json` are what a stock 1.28 server shows; `data/rbac-newer.json` is what v1.35 has in
//! addition with its default feature gates.

mod objects;
mod reconcile;
mod reconcile_flow;
mod reconcile_rbac;

pub use objects::{Initial, initial_objects, node_rules};
pub use reconcile::{Step, reconcile};
