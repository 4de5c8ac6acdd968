//! [`Node`]: a machine as the scheduler sees it.

use serde_json::Value;
use smallvec::SmallVec;
use trireme_schema::view::View;

use crate::labels::Labels;
use crate::names::{Names, Sym};
use crate::pod::{HostPort, PodIx};
use crate::resources::{Resources, quantity};
use crate::taints::{Taints, read_taints};

/// A place in the ledger's table of nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct NodeIx(pub(crate) u32);

impl NodeIx {
    /// As an index.
    pub(crate) fn at(self) -> usize {
        self.0 as usize
    }
}

/// An image on a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Image {
    pub(crate) name: Sym,
    pub(crate) bytes: i64,
}

/// What the API says about a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct NodeFacts {
    pub(crate) labels: Labels,
    pub(crate) taints: Taints,
    pub(crate) unschedulable: bool,
    pub(crate) allocatable: Resources,
    pub(crate) allowed_pods: i64,
    /// Sorted by name.
    pub(crate) images: Vec<Image>,
}

impl NodeFacts {
    /// From a Node.
    pub(crate) fn read(names: &mut Names, node: &Value) -> Self {
        let (spec, status) = (node.at("spec"), node.at("status"));
        let mut images = Vec::new();
        for image in status.list("images") {
            let bytes = image.int("sizeBytes").unwrap_or(0);
            let own = image.list("names").iter().filter_map(Value::as_str);
            images.extend(own.map(|name| Image { name: names.of(name), bytes }));
        }
        images.sort_unstable_by_key(|image| image.name);
        images.dedup_by_key(|image| image.name);
        // A node that does not say what may be used offers all it has.
        let offered =
            if status.has("allocatable") { status.at("allocatable") } else { status.at("capacity") };
        Self {
            labels: Labels::read(names, node.below(&["metadata", "labels"])),
            taints: read_taints(names, spec.list("taints")),
            unschedulable: spec.is_true("unschedulable"),
            allocatable: Resources::read(names, offered),
            allowed_pods: quantity(offered.at("pods")).value(),
            images,
        }
    }
}

/// A node and what is placed on it.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    /// Allocatable without what is requested: what one comparison decides.
    pub(crate) free_cpu: i64,
    pub(crate) free_memory: i64,
    pub(crate) free_ephemeral: i64,
    pub(crate) free_pods: i64,
    /// The Node object is there; pods may name one that is not.
    pub(crate) present: bool,
    /// Requested CPU and memory as scores count them.
    pub(crate) scored: (i64, i64),
    pub(crate) requested: Resources,
    pub(crate) facts: NodeFacts,
    pub(crate) name: Sym,
    pub(crate) pods: Vec<PodIx>,
    pub(crate) ports: SmallVec<[HostPort; 0]>,
    /// Unbound pods that were promised this node.
    pub(crate) nominated: Vec<PodIx>,
    /// Most volumes per CSI driver, by CSINode.
    pub(crate) volume_limits: Vec<(Sym, i64)>,
}

impl Node {
    /// A node of which nothing is known but its name.
    pub(crate) fn new(name: Sym) -> Self {
        Self {
            free_cpu: 0,
            free_memory: 0,
            free_ephemeral: 0,
            free_pods: 0,
            present: false,
            scored: (0, 0),
            requested: Resources::default(),
            facts: NodeFacts::default(),
            name,
            pods: Vec::new(),
            ports: SmallVec::new(),
            nominated: Vec::new(),
            volume_limits: Vec::new(),
        }
    }

    /// Works out what is free.
    pub(crate) fn settle(&mut self) {
        let offered = &self.facts.allocatable;
        self.free_cpu = offered.cpu - self.requested.cpu;
        self.free_memory = offered.memory - self.requested.memory;
        self.free_ephemeral = offered.ephemeral - self.requested.ephemeral;
        let placed = i64::try_from(self.pods.len()).unwrap_or(i64::MAX);
        self.free_pods = self.facts.allowed_pods - placed;
    }

    /// The place that zones are told apart by: region and zone.
    pub(crate) fn zone(&self, keys: (Sym, Sym)) -> (Option<Sym>, Option<Sym>) {
        (self.facts.labels.get(keys.0), self.facts.labels.get(keys.1))
    }
}
