//! [`Ledger`]: nodes, pods and what is counted about them, changed one object at a time.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;
use trireme_schema::view::View;

use crate::budget::Budget;
use crate::census::{Census, Place, PodTerms};
use crate::names::{Names, Sym};
use crate::node::{Node, NodeFacts, NodeIx};
use crate::pod::{Pod, PodFacts, PodIx, Spread, Stage};
use crate::volumes::Volumes;
use crate::workloads::Workloads;

/// What changed about a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NodeChange {
    pub(crate) node: NodeIx,
    pub(crate) added: bool,
    pub(crate) allocatable: bool,
    pub(crate) labels: bool,
    pub(crate) taints: bool,
}

/// Texts that plugins look for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known {
    pub(crate) zone: Sym,
    pub(crate) region: Sym,
    pub(crate) unschedulable: Sym,
    pub(crate) empty: Sym,
    pub(crate) cpu: Sym,
    pub(crate) memory: Sym,
    pub(crate) ephemeral: Sym,
}

impl Known {
    fn new(names: &mut Names) -> Self {
        Self {
            zone: names.of("topology.kubernetes.io/zone"),
            region: names.of("topology.kubernetes.io/region"),
            unschedulable: names.of("node.kubernetes.io/unschedulable"),
            empty: names.of(""),
            cpu: names.of("cpu"),
            memory: names.of("memory"),
            ephemeral: names.of("ephemeral-storage"),
        }
    }
}

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Ledger {
    pub(crate) names: Names,
    pub(crate) known: Known,
    pub(crate) nodes: Vec<Node>,
    node_of: BTreeMap<Sym, NodeIx>,
    free_nodes: Vec<NodeIx>,
    /// Nodes that are there, zones taking turns.
    order: Vec<NodeIx>,
    order_stale: bool,
    pub(crate) pods: Vec<Pod>,
    pod_of: BTreeMap<(Sym, Arc<str>), PodIx>,
    free_pods: Vec<PodIx>,
    pub(crate) census: Census,
    /// Nodes that have an image.
    pub(crate) images: BTreeMap<Sym, i64>,
    /// Nodes with a taint that only makes them less liked.
    pub(crate) soft_tainted: usize,
    pub(crate) volumes: Volumes,
    pub(crate) workloads: Workloads,
    pub(crate) budgets: BTreeMap<(Sym, Sym), Budget>,
}

impl Ledger {
    /// Empty.
    pub(crate) fn new() -> Self {
        let mut names = Names::default();
        let known = Known::new(&mut names);
        Self {
            names,
            known,
            nodes: Vec::new(),
            node_of: BTreeMap::new(),
            free_nodes: Vec::new(),
            order: Vec::new(),
            order_stale: false,
            pods: Vec::new(),
            pod_of: BTreeMap::new(),
            free_pods: Vec::new(),
            census: Census::default(),
            images: BTreeMap::new(),
            soft_tainted: 0,
            volumes: Volumes::default(),
            workloads: Workloads::default(),
            budgets: BTreeMap::new(),
        }
    }

    /// The node.
    pub(crate) fn node(&self, node: NodeIx) -> &Node {
        &self.nodes[node.at()]
    }

    /// The pod.
    pub(crate) fn pod(&self, pod: PodIx) -> &Pod {
        &self.pods[pod.at()]
    }

    /// The pod, for change.
    pub(crate) fn pod_mut(&mut self, pod: PodIx) -> &mut Pod {
        &mut self.pods[pod.at()]
    }

    /// A node's name.
    pub(crate) fn node_name(&self, node: NodeIx) -> &str {
        self.names.text(self.node(node).name)
    }

    /// A node that is there.
    pub(crate) fn find_node(&self, name: Sym) -> Option<NodeIx> {
        self.node_of.get(&name).copied().filter(|node| self.node(*node).present)
    }

    /// A pod by namespace and name.
    pub(crate) fn find_pod(&self, namespace: &str, name: &str) -> Option<PodIx> {
        let namespace = self.names.find(namespace)?;
        self.pod_of.get(&(namespace, Arc::from(name))).copied()
    }

