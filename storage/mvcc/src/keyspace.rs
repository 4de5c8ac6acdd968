//! The live objects, ordered by key, with counting and cheap consistent copies.
//!
//! A sorted list cut into chunks of at most [`CHUNK_OBJECTS`], each behind an `Arc`: a clone copies one pointer
//! per chunk (about 20 us for 100,000 objects) and later writes copy only the chunk they touch while a clone
//! still holds it. That gives snapshots and lists a frozen view without holding up writers. Chunk lengths stand
//! beside the pointers, so the rank of a key (and with it any count) is a sum over a small array. A `BTreeMap`
//! gives neither.

use std::sync::Arc;

use crate::key::{Key, KeyRange};
use crate::object::Object;

/// Most objects in a chunk; a full one is cut in half.
const CHUNK_OBJECTS: usize = 128;

/// The live objects in key order.
#[derive(Clone, Default)]
pub(crate) struct Keyspace {
    chunks: Vec<Slot>,
    len: usize,
}

#[derive(Clone)]
struct Slot {
    /// No key of this chunk is below, no key of an earlier chunk is at or above.
    first: Key,
    len: u32,
    objects: Arc<Vec<Entry>>,
}

/// The key stands beside the object, which saves a search one fetch from memory per step.
type Entry = (Key, Arc<Object>);

impl Keyspace {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn get(&self, key: &[u8]) -> Option<&Arc<Object>> {
        let slot = self.chunks.get(self.slot_of(key))?;
        let at = find(&slot.objects, key).ok()?;
        Some(&slot.objects[at].1)
    }

    /// Inserts or replaces; gives what was there.
    pub(crate) fn insert(&mut self, object: Arc<Object>) -> Option<Arc<Object>> {
        let slot_at = self.slot_of(object.key());
        let Some(slot) = self.chunks.get_mut(slot_at) else {
            self.chunks.push(Slot::new(vec![(object.key().clone(), object)]));
            self.len = 1;
            return None;
        };
        let objects = Arc::make_mut(&mut slot.objects);
        match find(objects, object.key()) {
            Ok(at) => Some(std::mem::replace(&mut objects[at].1, object)),
            Err(at) => {
                if at == 0 {
                    slot.first = object.key().clone();
                }
                objects.insert(at, (object.key().clone(), object));
                slot.len += 1;
                self.len += 1;
                if objects.len() >= CHUNK_OBJECTS {
                    // Ascending inserts (a load) would leave half-full chunks: cut those near the end.
                    let cut = if at + 1 == objects.len() { CHUNK_OBJECTS - 8 } else { CHUNK_OBJECTS / 2 };
                    let upper = Slot::new(objects.drain(cut..).collect());
                    slot.len -= upper.len;
                    self.chunks.insert(slot_at + 1, upper);
                }
                None
            }
        }
    }

    pub(crate) fn remove(&mut self, key: &[u8]) -> Option<Arc<Object>> {
        let slot_at = self.slot_of(key);
        let slot = self.chunks.get_mut(slot_at)?;
        let at = find(&slot.objects, key).ok()?;
        let objects = Arc::make_mut(&mut slot.objects);
        let (_, removed) = objects.remove(at);
        slot.len -= 1;
        self.len -= 1;
        if slot.len == 0 {
            self.chunks.remove(slot_at);
        } else if (slot.len as usize) < CHUNK_OBJECTS / 4 {
            self.merge_after(slot_at);
        }
        Some(removed)
    }

