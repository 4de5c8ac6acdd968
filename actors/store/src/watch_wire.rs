//! What travels in a watch: subscribe at `/server/<name>/store` with an encoded [`WatchTopic`], receive encoded
//! [`WatchMessage`]s (kernel codec both ways).

use serde::{Deserialize, Serialize};
use thiserror::Error;
use trireme_mvcc::{Key, KeyRange, Revision};

use crate::calls::Item;

/// What a watcher asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchTopic {
    /// Which keys.
    pub filter: WatchFilter,
    /// Changes after this revision: that of the list it continues, or of the last `through` or bookmark received.
    pub after: Revision,
    /// Give the replaced version with every put (deletes always carry the deleted one).
    pub previous: bool,
    /// Send a bookmark at this interval when there is one to give, in milliseconds; zero for none.
    pub bookmark_ms: u64,
}

/// Which keys concern a watcher.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum WatchFilter {
    /// One key.
    Key(Key),
    /// Keys that begin with these bytes.
    Prefix(Key),
    /// Keys of a range.
    Range(KeyRange),
}

/// One pushed event of the subscription.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum WatchMessage {
    /// Changes in revision order.
    Events {
        /// The changes.
        events: Vec<WatchEvent>,
        /// Everything that matches up to here was delivered; the place to continue from. `None` while parts of the
        /// same transaction are to follow.
        through: Option<Revision>,
    },
    /// The previous version of the last event, which was too large to travel with it.
    Previous(Item),
    /// Everything that matches up to here was delivered.
    Bookmark(Revision),
    /// The watch cannot go on. The last message.
    End(WatchEnd),
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchEvent {
    /// Its own revision.
    pub revision: Revision,
    /// Revision of the last write of its transaction.
    pub transaction_end: Revision,
    /// The version written; `None` for a delete.
    pub item: Option<Item>,
    /// The version replaced or deleted.
    pub previous: Option<Item>,
    /// The version replaced or deleted follows as [`WatchMessage::Previous`].
    pub previous_follows: bool,
}

/// Why a watch cannot go on.
#[derive(Clone, Debug, PartialEq, Eq, Error, Serialize, Deserialize)]
pub enum WatchEnd {
    /// Events that were not delivered yet are forgotten: list again and watch from there.
    #[error(
        "revision {position} is too old: history begins after {compacted}; list again and watch from there"
    )]
    Compacted {
        /// Where the watch stood.
        position: Revision,
        /// The last forgotten revision.
        compacted: Revision,
    },
    /// The member has not applied as far as the watch wants to continue from: retry, or ask another member.
    #[error("revision {position} is ahead of this member at {current}; retry, or ask another member")]
    Future {
        /// Where the watch stood.
        position: Revision,
        /// The member's revision.
        current: Revision,
    },
    /// The member serves as many watches as it can: ask another one.
    #[error("this member serves as many watches as it can; ask another member or retry later")]
    TooMany,
}
