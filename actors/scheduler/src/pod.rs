//! [`Pod`]: a pod as the scheduler sees it: read once, compared often.

use std::sync::Arc;

use serde_json::Value;
use smallvec::SmallVec;
use trireme_schema::view::View;

use crate::census::{ClassIx, PodTerms, SpreadTerm};
use crate::labels::{Labels, NodeSelector, NodeTerm, Requirement, Selector, Test};
use crate::names::{Names, Sym};
use crate::node::NodeIx;
use crate::resources::{Requests, read_requests};
use crate::taints::{Toleration, read_tolerations};

/// A place in the ledger's table of pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PodIx(pub(crate) u32);

impl PodIx {
    /// As an index.
    pub(crate) fn at(self) -> usize {
        self.0 as usize
    }
}

/// A port of the host that a pod takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct HostPort {
    pub(crate) port: i64,
    pub(crate) protocol: Sym,
    /// `None` takes it on every address.
    pub(crate) address: Option<Sym>,
}

impl HostPort {
    /// Both cannot be had at once.
    pub(crate) fn clashes(&self, other: &Self) -> bool {
        self.port == other.port
            && self.protocol == other.protocol
            && (self.address.is_none() || other.address.is_none() || self.address == other.address)
    }
}

/// One (anti-)affinity term.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct AffinityTerm {
    pub(crate) key: Sym,
    /// Sorted.
    pub(crate) namespaces: Vec<Sym>,
    /// On the labels of namespaces; `None` selects none.
    pub(crate) namespace_selector: Option<Selector>,
    pub(crate) selector: Selector,
}

/// One spread constraint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Spread {
    pub(crate) key: Sym,
    pub(crate) max_skew: i64,
    pub(crate) min_domains: i64,
    /// `DoNotSchedule`.
    pub(crate) hard: bool,
    pub(crate) honour_affinity: bool,
    pub(crate) honour_taints: bool,
    pub(crate) selector: Selector,
}

/// A claim that a pod mounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ClaimUse {
    /// `namespace/name`.
    pub(crate) claim: Sym,
    /// Made for this pod by a volume of its own.
    pub(crate) ephemeral: bool,
}

/// What of a pod's specification decides where it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PodSpec {
    pub(crate) requests: Requests,
    pub(crate) ports: SmallVec<[HostPort; 0]>,
    pub(crate) tolerations: Vec<Toleration>,
    pub(crate) node_labels: Labels,
    pub(crate) node_affinity: Option<NodeSelector>,
    pub(crate) preferred_nodes: Vec<(NodeTerm, i64)>,
    pub(crate) affinity: Vec<AffinityTerm>,
    pub(crate) anti_affinity: Vec<AffinityTerm>,
    /// Preferred terms; those to keep away from with a weight below zero.
    pub(crate) preferred: Vec<(AffinityTerm, i64)>,
    /// Any pod (anti-)affinity at all.
    pub(crate) has_affinity: bool,
    pub(crate) spreads: Vec<Spread>,
    pub(crate) images: Vec<Sym>,
    /// Containers, initial ones included.
    pub(crate) containers: i64,
    pub(crate) claims: SmallVec<[ClaimUse; 0]>,
    /// The only node it may go to by `spec.nodeName` before it is bound: none.
    pub(crate) scheduler: Sym,
    pub(crate) preempts: bool,
    pub(crate) gates: Vec<Sym>,
}

/// Where a pod is in its life, to the scheduler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Waits in the queue.
    Waiting,
    /// Asks an extender.
    Asking,
    /// Decided, its binding is on its way.
    Assumed,
    /// Bound, by whomever.
    Bound,
    /// Another scheduler's, or over.
    Ignored,
}

/// A pod.
#[derive(Clone, Debug)]
pub(crate) struct Pod {
    pub(crate) namespace: Sym,
    pub(crate) name: Arc<str>,
    pub(crate) uid: Arc<str>,
    pub(crate) labels: Labels,
    pub(crate) spec: Arc<PodSpec>,
    pub(crate) priority: i32,
    pub(crate) stage: Stage,
    /// Where it is placed in the ledger: bound or assumed.
    pub(crate) node: Option<NodeIx>,
    /// Where it was promised room.
    pub(crate) nominated: Option<NodeIx>,
    pub(crate) deleting: bool,
    /// `status.startTime`, seconds since 1970; what has none started last.
    pub(crate) started: i64,
    /// Kind, name of the controller.
    pub(crate) controller: Option<(Sym, Sym)>,
    /// Reason and message of the PodScheduled condition as last seen or written.
    pub(crate) condition: Option<(String, String)>,
    /// `status.nominatedNodeName` as last seen or written.
    pub(crate) told_nominated: Option<Sym>,
    /// The object, kept while an extender must be shown it.
    pub(crate) object: Option<Arc<Value>>,
    pub(crate) class: ClassIx,
    pub(crate) terms: PodTerms,
    /// Constraints by default, for a pod without its own, as of a generation of the workloads.
    pub(crate) defaults: Option<(u64, PodTerms)>,
}

