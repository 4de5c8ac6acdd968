//! [`WatchMemo`]: what was encoded last for one watcher, for the others that get the same.
//!
//! Watchers of the same keys stand at the same place nearly always, so each write gives them equal messages. Equal
//! means: the same versions (the very same objects in memory, which a restored or reopened member does not share with
//! the one before), and the same place reached.

use std::sync::Arc;

use bytes::Bytes;
use trireme_mvcc::{Batch, Change, Object, Revision};

/// Larger batches are not kept, in bytes of keys and values: encoding is a small part of what they cost.
const KEPT_BYTES: usize = 64 * 1024;

/// See the module.
#[derive(Default)]
pub(crate) struct WatchMemo {
    last: Option<Encoded>,
}

struct Encoded {
    events: Vec<Change>,
    through: Revision,
    bodies: Arc<[Bytes]>,
}

impl WatchMemo {
    /// The batch's bodies, encoded by `encode` unless they were just now.
    pub(crate) fn bodies(
        &mut self,
        batch: &Batch,
        encode: impl FnOnce(&Batch) -> Arc<[Bytes]>,
    ) -> Arc<[Bytes]> {
        if let Some(last) = self.last.as_ref().filter(|last| last.is_of(batch)) {
            return Arc::clone(&last.bodies);
        }
        let bodies = encode(batch);
        let kept = bodies.iter().map(Bytes::len).sum::<usize>() <= KEPT_BYTES;
        self.last = kept.then(|| Encoded {
            events: batch.events.clone(),
            through: batch.through,
            bodies: Arc::clone(&bodies),
        });
        bodies
    }
}

impl Encoded {
    fn is_of(&self, batch: &Batch) -> bool {
        self.through == batch.through
            && self.events.len() == batch.events.len()
            && self.events.iter().zip(&batch.events).all(|(one, other)| same(one, other))
    }
}

fn same(one: &Change, other: &Change) -> bool {
    let same_object = |one: Option<&Arc<Object>>, other: Option<&Arc<Object>>| match (one, other) {
        (Some(one), Some(other)) => Arc::ptr_eq(one, other),
        (None, None) => true,
        _ => false,
    };
    one.revision() == other.revision()
        && one.transaction_end() == other.transaction_end()
        && same_object(one.object(), other.object())
        && same_object(one.previous(), other.previous())
}

#[cfg(test)]
mod tests {
    use super::*;
    use trireme_mvcc::{
        Delta, Filter, Key, KeyRange, Operation, Proposal, ReadLimits, State, WatchRequest, Watches,
    };

    /// A state with one key written so many times.
    fn state(writes: u64) -> State {
        let (mut state, mut delta) = (State::new(), Delta::new());
        for index in 1..=writes {
            let put = Operation::Put { key: Key::from("/k"), value: Bytes::from(vec![7; 9]), lease: None };
            let proposal = Proposal::transaction(Vec::new(), vec![put]);
            state.apply(index, 1, &proposal, &mut delta).unwrap().unwrap();
        }
        state
    }

    fn batch(state: &State, after: u64, previous: bool) -> Batch {
        let filter = Filter::Range(KeyRange::all());
        let request = WatchRequest { filter, after: Revision::new(after), previous, bookmarks: false };
        let (mut watches, mut batch) = (Watches::new(), Batch::default());
        let id = watches.open(state, request).unwrap();
        watches.read(state, id, ReadLimits::default(), &mut batch).unwrap();
        batch
    }

    /// Whether the second batch was encoded anew after the first.
    fn anew(first: &Batch, second: &Batch) -> bool {
        let (mut memo, mut encoded) = (WatchMemo::default(), 0);
        for batch in [first, second] {
            memo.bodies(batch, |_| {
                encoded += 1;
                Arc::new([])
            });
        }
        encoded == 2
    }

    #[test]
    fn only_the_same_versions_up_to_the_same_place_are_taken_for_the_same() {
        let one = state(3);
        assert!(!anew(&batch(&one, 2, false), &batch(&one, 2, false)));
        assert!(anew(&batch(&one, 2, false), &batch(&one, 1, false)), "one more event");
        assert!(anew(&batch(&one, 2, false), &batch(&one, 2, true)), "with the version before");
        let later = Batch { through: Revision::new(9), ..batch(&one, 2, false) };
        assert!(anew(&batch(&one, 2, false), &later), "further");
        let other = state(3);
        assert!(anew(&batch(&one, 2, false), &batch(&other, 2, false)), "another member's objects");
    }
}
