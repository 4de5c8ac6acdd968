//! The six watch guarantees, each a check of its own over what watchers saw and the log as the truth.
//!
//! | guarantee | in words |
//! |---|---|
//! | [`ordered`] | revisions on a stream only go up |
//! | [`unique`] | no event comes twice on a stream |
//! | [`atomic`] | the events of one transaction come in one delivery |
//! | [`reliable`] | nothing between two seen revisions is missing, and nothing is invented or altered |
//! | [`resumable`] | a stream continued from the last seen revision misses and repeats nothing |
//! | [`bookmarkable`] | when a bookmark says `r`, everything up to `r` was delivered, and nothing up to `r` follows |
//!
//! The guarantees are those that etcd documents for its watch API, with the difference that here every object
//! write has its own revision, so that a transaction covers several.
//!
//! The log handed to a check must be complete from the lowest revision that any watcher starts after; it is taken
//! from a member once the run is over. The records of one stream stand in the order in which the watcher saw them.

pub mod atomic;
pub mod bookmarkable;
pub mod ordered;
pub mod reliable;
pub mod resumable;
pub mod unique;

mod record;
mod stream;

pub use record::{Change, LoggedWrite, Start, WatchEvent, WatchRecord};

use crate::{Law, Verdict};
use stream::Stream;

/// Runs one check over every stream, in the order in which streams were opened.
fn each_stream(
    records: &[WatchRecord],
    log: &[LoggedWrite],
    law: Law,
    check: impl Fn(&Stream<'_>) -> Option<Verdict>,
) -> Verdict {
    match stream::streams(records, log) {
        Ok(streams) => streams.iter().find_map(check).unwrap_or(Verdict::Ok),
        Err(reason) => Verdict::Undecided { law, reason },
    }
}

#[cfg(test)]
mod watch_test;
