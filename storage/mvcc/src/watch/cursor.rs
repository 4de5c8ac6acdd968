//! One place in the history, with a filter.

use thiserror::Error;

use crate::change::Change;
use crate::history::History;
use crate::key::{Key, KeyRange};
use crate::read::ReadError;
use crate::revision::Revision;
use crate::state::State;

/// Changes that one read looks at when most do not match; the rest is left for the next read.
const SCAN_CHANGES_MAX: usize = 16_384;
/// Changes of one key that are found by walking its links; behind a longer way the directory is scanned.
const CHAIN_CHANGES_MAX: usize = 1024;

/// Which keys concern a watcher.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Filter {
    /// One key.
    Key(Key),
    /// Keys that begin with these bytes.
    Prefix(Key),
    /// Keys of a range.
    Range(KeyRange),
}

impl Filter {
    /// Whether the key concerns the watcher.
    pub fn matches(&self, key: &[u8]) -> bool {
        match self {
            Self::Key(wanted) => **wanted == *key,
            Self::Prefix(prefix) => key.starts_with(prefix),
            Self::Range(range) => range.contains(key),
        }
    }
}

/// What a watcher asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchRequest {
    /// Which keys.
    pub filter: Filter,
    /// Changes after this revision: that of the list it continues, or of the last event or bookmark received.
    pub after: Revision,
    /// Give the replaced version with every put (deletes always carry the deleted one).
    pub previous: bool,
    /// The watcher wants bookmarks.
    pub bookmarks: bool,
}

/// Bounds of one batch. A transaction is never cut, so that a batch may exceed them by one transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadLimits {
    /// The batch ends once it has this many events.
    pub events: usize,
    /// The batch ends once its values reach this many bytes.
    pub bytes: usize,
}

impl Default for ReadLimits {
    fn default() -> Self {
        Self { events: 1000, bytes: 1024 * 1024 }
    }
}

/// What one read gives. Reused between reads so that it allocates once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// Matching changes in revision order; objects are shared with the state.
    pub events: Vec<Change>,
    /// Everything that matches up to this revision was delivered, with this batch or earlier.
    pub through: Revision,
    /// There may be more: read again.
    pub more: bool,
}

/// Why a watch cannot go on. The watcher lists again and continues from there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum WatchError {
    /// Events that the cursor did not get yet are forgotten.
    #[error(
        "revision {position} is too old: history begins after {compacted}; list again and watch from there"
    )]
    Compacted {
        /// Where the cursor stands.
        position: Revision,
        /// The last forgotten revision.
        compacted: Revision,
    },
    /// The cursor stands where this member is not yet.
    #[error(
        "revision {position} is ahead of this member at {current}; wait until it is applied, or list again"
    )]
    Future {
        /// Where the cursor stands.
        position: Revision,
        /// The revision of this member.
        current: Revision,
    },
    /// No such cursor (closed).
    #[error("the watch is closed")]
    Closed,
    /// The member serves as many watches as it can.
    #[error("this member serves {limit} watches already, its limit; ask another member or retry later")]
    TooMany {
        /// The limit.
        limit: usize,
    },
}

/// A place in the history. All matching changes up to `position` were delivered, none after.
#[derive(Clone, Debug)]
pub struct Cursor {
    filter: Filter,
    position: Revision,
    previous: bool,
    bookmarks: bool,
    bookmarked: Revision,
}

impl Cursor {
    /// A cursor behind `request.after`.
    ///
    /// # Errors
    /// `Compacted` or `Future` when the state cannot continue from there.
    pub fn new(state: &State, request: WatchRequest) -> Result<Self, WatchError> {
        let WatchRequest { filter, after, previous, bookmarks } = request;
        let cursor = Self { filter, position: after, previous, bookmarks, bookmarked: after };
        cursor.check(state)?;
        Ok(cursor)
    }

    /// Its filter.
    pub fn filter(&self) -> &Filter {
        &self.filter
    }

    /// Everything that matches up to here was delivered.
    pub fn position(&self) -> Revision {
        self.position
    }

