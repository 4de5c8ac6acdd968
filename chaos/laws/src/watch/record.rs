//! What a watcher records, and the log.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One write as it stands in the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoggedWrite {
    /// Its own revision.
    pub revision: u64,
    /// The transaction it belongs to; its writes have consecutive revisions.
    pub transaction: u64,
    /// What was written.
    pub key: String,
    /// What it became.
    pub change: Change,
}

/// What a write did to its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// It holds this value (or the value with this hash).
    Put(u64),
    /// It is gone.
    Delete,
}

/// An event as a watcher got it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchEvent {
    /// The revision of the write.
    pub revision: u64,
    /// What was written.
    pub key: String,
    /// What it became.
    pub change: Change,
}

/// From where a stream starts. Revisions are exclusive: the first event has a higher one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Start {
    /// A watcher's first stream, or one after a new list.
    Fresh {
        /// The revision of the list, or 0.
        after: u64,
    },
    /// The watcher lost its stream and goes on from the last event or bookmark that it saw.
    Resumed {
        /// That revision.
        after: u64,
    },
}

impl Start {
    /// The revision after which events are wanted.
    pub fn after(self) -> u64 {
        match self {
            Start::Fresh { after } | Start::Resumed { after } => after,
        }
    }
}

/// Something a watcher saw; `at` is in nanoseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum WatchRecord {
    /// A stream was accepted by a server.
    Opened {
        /// Who watches; it has one stream at a time.
        watcher: u64,
        /// The stream, unique in the history.
        stream: u64,
        /// When.
        at: u64,
        /// Keys with this prefix are wanted.
        prefix: String,
        /// From where.
        start: Start,
    },
    /// Events that came as one.
    Delivered {
        /// The stream.
        stream: u64,
        /// When.
        at: u64,
        /// In order.
        events: Vec<WatchEvent>,
    },
    /// The server says that everything up to `revision` was delivered.
    Bookmark {
        /// The stream.
        stream: u64,
        /// When.
        at: u64,
        /// Up to where.
        revision: u64,
    },
    /// The server says that the history the stream needs is gone (410); the stream ends.
    Expired {
        /// The stream.
        stream: u64,
        /// When.
        at: u64,
        /// The highest revision that was compacted away, as the server told or the harness knows.
        compacted: u64,
    },
    /// The stream ended, for whatever other reason.
    Closed {
        /// The stream.
        stream: u64,
        /// When.
        at: u64,
    },
    /// The run was over, nothing was written any more, and the watcher had waited its full patience.
    Settled {
        /// The stream.
        stream: u64,
        /// When.
        at: u64,
        /// The last revision of the log.
        revision: u64,
    },
}

impl WatchRecord {
    /// The stream it belongs to.
    pub fn stream(&self) -> u64 {
        match self {
            WatchRecord::Opened { stream, .. }
            | WatchRecord::Delivered { stream, .. }
            | WatchRecord::Bookmark { stream, .. }
            | WatchRecord::Expired { stream, .. }
            | WatchRecord::Closed { stream, .. }
            | WatchRecord::Settled { stream, .. } => *stream,
        }
    }
}

impl fmt::Display for LoggedWrite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let LoggedWrite { revision, transaction, key, change } = self;
        write!(f, "log: revision {revision}, transaction {transaction}, `{key}` {change}")
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Change::Put(value) => write!(f, "put {value}"),
            Change::Delete => f.write_str("deleted"),
        }
    }
}

impl fmt::Display for WatchRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WatchRecord::Opened { watcher, stream, at, prefix, start } => {
                let how = if matches!(start, Start::Fresh { .. }) { "opened" } else { "resumed as" };
                write!(
                    f,
                    "watcher {watcher} {how} stream {stream} on `{prefix}*` after {} (at {at})",
                    start.after()
                )
            }
            WatchRecord::Delivered { stream, at, events } => {
                write!(f, "stream {stream} got")?;
                for event in events {
                    write!(f, " [{} `{}` {}]", event.revision, event.key, event.change)?;
                }
                write!(f, " (at {at})")
            }
            WatchRecord::Bookmark { stream, at, revision } => {
                write!(f, "stream {stream} got a bookmark of {revision} (at {at})")
            }
            WatchRecord::Expired { stream, at, compacted } => {
                write!(f, "stream {stream} was told that history up to {compacted} is gone (at {at})")
            }
            WatchRecord::Closed { stream, at } => write!(f, "stream {stream} ended (at {at})"),
            WatchRecord::Settled { stream, at, revision } => {
                write!(f, "stream {stream} had time to catch up to {revision} (at {at})")
            }
        }
    }
}
