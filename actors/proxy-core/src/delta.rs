use core::net::IpAddr;
use std::collections::{BTreeMap, BTreeSet};

use crate::rules::{Backend, Front, Gate, NodeFront, Pool, Rules, Target, Wall};

/// One entry that changes: what it was and what it shall be; `None` is "not there".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change<K, V> {
    /// Which.
    pub key: K,
    /// Before.
    pub before: Option<V>,
    /// After.
    pub after: Option<V>,
}

/// UDP conversations that must be looked at anew, because the kernel keeps leading them where it did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StaleUdp {
    /// Backends that are gone: conversations led to them.
    pub gone: BTreeSet<Backend>,
    /// Fronts that lead somewhere from now on: conversations that went to the address itself.
    pub woken: BTreeSet<Front>,
    /// Node ports that lead somewhere from now on.
    pub woken_nodes: BTreeSet<NodeFront>,
}

impl StaleUdp {
    /// Nothing to forget.
    pub fn is_empty(&self) -> bool {
        self.gone.is_empty() && self.woken.is_empty() && self.woken_nodes.is_empty()
    }
}

/// What changes between two [`Rules`]. Entries that stay are not in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delta {
    /// Pools.
    pub pools: Vec<Change<u32, Pool>>,
    /// Gates.
    pub gates: Vec<Change<u32, Gate>>,
    /// Walls.
    pub walls: Vec<Change<u32, Wall>>,
    /// Fronts.
    pub fronts: Vec<Change<Front, Target>>,
    /// Node ports.
    pub node_fronts: Vec<Change<NodeFront, Target>>,
    /// Walls of fronts.
    pub guarded: Vec<Change<Front, u32>>,
    /// Cluster addresses.
    pub addresses: Vec<Change<IpAddr, ()>>,
    /// Pods of this node.
    pub selves: Vec<Change<IpAddr, ()>>,
}

impl Delta {
    /// The difference.
    pub fn between(before: &Rules, after: &Rules) -> Self {
        Self {
            pools: maps(&before.pools, &after.pools),
            gates: maps(&before.gates, &after.gates),
            walls: maps(&before.walls, &after.walls),
            fronts: maps(&before.fronts, &after.fronts),
            node_fronts: maps(&before.node_fronts, &after.node_fronts),
            guarded: maps(&before.guarded, &after.guarded),
            addresses: sets(&before.addresses, &after.addresses),
            selves: sets(&before.selves, &after.selves),
        }
    }

    /// Makes the difference happen.
    pub fn apply(&self, rules: &mut Rules) {
        put(&mut rules.pools, &self.pools);
        put(&mut rules.gates, &self.gates);
        put(&mut rules.walls, &self.walls);
        put(&mut rules.fronts, &self.fronts);
        put(&mut rules.node_fronts, &self.node_fronts);
        put(&mut rules.guarded, &self.guarded);
        put_set(&mut rules.addresses, &self.addresses);
        put_set(&mut rules.selves, &self.selves);
    }

    /// Nothing changes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Entries that change.
    pub fn len(&self) -> usize {
        self.pools.len()
            + self.gates.len()
            + self.walls.len()
            + self.fronts.len()
            + self.node_fronts.len()
            + self.guarded.len()
            + self.addresses.len()
            + self.selves.len()
    }

    /// UDP conversations that this change leaves astray.
    pub fn stale_udp(&self) -> StaleUdp {
        use crate::rules::Protocol::Udp;
        let mut stale = StaleUdp::default();
        for change in &self.pools {
            let backends = |pool: &Option<Pool>| -> BTreeSet<Backend> {
                let udp = pool.as_ref().filter(|pool| pool.protocol == Udp);
                udp.map(|pool| pool.backends.iter().copied().collect()).unwrap_or_default()
            };
            let after = backends(&change.after);
            stale.gone.extend(backends(&change.before).difference(&after).copied());
        }
        let wakes = |before: Option<Target>, after: Option<Target>| {
            let leads = |target| matches!(target, Some(Target::Pool(_) | Target::Gate(_)));
            leads(after) && !leads(before)
        };
        let fronts = self.fronts.iter().filter(|change| wakes(change.before, change.after));
        stale.woken.extend(fronts.map(|change| change.key).filter(|front| front.protocol == Udp));
        let nodes = self.node_fronts.iter().filter(|change| wakes(change.before, change.after));
        stale.woken_nodes.extend(nodes.map(|change| change.key).filter(|front| front.protocol == Udp));
        stale
    }
}

pub(crate) fn maps<K: Ord + Clone, V: PartialEq + Clone>(
    before: &BTreeMap<K, V>,
    after: &BTreeMap<K, V>,
) -> Vec<Change<K, V>> {
    let keys: BTreeSet<&K> = before.keys().chain(after.keys()).collect();
    let changed = keys.into_iter().filter(|key| before.get(key) != after.get(key));
    changed
        .map(|key| Change {
            key: key.clone(),
            before: before.get(key).cloned(),
            after: after.get(key).cloned(),
        })
        .collect()
}

fn sets<K: Ord + Clone>(before: &BTreeSet<K>, after: &BTreeSet<K>) -> Vec<Change<K, ()>> {
    let there = |set: &BTreeSet<K>, key: &K| set.contains(key).then_some(());
    let keys = before.symmetric_difference(after);
    keys.map(|key| Change { key: key.clone(), before: there(before, key), after: there(after, key) })
        .collect()
}

fn put<K: Ord + Clone, V: Clone>(map: &mut BTreeMap<K, V>, changes: &[Change<K, V>]) {
    for change in changes {
        match &change.after {
            Some(value) => map.insert(change.key.clone(), value.clone()),
            None => map.remove(&change.key),
        };
    }
}

fn put_set<K: Ord + Clone>(set: &mut BTreeSet<K>, changes: &[Change<K, ()>]) {
    for change in changes {
        match change.after {
            Some(()) => set.insert(change.key.clone()),
            None => set.remove(&change.key),
        };
    }
}
