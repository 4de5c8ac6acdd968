//! Pods come, are placed, are promised room, and go.

use std::sync::Arc;

use serde_json::Value;
use trireme_schema::view::View;

use super::Ledger;
use crate::census::{Place, PodTerms};
use crate::node::NodeIx;
use crate::pod::{Pod, PodFacts, PodIx, Spread, Stage};

impl Ledger {
    /// A pod comes in, unplaced.
    pub(crate) fn add_pod(&mut self, object: &Arc<Value>, facts: PodFacts, stage: Stage) -> PodIx {
        let metadata = object.at("metadata");
        let namespace = self.names.of(metadata.text("namespace"));
        let name: Arc<str> = Arc::from(metadata.text("name"));
        let class = self.census.join(&self.names, namespace, &facts.labels, facts.deleting);
        let at = Place { names: &self.names, nodes: &self.nodes };
        let terms = self.census.hold(&at, &facts.spec, class);
        let pod = Pod {
            namespace,
            name: name.clone(),
            uid: Arc::from(metadata.text("uid")),
            labels: facts.labels,
            spec: Arc::new(facts.spec),
            priority: facts.priority,
            stage,
            node: None,
            nominated: None,
            deleting: facts.deleting,
            started: facts.started,
            controller: facts.controller,
            condition: facts.condition,
            told_nominated: facts.nominated,
            object: None,
            class,
            terms,
            defaults: None,
        };
        let at = match self.free_pods.pop() {
            Some(at) => {
                self.pods[at.at()] = pod;
                at
            }
            None => {
                self.pods.push(pod);
                PodIx(u32::try_from(self.pods.len() - 1).expect("memory ends before four billion pods"))
            }
        };
        self.pod_of.insert((namespace, name), at);
        at
    }

    /// A pod goes out, wherever it was.
    pub(crate) fn remove_pod(&mut self, pod: PodIx) {
        self.unplace(pod);
        self.nominate(pod, None);
        self.drop_defaults(pod);
        let own = &mut self.pods[pod.at()];
        let terms = std::mem::take(&mut own.terms);
        let (class, key) = (own.class, (own.namespace, own.name.clone()));
        own.object = None;
        // What is still on its way for it finds another.
        own.uid = Arc::from("");
        own.stage = Stage::Ignored;
        self.census.release(&terms);
        self.census.part(class);
        self.pod_of.remove(&key);
        self.free_pods.push(pod);
    }

    /// What is known of a pod changes: labels, specification, ending. It stays where it is placed.
    pub(crate) fn replace_pod(&mut self, pod: PodIx, facts: PodFacts) {
        let place = self.pods[pod.at()].node;
        self.unplace(pod);
        self.drop_defaults(pod);
        let own = &mut self.pods[pod.at()];
        let (class, terms) = (own.class, std::mem::take(&mut own.terms));
        let namespace = own.namespace;
        let joined = self.census.join(&self.names, namespace, &facts.labels, facts.deleting);
        let at = Place { names: &self.names, nodes: &self.nodes };
        let held = self.census.hold(&at, &facts.spec, joined);
        self.census.release(&terms);
        self.census.part(class);
        let own = &mut self.pods[pod.at()];
        own.class = joined;
        own.terms = held;
        own.labels = facts.labels;
        own.deleting = facts.deleting;
        own.started = facts.started;
        own.priority = facts.priority;
        own.spec = Arc::new(facts.spec);
        own.controller = facts.controller;
        if let Some(node) = place {
            self.place(pod, node);
        }
    }

    /// Puts a pod on a node.
    pub(crate) fn place(&mut self, pod: PodIx, node: NodeIx) {
        self.unplace(pod);
        let own = &mut self.pods[pod.at()];
        own.node = Some(node);
        let at = &mut self.nodes[node.at()];
        at.pods.push(pod);
        at.requested.add(&own.spec.requests.all, 1);
        at.scored.0 += own.spec.requests.scored.0;
        at.scored.1 += own.spec.requests.scored.1;
        at.ports.extend_from_slice(&own.spec.ports);
        at.settle();
        for claim in &own.spec.claims {
            *self.volumes.users.entry(claim.claim).or_default() += 1;
        }
        self.census.count(own.class, &own.terms, node, 1);
    }

    /// Takes a pod off its node.
    pub(crate) fn unplace(&mut self, pod: PodIx) -> Option<NodeIx> {
        let own = &mut self.pods[pod.at()];
        let node = own.node.take()?;
        let at = &mut self.nodes[node.at()];
        let place =
            at.pods.iter().rposition(|there| *there == pod).expect("a placed pod is on its node's list");
        at.pods.swap_remove(place);
        at.requested.add(&own.spec.requests.all, -1);
        at.scored.0 -= own.spec.requests.scored.0;
        at.scored.1 -= own.spec.requests.scored.1;
        for port in &own.spec.ports {
            if let Some(there) = at.ports.iter().position(|taken| taken == port) {
                at.ports.swap_remove(there);
            }
        }
        at.settle();
        for claim in &own.spec.claims {
            let users = self.volumes.users.entry(claim.claim).or_default();
            *users -= 1;
            if *users == 0 {
                self.volumes.users.remove(&claim.claim);
            }
        }
        self.census.count(own.class, &own.terms, node, -1);
        self.drop_node(node);
        Some(node)
    }

    /// Promises a pod room on a node, or takes the promise back.
    pub(crate) fn nominate(&mut self, pod: PodIx, node: Option<NodeIx>) {
        let before = std::mem::replace(&mut self.pods[pod.at()].nominated, node);
        if before == node {
            return;
        }
        if let Some(before) = before {
            self.nodes[before.at()].nominated.retain(|own| *own != pod);
            self.drop_node(before);
        }
        if let Some(node) = node {
            self.nodes[node.at()].nominated.push(pod);
        }
    }

    /// Works out a pod's constraints by default, when it has none of its own.
    pub(crate) fn refresh_defaults(&mut self, pod: PodIx, spreads: &[Spread], all_keys: bool) {
        let own = &self.pods[pod.at()];
        let generation = self.workloads.generation;
        let fresh = own.defaults.as_ref().is_some_and(|(of, _)| *of == generation);
        if fresh || !own.spec.spreads.is_empty() || spreads.is_empty() {
            return;
        }
        let mut terms = PodTerms::default();
        if let Some(selector) = self.workloads.replicas(own.namespace, &own.labels, own.controller) {
            let spreads: Vec<Spread> =
                spreads.iter().map(|one| Spread { selector: selector.clone(), ..one.clone() }).collect();
            let at = Place { names: &self.names, nodes: &self.nodes };
            let all: Vec<_> = spreads.iter().collect();
            self.census.hold_spreads(&at, &own.spec, own.class, &all, all_keys, &mut terms);
        }
        self.drop_defaults(pod);
        self.pods[pod.at()].defaults = Some((generation, terms));
    }

    /// Lets go of the constraints by default.
    pub(crate) fn drop_defaults(&mut self, pod: PodIx) {
        if let Some((_, terms)) = self.pods[pod.at()].defaults.take() {
            self.census.release(&terms);
        }
    }
}
