use core::net::IpAddr;
use std::collections::{BTreeMap, BTreeSet};

use crate::claims::Claims;
use crate::compile::{Compiled, Numbers};
use crate::delta::Delta;
use crate::health::HealthCheck;
use crate::rules::{Front, NodeFront, Rules, Target};
use crate::service::{Service, ServiceKey};
use crate::slice::Slice;

/// What the compiler knows of its own node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeView {
    /// Name.
    pub name: String,
    /// Label `topology.kubernetes.io/zone`; empty: none.
    pub zone: String,
    /// Addresses that this node answers itself although they are a Service's, such as the cluster's DNS.
    pub answered_here: BTreeSet<IpAddr>,
}

/// See the crate.
#[derive(Debug, Default)]
pub struct Compiler {
    node: NodeView,
    services: BTreeMap<ServiceKey, Service>,
    slices: BTreeMap<ServiceKey, BTreeMap<String, Slice>>,
    /// Which Service a slice belongs to, by namespace and name.
    owners: BTreeMap<(String, String), ServiceKey>,
    compiled: BTreeMap<ServiceKey, Compiled>,
    numbers: Numbers,
    fronts: Claims<Front, Target>,
    node_fronts: Claims<NodeFront, Target>,
    guarded: Claims<Front, u32>,
    addresses: Claims<IpAddr, ()>,
    selves: Claims<IpAddr, ()>,
    rules: Rules,
    dirty: BTreeSet<ServiceKey>,
}

impl Compiler {
    /// A compiler for a node.
    pub fn new(node: NodeView) -> Self {
        Self { node, ..Self::default() }
    }

    /// The node's own facts changed: everything is decided anew.
    pub fn set_node(&mut self, node: NodeView) {
        if self.node != node {
            self.node = node;
            self.dirty.extend(self.services.keys().cloned());
        }
    }

    /// A Service as it is now; `None` when packets do not concern it any more, or it is gone.
    pub fn set_service(&mut self, key: &ServiceKey, service: Option<Service>) {
        if self.services.get(key) == service.as_ref() {
            return;
        }
        match service {
            Some(service) => self.services.insert(key.clone(), service),
            None => self.services.remove(key),
        };
        self.dirty.insert(key.clone());
    }

    /// A slice as it is now, by namespace and name; `None` when it is gone.
    pub fn set_slice(&mut self, namespace: &str, name: &str, slice: Option<Slice>) {
        let id = (namespace.to_owned(), name.to_owned());
        let owner = slice.as_ref().map(|slice| slice.service.clone());
        let before = match &owner {
            Some(owner) => self.owners.insert(id, owner.clone()),
            None => self.owners.remove(&id),
        };
        if let Some(before) = before.filter(|before| Some(before) != owner.as_ref()) {
            if let Some(slices) = self.slices.get_mut(&before) {
                slices.remove(name);
                if slices.is_empty() {
                    self.slices.remove(&before);
                }
            }
            self.dirty.insert(before);
        }
        if let (Some(owner), Some(slice)) = (owner, slice) {
            let slices = self.slices.entry(owner.clone()).or_default();
            if slices.get(name) != Some(&slice) {
                slices.insert(name.to_owned(), slice);
                self.dirty.insert(owner);
            }
        }
    }

    /// Names of all Services that are known; a shell that lists anew removes those that are gone.
    pub fn services(&self) -> impl Iterator<Item = &ServiceKey> {
        self.services.keys()
    }

    /// Namespaces and names of all slices that are known.
    pub fn slices(&self) -> impl Iterator<Item = &(String, String)> {
        self.owners.keys()
    }

    /// What must change since the last call, and becomes part of [`Self::rules`].
    pub fn compile(&mut self) -> Delta {
        let mut delta = Delta::default();
        for key in std::mem::take(&mut self.dirty) {
            self.compile_service(&key, &mut delta);
        }
        let delta = netted(delta);
        delta.apply(&mut self.rules);
        delta
    }

    fn compile_service(&mut self, key: &ServiceKey, delta: &mut Delta) {
        let nothing = BTreeMap::new();
        let slices = self.slices.get(key).unwrap_or(&nothing);
        let before = self.compiled.remove(key).unwrap_or_default();
        let after = match self.services.get(key) {
            Some(service) => Compiled::new(service, slices, &self.node, &before, &mut self.numbers),
            None => Compiled::default(),
        };
        delta.pools.extend(crate::delta::maps(&before.pools, &after.pools));
        delta.gates.extend(crate::delta::maps(&before.gates, &after.gates));
        delta.walls.extend(crate::delta::maps(&before.walls, &after.walls));
        delta.fronts.extend(self.fronts.replace(key, &before.fronts, &after.fronts));
        delta.node_fronts.extend(self.node_fronts.replace(key, &before.node_fronts, &after.node_fronts));
        delta.guarded.extend(self.guarded.replace(key, &before.guarded, &after.guarded));
        delta.addresses.extend(self.addresses.replace(key, &before.addresses, &after.addresses));
        delta.selves.extend(self.selves.replace(key, &before.selves, &after.selves));
        if after != Compiled::default() {
            self.compiled.insert(key.clone(), after);
        }
    }

    /// Everything that was planned so far.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// The health checks of all Services, by port.
    pub fn health_checks(&self) -> Vec<HealthCheck> {
        self.compiled.values().filter_map(|compiled| compiled.health.clone()).collect()
    }
}

/// A key that changed hands between two Services of one compilation changes once.
fn netted(delta: Delta) -> Delta {
    Delta {
        fronts: net(delta.fronts),
        node_fronts: net(delta.node_fronts),
        guarded: net(delta.guarded),
        addresses: net(delta.addresses),
        selves: net(delta.selves),
        ..delta
    }
}

fn net<K: Ord + Clone, V: PartialEq>(changes: Vec<crate::Change<K, V>>) -> Vec<crate::Change<K, V>> {
    let mut by_key: BTreeMap<K, crate::Change<K, V>> = BTreeMap::new();
    for change in changes {
        match by_key.get_mut(&change.key) {
            Some(known) => known.after = change.after,
            None => {
                by_key.insert(change.key.clone(), change);
            }
        }
    }
    by_key.into_values().filter(|change| change.before != change.after).collect()
}
