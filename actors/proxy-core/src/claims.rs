use std::collections::BTreeMap;

use crate::delta::Change;
use crate::service::ServiceKey;

/// Who claims what: several Services may claim one key, the first by name has it.
#[derive(Clone, Debug)]
pub(crate) struct Claims<K, V> {
    by_key: BTreeMap<K, BTreeMap<ServiceKey, V>>,
}

impl<K, V> Default for Claims<K, V> {
    fn default() -> Self {
        Self { by_key: BTreeMap::new() }
    }
}

impl<K: Ord + Clone, V: Clone + PartialEq> Claims<K, V> {
    /// Replaces an owner's claims; gives what changes for those who look a key up.
    pub(crate) fn replace(
        &mut self,
        owner: &ServiceKey,
        before: &BTreeMap<K, V>,
        after: &BTreeMap<K, V>,
    ) -> Vec<Change<K, V>> {
        let mut changes = Vec::new();
        for change in crate::delta::maps(before, after) {
            let claimants = self.by_key.entry(change.key.clone()).or_default();
            let was = claimants.values().next().cloned();
            match change.after {
                Some(value) => claimants.insert(owner.clone(), value),
                None => claimants.remove(owner),
            };
            let is = claimants.values().next().cloned();
            if claimants.is_empty() {
                self.by_key.remove(&change.key);
            }
            if was != is {
                changes.push(Change { key: change.key, before: was, after: is });
            }
        }
        changes
    }
}
