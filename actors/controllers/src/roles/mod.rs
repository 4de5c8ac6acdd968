//! ClusterRoles that are made of others.
//!
//! Source: upstream's clusterroleaggregation controller.

mod controller;

pub use controller::RoleAggregator;
