//! Links: one supervised actor per peer machine, `/<role>/<me>/bus/peer/<name>`, permanent.
//!
//! A link decides when to dial and which of several connections to its peer stays. It owns no session: those live
//! in the process's table, so a link that is killed changes nothing for requests in flight, and its next
//! incarnation goes on from what the table says.

mod actor;
mod claim;
mod core;

pub(crate) use actor::{link_name, link_spec};
pub use claim::{Claim, preferred};
pub use core::{LinkCore, LinkEffect, LinkInput, LinkLimits, LinkState};