    /// Fills `batch` with what comes next and moves on.
    ///
    /// # Errors
    /// `Compacted` when events were forgotten before they were read (and on every later read), `Future` when the
    /// state is behind the cursor. The batch is empty then.
    pub fn read(&mut self, state: &State, limits: ReadLimits, batch: &mut Batch) -> Result<(), WatchError> {
        batch.events.clear();
        batch.more = false;
        batch.through = self.position;
        self.check(state)?;
        let mut reader = Reader { cursor: self, limits, bytes: 0, scanned: 0, batch };
        let stopped = match &self.filter {
            Filter::Key(key) => match key_revisions(state, key, self.position) {
                Some(revisions) => {
                    reader.take(revisions.iter().rev().filter_map(|revision| state.history.get(*revision)))
                }
                None => reader.take(state.history.changes_after(self.position, key)),
            },
            Filter::Prefix(prefix) => reader.take(state.history.changes_after(self.position, prefix)),
            Filter::Range(range) => {
                reader.take(state.history.changes_after(self.position, range.common_prefix()))
            }
        };
        self.position = stopped.unwrap_or(state.revision());
        batch.more = stopped.is_some();
        batch.through = self.position;
        Ok(())
    }

    /// A bookmark for watchers that asked for them: the store's revision, given only when every matching change
    /// up to it was delivered, and only when it is news. `None` else.
    ///
    /// # Errors
    /// As for `read`.
    pub fn bookmark(&mut self, state: &State) -> Result<Option<Revision>, WatchError> {
        self.check(state)?;
        if !self.bookmarks {
            return Ok(None);
        }
        let mut probe = self.clone();
        let mut batch = Batch::default();
        probe.read(state, ReadLimits { events: 1, bytes: 1 }, &mut batch)?;
        if batch.events.is_empty() {
            self.position = probe.position;
        }
        if !batch.events.is_empty() || batch.more || self.position <= self.bookmarked {
            return Ok(None);
        }
        self.bookmarked = self.position;
        Ok(Some(self.position))
    }

    /// Moves on over changes that are known not to match.
    pub(crate) fn skip_to(&mut self, revision: Revision) {
        self.position = self.position.max(revision);
    }

    fn check(&self, state: &State) -> Result<(), WatchError> {
        match state.check_revision(self.position) {
            Ok(()) => Ok(()),
            Err(ReadError::Compacted { requested, compacted }) => {
                Err(WatchError::Compacted { position: requested, compacted })
            }
            Err(ReadError::Future { requested, current }) => {
                Err(WatchError::Future { position: requested, current })
            }
        }
    }
}

/// The key's revisions after `after`, newest first; `None` when there are too many to walk.
fn key_revisions(state: &State, key: &Key, after: Revision) -> Option<Vec<Revision>> {
    let history: &History = &state.history;
    let live = state.get(key).map(|object| object.mod_revision());
    let mut at = live.or_else(|| history.tombstone(key)).unwrap_or_default();
    let mut revisions = Vec::new();
    while at > after {
        if revisions.len() == CHAIN_CHANGES_MAX {
            return None;
        }
        revisions.push(at);
        at = history.get(at)?.prior;
    }
    Some(revisions)
}

struct Reader<'a> {
    cursor: &'a Cursor,
    limits: ReadLimits,
    bytes: usize,
    scanned: usize,
    batch: &'a mut Batch,
}

impl Reader<'_> {
    /// Takes matching changes until a limit is reached at the end of a transaction: gives that end, or `None`
    /// when the changes ran out.
    fn take<'a>(&mut self, changes: impl Iterator<Item = &'a Change>) -> Option<Revision> {
        let mut transaction_end = Revision::ZERO;
        for change in changes {
            if change.revision() > transaction_end && self.is_full() {
                return Some(transaction_end);
            }
            transaction_end = change.transaction_end();
            self.scanned += 1;
            if self.cursor.filter.matches(change.key()) {
                self.push(change);
            }
        }
        None
    }

    fn is_full(&self) -> bool {
        let events = self.batch.events.len();
        events > 0 && (events >= self.limits.events || self.bytes >= self.limits.bytes)
            || self.scanned >= SCAN_CHANGES_MAX
    }

    fn push(&mut self, change: &Change) {
        let mut event = change.clone();
        if !self.cursor.previous && !event.is_delete() {
            event.previous = None;
        }
        let objects = [event.object(), event.previous()];
        self.bytes += objects.into_iter().flatten().map(|object| object.value().len()).sum::<usize>();
        self.batch.events.push(event);
    }
}
