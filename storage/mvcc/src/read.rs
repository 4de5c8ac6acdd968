//! Reads at the latest or at an exact older revision.

use std::sync::Arc;

use thiserror::Error;

use crate::key::{Key, KeyRange};
use crate::object::Object;
use crate::revision::Revision;
use crate::state::State;

/// Which state a read speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// The state as applied so far.
    Latest,
    /// The state right after this revision was written.
    Exact(Revision),
}

/// One page of a range.
#[derive(Clone, Debug)]
pub struct ListRequest<'a> {
    /// Which keys.
    pub range: &'a KeyRange,
    /// At which revision; all pages of one list name that of the first.
    pub at: At,
    /// Continue behind this key, the last of the page before.
    pub after: Option<&'a Key>,
    /// Most objects in the page; zero asks for the count alone.
    pub limit_objects: usize,
    /// The page ends once its keys and values reach this many bytes; at least one object is given.
    pub limit_bytes: usize,
}

/// One page of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The revision that all of it speaks of.
    pub revision: Revision,
    /// Objects by key, shared with the state.
    pub objects: Vec<Arc<Object>>,
    /// Number of objects in the range behind this page.
    pub remaining: u64,
}

impl Page {
    /// Where the next page continues; `None` when nothing is left.
    pub fn next_after(&self) -> Option<&Key> {
        if self.remaining == 0 { None } else { self.objects.last().map(|object| object.key()) }
    }
}

/// Why a read at a revision is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ReadError {
    /// The history no longer reaches back so far.
    #[error("revision {requested} is compacted (history begins after {compacted}); list again at the latest")]
    Compacted {
        /// Asked for.
        requested: Revision,
        /// The last forgotten revision.
        compacted: Revision,
    },
    /// This member has not applied so far.
    #[error("revision {requested} is not here yet (this member is at {current}); wait until it is applied")]
    Future {
        /// Asked for.
        requested: Revision,
        /// The revision of this member.
        current: Revision,
    },
}

impl State {
    /// The version of a key at a revision.
    ///
    /// # Errors
    /// [`ReadError`] when the revision is compacted or not yet applied.
    pub fn get_at(&self, key: &[u8], at: Revision) -> Result<Option<Arc<Object>>, ReadError> {
        self.check_revision(at)?;
        Ok(self.history.object_at(key, self.keyspace.get(key), at))
    }

    /// Number of keys of a range at a revision: O(chunks) at the latest, and O(changes of the range since) at an
    /// older one.
    ///
    /// # Errors
    /// [`ReadError`] when the revision is compacted or not yet applied.
    pub fn count(&self, range: &KeyRange, at: At) -> Result<u64, ReadError> {
        let live = self.keyspace.count(range) as u64;
        let At::Exact(at) = at else { return Ok(live) };
        self.check_revision(at)?;
        let before = live.checked_add_signed(-self.history.growth_since(at, range));
        Ok(before.expect("no range ever held fewer than zero keys"))
    }

    /// One page of a range at one revision.
    ///
    /// # Errors
    /// [`ReadError`] when the revision is compacted or not yet applied.
    pub fn list(&self, request: &ListRequest<'_>) -> Result<Page, ReadError> {
        let revision = match request.at {
            At::Latest => self.revision,
            At::Exact(revision) => revision,
        };
        self.check_revision(revision)?;
        let rest = KeyRange::new(first_key(request), request.range.end().cloned());
        let total = self.count(&rest, At::Exact(revision))?;
        let wanted = usize::try_from(total).unwrap_or(usize::MAX).min(request.limit_objects);
        let mut objects = Vec::with_capacity(wanted);
        let mut room = request.limit_bytes;
        for object in self.objects_at(&rest, revision) {
            if objects.len() >= request.limit_objects || (room == 0 && !objects.is_empty()) {
                break;
            }
            room = room.saturating_sub(object.key().len() + object.value().len());
            objects.push(object);
        }
        let remaining =
            total.checked_sub(objects.len() as u64).expect("a page holds no more than was counted");
        Ok(Page { revision, objects, remaining })
    }

    pub(crate) fn check_revision(&self, requested: Revision) -> Result<(), ReadError> {
        if requested < self.compacted() {
            return Err(ReadError::Compacted { requested, compacted: self.compacted() });
        }
        if requested > self.revision {
            return Err(ReadError::Future { requested, current: self.revision });
        }
        Ok(())
    }

    /// The objects of a range at a revision by key: live keys merged with those deleted since.
    fn objects_at<'a>(&'a self, range: &'a KeyRange, at: Revision) -> impl Iterator<Item = Arc<Object>> + 'a {
        let live = self.keyspace.iter_from(range.start());
        let mut live = live.take_while(|object| !range.is_before(object.key())).peekable();
        let mut deleted = self.history.deleted_after(range, at).peekable();
        std::iter::from_fn(move || {
            loop {
                let deleted_first = match (live.peek(), deleted.peek()) {
                    (None, None) => return None,
                    (Some(object), Some((key, _))) => *key < object.key(),
                    (live, _) => live.is_none(),
                };
                let found = if deleted_first {
                    let (_, last) = deleted.next()?;
                    let change = self.history.first_change_after(last, at);
                    change.and_then(|change| change.previous.clone())
                } else {
                    let object = live.next()?;
                    if object.mod_revision() <= at {
                        Some(object.clone())
                    } else {
                        self.history.object_at(object.key(), Some(object), at)
                    }
                };
                if found.is_some() {
                    return found;
                }
            }
        })
    }
}

fn first_key(request: &ListRequest<'_>) -> Key {
    match request.after {
        // The smallest key behind `after`.
        Some(after) if **after >= **request.range.start() => Key::new([&after[..], &[0]].concat()),
        _ => request.range.start().clone(),
    }
}
