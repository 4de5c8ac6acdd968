//! [`Ledger`]: nodes, pods and what is counted about them, changed one object at a time.

mod pods;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;
use trireme_schema::view::View;

use crate::budget::Budget;
use crate::census::Census;
use crate::names::{Names, Sym};
use crate::node::{Node, NodeFacts, NodeIx};
use crate::pod::{Pod, PodIx};
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
    /// Resources that nodes are not looked at for: an extender answers for them.
    pub(crate) ignored: Vec<Sym>,
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
            ignored: Vec::new(),
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
}