    /// The nodes that are there: one of each zone in turn.
    pub(crate) fn order(&mut self) -> &[NodeIx] {
        if self.order_stale {
            self.order_stale = false;
            let keys = (self.known.region, self.known.zone);
            let mut zones: BTreeMap<_, Vec<NodeIx>> = BTreeMap::new();
            for node in self.node_of.values().filter(|node| self.nodes[node.at()].present) {
                zones.entry(self.nodes[node.at()].zone(keys)).or_default().push(*node);
            }
            self.order.clear();
            let longest = zones.values().map(Vec::len).max().unwrap_or(0);
            for turn in 0..longest {
                self.order.extend(zones.values().filter_map(|zone| zone.get(turn)));
            }
        }
        &self.order
    }

    /// The order as last worked out by [`Ledger::order`].
    pub(crate) fn ordered(&self) -> &[NodeIx] {
        debug_assert!(!self.order_stale, "the order is worked out at the start of a cycle");
        &self.order
    }

    /// A node is so now. `None` when nothing that matters changed.
    pub(crate) fn put_node(&mut self, object: &Value) -> Option<NodeChange> {
        let name = self.names.of(object.at("metadata").text("name"));
        let facts = NodeFacts::read(&mut self.names, object);
        let node = self.node_slot(name);
        let old = &self.nodes[node.at()];
        let change = NodeChange {
            node,
            added: !old.present,
            allocatable: old.facts.allocatable != facts.allocatable
                || old.facts.allowed_pods != facts.allowed_pods,
            labels: old.facts.labels != facts.labels,
            taints: old.facts.taints != facts.taints || old.facts.unschedulable != facts.unschedulable,
        };
        if old.present && old.facts == facts {
            return None;
        }
        let moves = change.added || change.labels || change.taints;
        if moves {
            self.detach(node);
        }
        self.count_facts(node, -1);
        self.nodes[node.at()].facts = facts;
        self.nodes[node.at()].present = true;
        self.nodes[node.at()].settle();
        if change.added {
            let limits = self.volumes.limits.get(&name).cloned().unwrap_or_default();
            self.nodes[node.at()].volume_limits = limits;
        }
        self.count_facts(node, 1);
        if moves {
            self.attach(node);
            self.order_stale = true;
        }
        Some(change)
    }

    /// A node is gone. Its pods stay known.
    pub(crate) fn remove_node(&mut self, name: &str) -> Option<NodeIx> {
        let node = self.find_node(self.names.find(name)?)?;
        self.detach(node);
        self.count_facts(node, -1);
        let own = &mut self.nodes[node.at()];
        own.present = false;
        own.facts = NodeFacts::default();
        own.settle();
        self.order_stale = true;
        self.drop_node(node);
        Some(node)
    }

    fn count_facts(&mut self, node: NodeIx, by: i64) {
        let own = &self.nodes[node.at()];
        if !own.present {
            return;
        }
        if own.facts.taints.iter().any(|taint| !taint.effect.is_hard()) {
            self.soft_tainted = self.soft_tainted.wrapping_add_signed(if by > 0 { 1 } else { -1 });
        }
        for image in &own.facts.images {
            let nodes = self.images.entry(image.name).or_default();
            *nodes += by;
            if *nodes == 0 {
                self.images.remove(&image.name);
            }
        }
    }

    fn attach(&mut self, node: NodeIx) {
        self.census.attach(&self.names, node, &self.nodes[node.at()]);
        for pod in &self.nodes[node.at()].pods {
            let pod = &self.pods[pod.at()];
            self.census.count(pod.class, &pod.terms, node, 1);
        }
    }

    fn detach(&mut self, node: NodeIx) {
        for pod in &self.nodes[node.at()].pods {
            let pod = &self.pods[pod.at()];
            self.census.count(pod.class, &pod.terms, node, -1);
        }
        self.census.detach(node);
    }

    /// The slot of a node, made when absent.
    pub(crate) fn node_slot(&mut self, name: Sym) -> NodeIx {
        if let Some(node) = self.node_of.get(&name) {
            return *node;
        }
        let node = match self.free_nodes.pop() {
            Some(node) => {
                self.nodes[node.at()] = Node::new(name);
                node
            }
            None => {
                self.nodes.push(Node::new(name));
                NodeIx(u32::try_from(self.nodes.len() - 1).expect("memory ends before four billion nodes"))
            }
        };
        self.node_of.insert(name, node);
        node
    }

    fn drop_node(&mut self, node: NodeIx) {
        let own = &self.nodes[node.at()];
        if !own.present && own.pods.is_empty() && own.nominated.is_empty() {
            self.node_of.remove(&own.name);
            self.free_nodes.push(node);
        }
    }

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
