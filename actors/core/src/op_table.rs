use std::collections::BTreeMap;

/// The id of an effect whose completion will come back as an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OpId(pub u64);

/// Effects a core has asked for and not yet heard back from.
///
/// A completion names its [`OpId`]; [`OpTable::finish`] hands back what was kept for it, and `None` for an
/// id that is unknown, already finished or forgotten, so a late or duplicate completion drops out by itself.
/// Ids are never used twice. Iteration is in the order of the ids. Bounded by `limit`.
#[derive(Clone, Debug)]
pub struct OpTable<T> {
    next: u64,
    limit: usize,
    open: BTreeMap<OpId, T>,
}

impl<T> OpTable<T> {
    /// A table for at most `limit` operations in flight.
    pub fn new(limit: usize) -> Self {
        Self { next: 0, limit, open: BTreeMap::new() }
    }

    /// Opens an operation and keeps `what` for its completion.
    ///
    /// # Errors
    /// Hands `what` back when `limit` operations are in flight.
    pub fn open(&mut self, what: T) -> Result<OpId, T> {
        if self.open.len() >= self.limit {
            return Err(what);
        }
        let id = OpId(self.next);
        self.next += 1;
        self.open.insert(id, what);
        Ok(id)
    }

    /// Closes an operation; `None` when `id` is not in flight.
    pub fn finish(&mut self, id: OpId) -> Option<T> {
        self.open.remove(&id)
    }

    /// What was kept for an operation in flight.
    pub fn get(&self, id: OpId) -> Option<&T> {
        self.open.get(&id)
    }

    /// Operations in flight, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = (OpId, &T)> {
        self.open.iter().map(|(id, what)| (*id, what))
    }

    /// Forgets every operation; completions still to come will be unknown.
    pub fn clear(&mut self) {
        self.open.clear();
    }

    /// How many operations are in flight.
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// True when nothing is in flight.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_and_duplicate_completions_drop_out() {
        let mut table = OpTable::new(2);
        let first = table.open("a").unwrap();
        let second = table.open("b").unwrap();
        assert_eq!(table.open("c"), Err("c"));
        assert_eq!(table.finish(first), Some("a"));
        assert_eq!(table.finish(first), None);
        assert_eq!(table.finish(OpId(99)), None);
        let third = table.open("c").unwrap();
        assert_ne!(third, first);
        assert_eq!(table.iter().map(|(id, _)| id).collect::<Vec<_>>(), [second, third]);
    }
}
