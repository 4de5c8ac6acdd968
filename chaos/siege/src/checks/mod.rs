//! From a history to a table of verdicts. Pure.
//!
//! Two checks beside the laws hold the log against what clients were told: an acknowledged write is in the log where
//! it was said to be, and no write is there twice, or at all when it was refused.

mod ledger;
mod table;

pub use table::{Check, Row, Standing, Table};