    /// Objects with keys at or above `start`, ascending.
    pub(crate) fn iter_from<'a>(&'a self, start: &[u8]) -> impl Iterator<Item = &'a Arc<Object>> + 'a {
        let slot_at = self.slot_of(start);
        let skip =
            self.chunks.get(slot_at).map_or(0, |slot| find(&slot.objects, start).unwrap_or_else(|at| at));
        self.chunks[slot_at.min(self.chunks.len())..]
            .iter()
            .flat_map(|slot| slot.objects.iter())
            .skip(skip)
            .map(|(_, object)| object)
    }

    /// The object at `at` within chunk number `chunk`: for readers that keep their place between calls.
    /// `Err(true)`: behind the end of the chunk; `Err(false)`: behind the last chunk.
    pub(crate) fn at(&self, chunk: usize, at: usize) -> Result<&Arc<Object>, bool> {
        let slot = self.chunks.get(chunk).ok_or(false)?;
        slot.objects.get(at).map(|(_, object)| object).ok_or(true)
    }

    /// Number of keys below `key`.
    fn rank(&self, key: &[u8]) -> usize {
        let slot_at = self.slot_of(key);
        let before: usize = self.chunks[..slot_at].iter().map(|slot| slot.len as usize).sum();
        before + self.chunks.get(slot_at).map_or(0, |slot| find(&slot.objects, key).unwrap_or_else(|at| at))
    }

    /// Number of keys in the range.
    pub(crate) fn count(&self, range: &KeyRange) -> usize {
        let end = range.end().map_or(self.len, |end| self.rank(end));
        end.saturating_sub(self.rank(range.start()))
    }

    /// The chunk that holds `key` or would: the last one whose first key is not above.
    fn slot_of(&self, key: &[u8]) -> usize {
        self.chunks.partition_point(|slot| &slot.first[..] <= key).saturating_sub(1)
    }

    /// Joins a small chunk with its successor when both fit, so that deletes do not leave dust.
    fn merge_after(&mut self, at: usize) {
        let Some(next) = self.chunks.get(at + 1) else { return };
        if (self.chunks[at].len + next.len) as usize > CHUNK_OBJECTS / 2 {
            return;
        }
        let next = self.chunks.remove(at + 1);
        let slot = &mut self.chunks[at];
        Arc::make_mut(&mut slot.objects).extend(next.objects.iter().cloned());
        slot.len += next.len;
    }
}

impl Slot {
    fn new(objects: Vec<Entry>) -> Self {
        let first = objects.first().expect("a chunk is made of at least one object").0.clone();
        let len = u32::try_from(objects.len()).expect("a chunk holds at most CHUNK_OBJECTS");
        Self { first, len, objects: Arc::new(objects) }
    }
}

fn find(objects: &[Entry], key: &[u8]) -> Result<usize, usize> {
    objects.binary_search_by(|(own, _)| own[..].cmp(key))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::revision::Revision;

    fn object(key: u32) -> Arc<Object> {
        let at = Revision::new(1);
        Arc::new(Object::new(Key::new(key.to_be_bytes()), b"", at, at, 1, None))
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn equals_a_btreemap(steps in prop::collection::vec((0_u8..4, 0_u32..2000), 1..3000), probe in 0_u32..2000) {
            let (mut list, mut model) = (Keyspace::default(), BTreeMap::new());
            let mut frozen: Option<(Keyspace, BTreeMap<u32, Arc<Object>>)> = None;
            for (at, (step, key)) in steps.iter().enumerate() {
                if *step == 0 {
                    prop_assert_eq!(list.remove(&key.to_be_bytes()), model.remove(key));
                } else {
                    prop_assert_eq!(list.insert(object(*key)), model.insert(*key, object(*key)));
                }
                if at == steps.len() / 2 {
                    frozen = Some((list.clone(), model.clone()));
                }
            }
            frozen.get_or_insert_with(|| (list.clone(), model.clone()));
            for (list, model) in frozen.into_iter().chain([(list, model)]) {
                prop_assert_eq!(list.len(), model.len());
                let start = probe.to_be_bytes();
                let listed: Vec<_> = list.iter_from(&start).cloned().collect();
                let wanted: Vec<_> = model.range(probe..).map(|(_, object)| object.clone()).collect();
                prop_assert_eq!(&listed, &wanted);
                prop_assert_eq!(list.count(&KeyRange::new(Key::new(start), None)), wanted.len());
                let (low, high) = (Key::new(start), Key::new((probe + 300).to_be_bytes()));
                prop_assert_eq!(list.count(&KeyRange::new(low, Some(high))), model.range(probe..probe + 300).count());
                prop_assert_eq!(list.get(&start), model.get(&probe));
            }
        }
    }

    #[test]
    fn deleting_everything_leaves_no_chunk() {
        let mut list = Keyspace::default();
        (0..10_000).for_each(|key| drop(list.insert(object(key))));
        assert!(list.chunks.len() < 110, "ascending inserts fill the chunks: {}", list.chunks.len());
        (0..10_000_u32).for_each(|key| drop(list.remove(&key.to_be_bytes())));
        assert!(list.chunks.is_empty() && list.len() == 0);
    }
}
