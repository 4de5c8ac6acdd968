//! What is told about pods.

use std::sync::Arc;

use serde_json::Value;
use trireme_core::Tick;
use trireme_schema::view::View;

use super::Scheduler;
use crate::plugins::{ClusterEvent, Subject};
use crate::pod::{PodFacts, PodIx, Stage};

impl Scheduler {
    /// A pod is so now.
    pub(super) fn put_pod(&mut self, now: Tick, object: &Arc<Value>) {
        let metadata = object.at("metadata");
        let mut there = self.ledger.find_pod(metadata.text("namespace"), metadata.text("name"));
        if let Some(pod) = there
            && *self.ledger.pod(pod).uid != *metadata.text("uid")
        {
            self.pod_gone(now, pod);
            there = None;
        }
        let facts = PodFacts::read(&mut self.ledger.names, object);
        match there {
            Some(pod) if facts.finished => self.pod_gone(now, pod),
            None if facts.finished => {}
            Some(pod) => match facts.node {
                Some(node) => self.pod_bound(now, pod, node, facts),
                None => self.pod_waits(now, pod, facts, object),
            },
            None => self.pod_new(now, facts, object),
        }
    }

    fn pod_new(&mut self, now: Tick, facts: PodFacts, object: &Arc<Value>) {
        if let Some(name) = facts.node {
            let node = self.ledger.node_slot(name);
            let pod = self.ledger.add_pod(object, facts, Stage::Bound);
            self.keep_object(pod, object);
            self.ledger.place(pod, node);
            let placed = self.subject(pod);
            self.happened(now, &ClusterEvent::Placed(placed));
            return;
        }
        // A pod of another scheduler is not ours, and one that ends needs no node.
        let Some(profile) = self.profile_of(facts.spec.scheduler) else { return };
        if facts.deleting {
            return;
        }
        let gated = self.setup.profiles[profile].gates && !facts.spec.gates.is_empty();
        let (priority, nominated) = (facts.priority, facts.nominated);
        let pod = self.ledger.add_pod(object, facts, Stage::Waiting);
        self.keep_object(pod, object);
        if let Some(node) = nominated.and_then(|name| self.ledger.find_node(name)) {
            self.ledger.nominate(pod, Some(node));
        }
        self.queue.add(now, pod, priority, gated);
    }

    /// Extenders are shown whole pods; without any, none is kept.
    fn keep_object(&mut self, pod: PodIx, object: &Arc<Value>) {
        if !self.setup.extenders.is_empty() {
            self.ledger.pod_mut(pod).object = Some(object.clone());
        }
    }

    fn pod_bound(&mut self, now: Tick, pod: PodIx, name: crate::names::Sym, facts: PodFacts) {
        let node = self.ledger.node_slot(name);
        let own = self.ledger.pod(pod);
        let (was, stage) = (own.node, own.stage);
        let same = own.labels == facts.labels && own.deleting == facts.deleting && *own.spec == facts.spec;
        let before = was.map(|_| self.subject(pod));
        if same {
            let own = self.ledger.pod_mut(pod);
            own.started = facts.started;
            own.priority = facts.priority;
        } else {
            self.ledger.replace_pod(pod, facts);
        }
        if was != Some(node) {
            self.ledger.place(pod, node);
        }
        if stage != Stage::Bound {
            self.ledger.nominate(pod, None);
            self.ledger.drop_defaults(pod);
            self.ledger.pod_mut(pod).stage = Stage::Bound;
            self.queue.remove(pod);
        }
        if let Some(before) = before.filter(|_| !same || was != Some(node)) {
            self.happened(now, &ClusterEvent::Freed(before));
        }
        if stage != Stage::Bound || !same {
            let placed = self.subject(pod);
            self.happened(now, &ClusterEvent::Placed(placed));
        }
    }

    fn pod_waits(&mut self, now: Tick, pod: PodIx, facts: PodFacts, object: &Arc<Value>) {
        let own = self.ledger.pod(pod);
        match own.stage {
            // The view is older than the decision, whose outcome is to come.
            Stage::Assumed | Stage::Bound => return,
            Stage::Waiting | Stage::Asking | Stage::Ignored => {}
        }
        if facts.deleting {
            return self.pod_gone(now, pod);
        }
        let Some(profile) = self.profile_of(facts.spec.scheduler) else { return self.pod_gone(now, pod) };
        let gated = self.setup.profiles[profile].gates && !facts.spec.gates.is_empty();
        let changed = own.labels != facts.labels || *own.spec != facts.spec || own.priority != facts.priority;
        let nominated = facts.nominated;
        let (told, priority) = (facts.condition.clone(), facts.priority);
        if changed {
            self.ledger.replace_pod(pod, facts);
        }
        let own = self.ledger.pod_mut(pod);
        own.condition = told;
        own.priority = priority;
        self.keep_object(pod, object);
        if self.ledger.pod(pod).told_nominated != nominated {
            self.ledger.pod_mut(pod).told_nominated = nominated;
            let node = nominated.and_then(|name| self.ledger.find_node(name));
            self.ledger.nominate(pod, node);
        }
        if changed {
            self.queue.activate(now, pod, priority, gated);
        }
    }

    /// A pod is gone, or needs nothing any more.
    pub(super) fn pod_gone(&mut self, now: Tick, pod: PodIx) {
        let freed = self.ledger.pod(pod).node.map(|_| self.subject(pod));
        let promised = self.ledger.pod(pod).nominated;
        self.queue.remove(pod);
        self.records.remove(&pod);
        self.ledger.remove_pod(pod);
        if let Some(freed) = freed {
            self.happened(now, &ClusterEvent::Freed(freed));
        } else if let Some(node) = promised {
            // The promise is taken back: lower pods may have the room.
            self.happened_at(now, node);
        }
    }

    /// Room at a node is free again without a pod having gone.
    pub(super) fn happened_at(&mut self, now: Tick, node: crate::node::NodeIx) {
        let change =
            crate::ledger::NodeChange { node, added: false, allocatable: true, labels: false, taints: false };
        self.happened(now, &ClusterEvent::Node(change));
    }

    /// A placed pod as an event tells of it.
    pub(super) fn subject(&self, pod: PodIx) -> Subject {
        let own = self.ledger.pod(pod);
        Subject {
            node: own.node.expect("the event is about a placed pod"),
            namespace: own.namespace,
            labels: own.labels.clone(),
            repels: !own.spec.anti_affinity.is_empty(),
            ports: own.spec.ports.to_vec(),
            claims: own.spec.claims.iter().map(|one| one.claim).collect(),
        }
    }
}
