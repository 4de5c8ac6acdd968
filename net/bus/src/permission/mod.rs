//! Who may send what: a table of rules over identity, path, call and class. Pure.
//!
//! Laws: what no rule allows is denied; a rule that denies wins over any that allows, so the order of rules does
//! not matter; a path pattern matches whole segments, so `/node/n1` never covers `/node/n10`.
//!
//! Deliberate absence: no look into bodies. Finer questions (may this node read that secret?) belong to the one
//! front door of the API, not to the bus.

mod pattern;
mod rule;
mod table;

pub use pattern::{CallPattern, PathPattern};
pub use rule::{Rule, Verdict, Who};
pub use table::{Denied, PermissionTable, RULE_LIMIT, SUBSCRIBE_CALL};

#[cfg(test)]
#[path = "permission_test.rs"]
mod permission_test;