impl Pod {
    /// The spread constraints that hold for it: its own, or those by default.
    pub(crate) fn spread_terms(&self) -> &[SpreadTerm] {
        match &self.defaults {
            Some((_, defaults)) if self.spec.spreads.is_empty() => &defaults.spreads,
            _ => &self.terms.spreads,
        }
    }
}

/// What [`read_spec`] and the ledger read beside the specification.
pub(crate) struct PodFacts {
    pub(crate) spec: PodSpec,
    pub(crate) labels: Labels,
    pub(crate) priority: i32,
    pub(crate) node: Option<Sym>,
    pub(crate) nominated: Option<Sym>,
    pub(crate) deleting: bool,
    pub(crate) finished: bool,
    pub(crate) started: i64,
    pub(crate) controller: Option<(Sym, Sym)>,
    pub(crate) condition: Option<(String, String)>,
}

impl PodFacts {
    /// From a Pod.
    pub(crate) fn read(names: &mut Names, pod: &Value) -> Self {
        let (metadata, spec, status) = (pod.at("metadata"), pod.at("spec"), pod.at("status"));
        let labels = Labels::read(names, metadata.at("labels"));
        let name = |names: &mut Names, text: &str| (!text.is_empty()).then(|| names.of(text));
        let started = trireme_schema::time::Moment::parse_time(status.text("startTime")).ok();
        let controller = metadata.list("ownerReferences").iter().find(|owner| owner.is_true("controller"));
        let scheduled = status.list("conditions").iter().find(|one| one.text("type") == "PodScheduled");
        let condition = scheduled.filter(|one| one.text("status") == "False");
        let priority = spec.int("priority").unwrap_or(0);
        Self {
            priority: i32::try_from(priority).unwrap_or(if priority > 0 { i32::MAX } else { i32::MIN }),
            node: name(names, spec.text("nodeName")),
            nominated: name(names, status.text("nominatedNodeName")),
            deleting: metadata.has("deletionTimestamp"),
            finished: matches!(status.text("phase"), "Succeeded" | "Failed"),
            started: started.map_or(i64::MAX, |moment| moment.unix_seconds()),
            controller: controller.map(|owner| (names.of(owner.text("kind")), names.of(owner.text("name")))),
            condition: condition.map(|one| (one.text("reason").to_owned(), one.text("message").to_owned())),
            spec: read_spec(names, pod, &labels),
            labels,
        }
    }
}

fn read_spec(names: &mut Names, pod: &Value, labels: &Labels) -> PodSpec {
    let (metadata, spec) = (pod.at("metadata"), pod.at("spec"));
    let namespace = names.of(metadata.text("namespace"));
    let affinity = spec.at("affinity");
    let nodes = affinity.at("nodeAffinity");
    let preferred_nodes = nodes.list("preferredDuringSchedulingIgnoredDuringExecution").iter();
    let preferred_nodes = preferred_nodes
        .map(|one| (NodeTerm::read(names, one.at("preference")), one.int("weight").unwrap_or(0)))
        .collect();
    let node_affinity = NodeSelector::read(names, nodes.at("requiredDuringSchedulingIgnoredDuringExecution"));
    let mut required = |field: &str| -> Vec<AffinityTerm> {
        let terms = affinity.at(field).list("requiredDuringSchedulingIgnoredDuringExecution").iter();
        terms.map(|term| read_term(names, namespace, labels, term)).collect()
    };
    let (near, far) = (required("podAffinity"), required("podAntiAffinity"));
    let mut preferred = Vec::new();
    for (field, sign) in [("podAffinity", 1), ("podAntiAffinity", -1)] {
        for one in affinity.at(field).list("preferredDuringSchedulingIgnoredDuringExecution") {
            let term = read_term(names, namespace, labels, one.at("podAffinityTerm"));
            preferred.push((term, sign * one.int("weight").unwrap_or(0)));
        }
    }
    let spreads = spec.list("topologySpreadConstraints").iter();
    let spreads = spreads.map(|one| read_spread(names, labels, one)).collect();
    let containers = || spec.list("containers").iter().chain(spec.list("initContainers"));
    let gates = spec.list("schedulingGates").iter().map(|gate| names.of(gate.text("name"))).collect();
    let scheduler = spec.text("schedulerName");
    PodSpec {
        requests: read_requests(names, pod),
        ports: read_ports(names, spec),
        tolerations: read_tolerations(names, spec.list("tolerations")),
        node_labels: Labels::read(names, spec.at("nodeSelector")),
        node_affinity,
        preferred_nodes,
        affinity: near,
        anti_affinity: far,
        preferred,
        has_affinity: affinity.has("podAffinity") || affinity.has("podAntiAffinity"),
        spreads,
        images: containers().map(|one| names.of(&image_name(one.text("image")))).collect(),
        containers: i64::try_from(containers().count()).unwrap_or(i64::MAX),
        claims: read_claims(names, metadata, spec),
        scheduler: names.of(if scheduler.is_empty() { "default-scheduler" } else { scheduler }),
        preempts: spec.text("preemptionPolicy") != "Never",
        gates,
    }
}

