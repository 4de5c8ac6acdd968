//! What clients do during a siege. Each room is one workload with its own keys.
//!
//! | room | keys | what it records |
//! |---|---|---|
//! | [`registers`] | `r/<epoch>/<n>` | reads, writes, guarded writes, deletes |
//! | [`lists`] | `l/<epoch>/<n>` | appends and reads, some of two lists as one |
//! | [`sets`] | `s/<epoch>/<element>` | adds, reads of the whole set |
//! | [`fenced`] | `f/<writer>` | writes under a term, also long after it is over |
//! | [`watchers`] | all of the above | what watchers see, across resumptions |
//! | [`hashes`] | - | state hashes of all members |
//!
//! Keys change with the epoch, so that operations of unknown outcome burden the checkers for a while only.

mod client;
pub(crate) mod fenced;
pub(crate) mod hashes;
pub(crate) mod lists;
pub(crate) mod registers;
pub(crate) mod sets;
pub(crate) mod value;
pub(crate) mod watchers;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

pub(crate) use client::{CALL_DEADLINE, Client};

/// How long one set of keys is used.
const EPOCH: Duration = Duration::from_secs(5);

/// Tells every client when to stop.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bell(Arc<AtomicBool>);

impl Bell {
    /// Rings once; clients end after the operation that they are in.
    pub(crate) fn ring(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    pub(crate) fn rang(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// The set of keys that is used at this moment.
pub(crate) fn epoch(now_ns: u64) -> u64 {
    now_ns / u64::try_from(EPOCH.as_nanos()).expect("seconds fit")
}
