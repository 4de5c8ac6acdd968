//! Role-based access control over Roles, ClusterRoles and their bindings.
//!
//! [`Rbac`] decides; [`escalation`] keeps people from granting what they do not have; [`covers`] compares rules;
//! [`aggregate`] computes what an aggregated ClusterRole holds (its controller writes it).

mod aggregate;
mod authorizer;
mod covers;
mod escalation;
mod index;
mod rule;
mod subject;

pub use aggregate::aggregated_rules;
pub use authorizer::Rbac;
pub use covers::{compact, covers, describe};
pub use escalation::{Escalation, check_write};
pub use rule::PolicyRule;
pub use subject::Subject;
