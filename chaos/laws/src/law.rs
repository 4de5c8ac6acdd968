//! The names of the laws.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A law that a history is checked against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Law {
    /// Reads, writes and guarded writes of one key behave as one register.
    RegisterLinearizable,
    /// Appends and list reads behave as if transactions ran one after another, in real-time order.
    ListAppend,
    /// Acknowledged elements stay, nothing appears from nowhere.
    Set,
    /// Revisions are unique and increase with real time.
    Revisions,
    /// Watch events come in increasing revision order.
    WatchOrdered,
    /// No watch event comes twice on one stream.
    WatchUnique,
    /// The events of one transaction come in one delivery.
    WatchAtomic,
    /// No event between two delivered ones is missing, and none is invented.
    WatchReliable,
    /// A watch continued from the last seen revision misses and repeats nothing.
    WatchResumable,
    /// A bookmark promises that everything up to its revision was delivered.
    WatchBookmarkable,
    /// No write of an old term takes effect after a newer term wrote.
    Fencing,
    /// Members with the same applied index have the same state.
    StateHash,
    /// After healing, all members reach the same state.
    Convergence,
}

impl fmt::Display for Law {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Law::RegisterLinearizable => "register linearizability",
            Law::ListAppend => "list append",
            Law::Set => "set",
            Law::Revisions => "revision order",
            Law::WatchOrdered => "watch: ordered",
            Law::WatchUnique => "watch: unique",
            Law::WatchAtomic => "watch: atomic",
            Law::WatchReliable => "watch: reliable",
            Law::WatchResumable => "watch: resumable",
            Law::WatchBookmarkable => "watch: bookmarkable",
            Law::Fencing => "term fencing",
            Law::StateHash => "equal state hashes",
            Law::Convergence => "convergence",
        })
    }
}
