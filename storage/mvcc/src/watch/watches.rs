//! All cursors of a member, and whom a write concerns.

use std::collections::BTreeMap;
use std::ops::Bound::{Included, Unbounded};

use crate::key::Key;
use crate::revision::Revision;
use crate::state::State;
use crate::watch::cursor::{Batch, Cursor, Filter, ReadLimits, WatchError, WatchRequest};

/// Most cursors of one member.
pub const WATCHES_MAX: usize = 262_144;

/// Names an open cursor; never used again after it was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CursorId(u64);

/// The cursors of one member.
///
/// A cursor is either due (its reader should read) or parked (it has read everything). Opening gives a due
/// cursor; a read that reaches the end parks it; [`Watches::wake`] tells which parked cursors became due. So a
/// shell keeps one list of due cursors, and a write costs only the watchers it concerns, each once until they
/// have read.
///
/// A parked cursor has, by being parked, seen everything that woke nobody: its place moves on with the store, so
/// that a watch of a quiet resource does not fall out of the history that busy ones push on.
#[derive(Debug, Default)]
pub struct Watches {
    cursors: BTreeMap<CursorId, OpenCursor>,
    keys: BTreeMap<Key, Group>,
    prefixes: BTreeMap<Key, Group>,
    /// Ranges have no index: each is tried. They serve the admin interface, not Kubernetes watches.
    ranges: BTreeMap<Filter, Group>,
    /// Changes up to here woke their watchers.
    woken_through: Revision,
    last_id: u64,
}

#[derive(Debug)]
struct OpenCursor {
    cursor: Cursor,
    parked: bool,
}

impl OpenCursor {
    /// The cursor, moved on to where it stands by being parked.
    fn settled(&mut self, woken_through: Revision) -> &mut Cursor {
        if self.parked {
            self.cursor.skip_to(woken_through);
        }
        &mut self.cursor
    }
}

/// Cursors with one filter.
#[derive(Debug, Default)]
struct Group {
    open: usize,
    parked: Vec<CursorId>,
}

impl Watches {
    /// No cursors.
    pub fn new() -> Self {
        Self::default()
    }

    /// Number of open cursors.
    pub fn len(&self) -> usize {
        self.cursors.len()
    }

    /// Whether no cursor is open.
    pub fn is_empty(&self) -> bool {
        self.cursors.is_empty()
    }

    /// Opens a cursor, due at once.
    ///
    /// # Errors
    /// `Compacted` or `Future` when the state cannot continue from there, `TooMany` at [`WATCHES_MAX`].
    pub fn open(&mut self, state: &State, request: WatchRequest) -> Result<CursorId, WatchError> {
        if self.cursors.len() >= WATCHES_MAX {
            return Err(WatchError::TooMany { limit: WATCHES_MAX });
        }
        let cursor = Cursor::new(state, request)?;
        self.last_id += 1;
        let id = CursorId(self.last_id);
        self.group(cursor.filter()).open += 1;
        self.cursors.insert(id, OpenCursor { cursor, parked: false });
        Ok(id)
    }

    /// Reads the next batch. Without `batch.more` the cursor is parked, and `wake` names it when it is due again.
    ///
    /// # Errors
    /// As [`Cursor::read`]; `Closed` for an id that is not open. After `Compacted` the shell closes the cursor.
    pub fn read(
        &mut self,
        state: &State,
        id: CursorId,
        limits: ReadLimits,
        batch: &mut Batch,
    ) -> Result<(), WatchError> {
        batch.events.clear();
        let open = self.cursors.get_mut(&id).ok_or(WatchError::Closed)?;
        let read = open.settled(self.woken_through).read(state, limits, batch);
        if read.is_ok() && open.cursor.position() < self.woken_through {
            // Read from a state older than the last wake: parked now, it would miss what was woken already.
            batch.more = true;
        }
        // A reader may read without having been woken: it must not be parked twice.
        if read.is_ok() && !batch.more && !open.parked {
            open.parked = true;
            let filter = open.cursor.filter().clone();
            let parked = &mut self.group(&filter).parked;
            // Woken in order, read in order: this is the end of the list, but for stragglers.
            let at = parked.partition_point(|other| *other < id);
            parked.insert(at, id);
        }
        read
    }

