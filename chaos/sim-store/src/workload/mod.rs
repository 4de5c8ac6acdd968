//! What clients do during a run. Each room has its own keys.
//!
//! | room | keys | what it records |
//! |---|---|---|
//! | [`registers`] | `r/<n>` | reads, writes, guarded writes, deletes |
//! | [`lists`] | `l/<n>` | appends and reads, some of two lists as one |
//! | [`sets`] | `s/<element>` | adds, reads of the whole set |
//! | [`fenced`] | `f/<member>` | writes under a term, also long after it is over |
//! | [`leases`] | `e/<n>` | keys that go with their lease |
//! | [`watchers`] | all of the above | what watchers see, across resumptions and members |

mod client;
pub(crate) mod fenced;
pub(crate) mod leases;
pub(crate) mod lists;
mod outcome;
pub(crate) mod registers;
pub(crate) mod sets;
pub(crate) mod value;
pub(crate) mod watchers;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

pub(crate) use client::Client;

/// Tells clients when to stop.
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
