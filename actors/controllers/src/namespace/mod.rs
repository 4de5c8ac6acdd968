//! Namespaces that are deleted: their content goes, then they do.
//!
//! Laws: a namespace keeps its finalizer until nothing is left in it. Pods go first, so that what they need (network
//! policies, secrets) is there while they run (KEP-5080).

mod controller;

pub use controller::NamespaceController;