    /// A bookmark if there is one to give, see [`Cursor::bookmark`].
    ///
    /// # Errors
    /// As [`Cursor::bookmark`]; `Closed` for an id that is not open.
    pub fn bookmark(&mut self, state: &State, id: CursorId) -> Result<Option<Revision>, WatchError> {
        let open = self.cursors.get_mut(&id).ok_or(WatchError::Closed)?;
        open.settled(self.woken_through).bookmark(state)
    }

    /// The place and filter of an open cursor.
    pub fn get(&self, id: CursorId) -> Option<&Cursor> {
        self.cursors.get(&id).map(|open| &open.cursor)
    }

    /// Closes a cursor; `false` when it was not open.
    pub fn close(&mut self, id: CursorId) -> bool {
        let Some(open) = self.cursors.remove(&id) else { return false };
        let filter = open.cursor.filter();
        let group = self.group(filter);
        group.open -= 1;
        if let Ok(at) = group.parked.binary_search(&id) {
            group.parked.remove(at);
        }
        if group.open == 0 {
            match filter {
                Filter::Key(key) => self.keys.remove(key),
                Filter::Prefix(prefix) => self.prefixes.remove(prefix),
                Filter::Range(_) => self.ranges.remove(filter),
            };
        }
        true
    }

    /// Appends to `due` every parked cursor that what was applied since the last call concerns. Called after
    /// each applied batch.
    pub fn wake(&mut self, state: &State, due: &mut Vec<CursorId>) {
        let first = due.len();
        if self.woken_through < state.compacted() {
            // Changes are gone that nobody was woken for: let everybody find out.
            let groups =
                self.keys.values_mut().chain(self.prefixes.values_mut()).chain(self.ranges.values_mut());
            groups.for_each(|group| due.append(&mut group.parked));
        } else {
            let changes = state.history.changes_after(self.woken_through, &[]);
            changes.for_each(|change| self.unpark(change.key(), due));
        }
        for id in &due[first..] {
            let open = self.cursors.get_mut(id).expect("closing a cursor removes it from its group");
            open.settled(self.woken_through);
            open.parked = false;
        }
        self.woken_through = self.woken_through.max(state.revision());
    }

    /// Moves every parked cursor that a change of this key concerns to `due`.
    fn unpark(&mut self, key: &[u8], due: &mut Vec<CursorId>) {
        if let Some(group) = self.keys.get_mut(key) {
            due.append(&mut group.parked);
        }
        each_prefix(&mut self.prefixes, key, |group| due.append(&mut group.parked));
        for (filter, group) in &mut self.ranges {
            if filter.matches(key) {
                due.append(&mut group.parked);
            }
        }
    }

    fn group(&mut self, filter: &Filter) -> &mut Group {
        match filter {
            Filter::Key(key) => self.keys.entry(key.clone()).or_default(),
            Filter::Prefix(prefix) => self.prefixes.entry(prefix.clone()).or_default(),
            Filter::Range(_) => self.ranges.entry(filter.clone()).or_default(),
        }
    }
}

/// Visits the entries whose name begins `key`. Walks down the sorted names: a name that is no prefix of the key
/// tells how many leading bytes any smaller one can share with it.
fn each_prefix<V>(map: &mut BTreeMap<Key, V>, key: &[u8], mut visit: impl FnMut(&mut V)) {
    let mut bound = key.len();
    loop {
        let Some((name, value)) = map.range_mut::<[u8], _>((Unbounded, Included(&key[..bound]))).next_back()
        else {
            return;
        };
        if key.starts_with(name) {
            visit(value);
            let Some(shorter) = name.len().checked_sub(1) else { return };
            bound = shorter;
        } else {
            bound = name.iter().zip(key).take_while(|(ours, theirs)| ours == theirs).count();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_prefix_finds_all_and_only_the_prefixes() {
        let names = ["", "/", "/a", "/a/", "/a/b", "/a/b/", "/a/bb", "/a/c", "/b", "/a/b/cc", "/a/b/c"];
        let mut map: BTreeMap<Key, &str> = names.iter().map(|name| (Key::from(*name), *name)).collect();
        for key in ["/a/b/c", "/a/bb/x", "/", "", "zzz", "/a/b/", "/a/b/b"] {
            let mut found = Vec::new();
            each_prefix(&mut map, key.as_bytes(), |name| found.push(*name));
            found.sort_unstable();
            let mut wanted: Vec<&str> = names.iter().copied().filter(|name| key.starts_with(name)).collect();
            wanted.sort_unstable();
            assert_eq!(found, wanted, "prefixes of {key}");
        }
    }
}