/// A term with its defaults: the pod's own namespace, and the pod's own values of `matchLabelKeys` (KEP-3633).
fn read_term(names: &mut Names, own: Sym, labels: &Labels, term: &Value) -> AffinityTerm {
    let mut namespaces: Vec<Sym> =
        term.list("namespaces").iter().filter_map(Value::as_str).map(|text| names.of(text)).collect();
    let given = term.at("namespaceSelector");
    let namespace_selector = given.is_object().then(|| Selector::read(names, given));
    if namespaces.is_empty() && namespace_selector.is_none() {
        namespaces.push(own);
    }
    namespaces.sort_unstable();
    namespaces.dedup();
    let mut more = own_values(names, labels, term.list("matchLabelKeys"), Test::In);
    more.extend(own_values(names, labels, term.list("mismatchLabelKeys"), Test::NotIn));
    let selector = Selector::read(names, term.at("labelSelector")).and(more);
    AffinityTerm { key: names.of(term.text("topologyKey")), namespaces, namespace_selector, selector }
}

fn own_values(
    names: &mut Names,
    labels: &Labels,
    keys: &[Value],
    test: fn(Vec<Sym>) -> Test,
) -> Vec<Requirement> {
    let keys = keys.iter().filter_map(Value::as_str).map(|text| names.of(text));
    keys.filter_map(|key| Some(Requirement { key, test: test(vec![labels.get(key)?]) })).collect()
}

fn read_spread(names: &mut Names, labels: &Labels, one: &Value) -> Spread {
    let more = own_values(names, labels, one.list("matchLabelKeys"), Test::In);
    Spread {
        key: names.of(one.text("topologyKey")),
        max_skew: one.int("maxSkew").unwrap_or(1),
        min_domains: one.int("minDomains").unwrap_or(1),
        hard: one.text("whenUnsatisfiable") != "ScheduleAnyway",
        honour_affinity: one.text("nodeAffinityPolicy") != "Ignore",
        honour_taints: one.text("nodeTaintsPolicy") == "Honor",
        selector: Selector::read(names, one.at("labelSelector")).and(more),
    }
}

fn read_ports(names: &mut Names, spec: &Value) -> SmallVec<[HostPort; 0]> {
    let sidecars = spec.list("initContainers").iter().filter(|one| one.text("restartPolicy") == "Always");
    let mut ports = SmallVec::new();
    for port in spec.list("containers").iter().chain(sidecars).flat_map(|one| one.list("ports")) {
        let Some(number) = port.int("hostPort").filter(|number| *number > 0) else { continue };
        let (protocol, address) = (port.text("protocol"), port.text("hostIP"));
        ports.push(HostPort {
            port: number,
            protocol: names.of(if protocol.is_empty() { "TCP" } else { protocol }),
            address: (!matches!(address, "" | "0.0.0.0" | "::")).then(|| names.of(address)),
        });
    }
    ports
}

fn read_claims(names: &mut Names, metadata: &Value, spec: &Value) -> SmallVec<[ClaimUse; 0]> {
    let (namespace, name) = (metadata.text("namespace"), metadata.text("name"));
    let mut claims = SmallVec::new();
    for volume in spec.list("volumes") {
        let claim = volume.below(&["persistentVolumeClaim", "claimName"]).as_str();
        let (claim, ephemeral) = match claim {
            Some(claim) => (claim.to_owned(), false),
            None if volume.has("ephemeral") => (format!("{name}-{}", volume.text("name")), true),
            None => continue,
        };
        claims.push(ClaimUse { claim: names.of(&format!("{namespace}/{claim}")), ephemeral });
    }
    claims
}

/// An image's name as nodes report it: with a tag.
fn image_name(image: &str) -> String {
    let last = image.rsplit('/').next().unwrap_or(image);
    if last.contains(':') || image.contains('@') { image.to_owned() } else { format!("{image}:latest") }
}

/// A constraint by default, of a profile: its selector is filled in for each pod.
pub(crate) fn read_default_spread(names: &mut Names, one: &Value) -> Spread {
    read_spread(names, &Labels::default(), one)
}
