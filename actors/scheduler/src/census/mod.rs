//! [`Census`]: how many pods of which kind are where, counted as pods come and go, so that affinity and spreading are
//! decided by looking a number up.
//!
//! Pods with the same namespace and labels are one *class*. What a term or a constraint asks of other pods is a
//! *matcher*; which classes a matcher selects is worked out once for each pair. A matcher has a [`Tally`] for each
//! topology that something asks it about, and *carriers*: pods that hold the term themselves, which is how the
//! anti-affinity of pods that are already placed is known.

mod hold;

use std::collections::BTreeMap;

use crate::labels::{Labels, NodeSelector, Selector};
use crate::names::{Names, Sym};
use crate::node::{Node, NodeIx};
use crate::taints::{Toleration, untolerated};
use crate::tally::Tally;
use crate::topology::{Domain, Topology};

/// Matchers that nobody holds stay so long as they are no more than this: most come back with the next replica.
const IDLE_MATCHERS: usize = 1_024;

/// Index of a class.
pub(crate) type ClassIx = usize;
/// Index of a matcher.
type MatcherIx = usize;
/// Index of a tally.
pub(crate) type TallyIx = usize;
/// Index of a carrier.
pub(crate) type CarrierIx = usize;

/// Namespace, labels, and whether the pods are ending: those no longer count for spreading.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct ClassKey {
    namespace: Sym,
    labels: Labels,
    ending: bool,
}

#[derive(Clone, Debug)]
struct Class {
    key: ClassKey,
    refs: usize,
    /// Matchers that select it.
    matching: Vec<MatcherIx>,
    /// Placed pods by node.
    placed: BTreeMap<NodeIx, i64>,
}

/// What a pod must be to match one term.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Wanted {
    namespaces: Vec<Sym>,
    namespace_selector: Option<Selector>,
    selector: Selector,
}

/// All of `wanted` must match one pod.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct MatcherKey {
    wanted: Vec<Wanted>,
    /// For spreading: pods that are ending do not count.
    spread: bool,
}

#[derive(Clone, Debug)]
struct Matcher {
    key: MatcherKey,
    refs: usize,
    tallies: Vec<TallyIx>,
    carriers: Vec<CarrierIx>,
}

/// As what placed pods hold a term.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    /// Required anti-affinity.
    Repels,
    /// Required affinity.
    Attracts,
    /// Preferred, counted by weight.
    Prefers,
}

/// Placed pods that hold a term.
#[derive(Clone, Debug)]
pub(crate) struct Carrier {
    pub(crate) role: Role,
    pub(crate) tally: Tally,
}

/// Which nodes count for spreading.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct EligibilityKey {
    /// Labels that a node must have.
    pub(crate) keys: Vec<Sym>,
    pub(crate) node_labels: Labels,
    pub(crate) node_affinity: Option<NodeSelector>,
    /// With `nodeTaintsPolicy: Honor`.
    pub(crate) tolerations: Option<Vec<Toleration>>,
}

impl EligibilityKey {
    fn admits(&self, names: &Names, node: &Node) -> bool {
        let facts = &node.facts;
        let affinity = self.node_affinity.as_ref();
        self.keys.iter().all(|key| facts.labels.get(*key).is_some())
            && self.node_labels.within(&facts.labels)
            && affinity.is_none_or(|selector| selector.matches(names, node.name, &facts.labels))
            && self.tolerations.as_ref().is_none_or(|own| untolerated(&facts.taints, own).is_none())
    }
}

#[derive(Clone, Debug)]
struct Eligibility {
    key: EligibilityKey,
    refs: usize,
    /// By node.
    admits: Vec<bool>,
}

/// A spread constraint, ready to be looked up.
#[derive(Clone, Debug)]
pub(crate) struct SpreadTerm {
    pub(crate) tally: TallyIx,
    pub(crate) max_skew: i64,
    pub(crate) min_domains: i64,
    pub(crate) hard: bool,
    /// The pod counts itself.
    pub(crate) own: bool,
    pub(crate) hostname: bool,
}

/// A pod's terms in the census.
#[derive(Clone, Debug, Default)]
pub(crate) struct PodTerms {
    /// Matchers that it holds.
    held: Vec<MatcherIx>,
    /// Where it counts as a carrier once placed, and with what weight.
    carried: Vec<(CarrierIx, i64)>,
    /// Required affinity: pods that match all terms, by each term's topology.
    pub(crate) near: Vec<TallyIx>,
    /// The matcher of all required affinity together.
    near_all: Option<MatcherIx>,
    /// Required anti-affinity.
    pub(crate) far: Vec<TallyIx>,
    /// Preferred, with weights.
    pub(crate) preferred: Vec<(TallyIx, i64)>,
    /// Spread constraints of its own.
    pub(crate) spreads: Vec<SpreadTerm>,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub(crate) struct Census {
    topologies: Vec<Topology>,
    topology_of: BTreeMap<Sym, usize>,
    classes: Vec<Class>,
    class_of: BTreeMap<ClassKey, ClassIx>,
    free_classes: Vec<ClassIx>,
    matchers: Vec<Matcher>,
    matcher_of: BTreeMap<MatcherKey, MatcherIx>,
    free_matchers: Vec<MatcherIx>,
    idle: usize,
    tallies: Vec<Tally>,
    free_tallies: Vec<TallyIx>,
    carriers: Vec<Carrier>,
    free_carriers: Vec<CarrierIx>,
    eligibilities: Vec<Eligibility>,
    eligibility_of: BTreeMap<EligibilityKey, usize>,
    free_eligibilities: Vec<usize>,
    namespaces: BTreeMap<Sym, Labels>,
    /// Nodes that count at all.
    attached: Vec<bool>,
}

impl Census {
    /// The tally.
    pub(crate) fn tally(&self, tally: TallyIx) -> &Tally {
        &self.tallies[tally]
    }

    /// The carrier.
    pub(crate) fn carrier(&self, carrier: CarrierIx) -> &Carrier {
        &self.carriers[carrier]
    }

    /// Where a node is in a tally's topology.
    pub(crate) fn domain(&self, tally: &Tally, node: NodeIx) -> Domain {
        self.topologies[tally.topology].domain(node)
    }

    /// How many domains a tally's topology has room for.
    pub(crate) fn size(&self, tally: &Tally) -> usize {
        self.topologies[tally.topology].size()
    }

    /// Whether pods of a class match all of the required affinity of `terms`. Asked anew each time: labels of namespaces
    /// change.
    pub(crate) fn is_near_itself(&self, class: ClassIx, terms: &PodTerms) -> bool {
        terms.near_all.is_some_and(|all| self.classes[class].matching.contains(&all))
    }

    /// Carriers of terms that select a class, in a role, held by anybody.
    pub(crate) fn carriers_of(&self, class: ClassIx) -> impl Iterator<Item = (CarrierIx, &Carrier)> {
        let matching = self.classes[class].matching.iter();
        let all = matching.flat_map(|matcher| &self.matchers[*matcher].carriers);
        all.map(|carrier| (*carrier, &self.carriers[*carrier])).filter(|(_, one)| one.tally.total != 0)
    }

    /// The class of pods with these labels; one more pod is of it.
    pub(crate) fn join(&mut self, names: &Names, namespace: Sym, labels: &Labels, ending: bool) -> ClassIx {
        let key = ClassKey { namespace, labels: labels.clone(), ending };
        if let Some(class) = self.class_of.get(&key) {
            self.classes[*class].refs += 1;
            return *class;
        }
        let matching = (0..self.matchers.len()).filter(|matcher| self.selects(names, *matcher, &key));
        let class =
            Class { key: key.clone(), refs: 1, matching: matching.collect(), placed: BTreeMap::new() };
        let at = put(&mut self.classes, &mut self.free_classes, class);
        self.class_of.insert(key, at);
        at
    }

    /// One pod less is of the class.
    pub(crate) fn part(&mut self, class: ClassIx) {
        let own = &mut self.classes[class];
        own.refs -= 1;
        if own.refs == 0 {
            own.matching.clear();
            own.placed.clear();
            self.class_of.remove(&own.key);
            self.free_classes.push(class);
        }
    }

    fn selects(&self, names: &Names, matcher: MatcherIx, class: &ClassKey) -> bool {
        let key = &self.matchers[matcher].key;
        if self.matchers[matcher].refs == 0 && key.wanted.is_empty() || key.spread && class.ending {
            return false;
        }
        key.wanted.iter().all(|wanted| {
            let by_labels = || {
                let labels = self.namespaces.get(&class.namespace);
                let selector = wanted.namespace_selector.as_ref();
                selector.is_some_and(|selector| match labels {
                    Some(labels) => selector.matches(names, labels),
                    None => selector.is_everything(),
                })
            };
            (wanted.namespaces.contains(&class.namespace) || by_labels())
                && wanted.selector.matches(names, &class.labels)
        })
    }

    /// A pod was placed on a node (`by` 1) or taken off (`by` -1).
    pub(crate) fn count(&mut self, class: ClassIx, terms: &PodTerms, node: NodeIx, by: i64) {
        if !self.attached.get(node.at()).is_some_and(|attached| *attached) {
            return;
        }
        let class = &mut self.classes[class];
        let placed = class.placed.entry(node).or_default();
        *placed += by;
        if *placed == 0 {
            class.placed.remove(&node);
        }
        for matcher in &class.matching {
            for tally in &self.matchers[*matcher].tallies {
                let tally = &mut self.tallies[*tally];
                if self.eligibilities[tally.eligibility].admits[node.at()] {
                    tally.add(self.topologies[tally.topology].domain(node), by);
                }
            }
        }
        for (carrier, weight) in &terms.carried {
            let tally = &mut self.carriers[*carrier].tally;
            tally.add(self.topologies[tally.topology].domain(node), by * weight);
        }
    }

    /// A node begins to count. Its pods are counted by the caller, after.
    pub(crate) fn attach(&mut self, names: &Names, at: NodeIx, node: &Node) {
        if self.attached.len() <= at.at() {
            self.attached.resize(at.at() + 1, false);
        }
        self.attached[at.at()] = true;
        for topology in &mut self.topologies {
            topology.enter(at, node.facts.labels.get(topology.key));
        }
        for own in &mut self.eligibilities {
            if own.admits.len() <= at.at() {
                own.admits.resize(at.at() + 1, false);
            }
            own.admits[at.at()] = own.refs > 0 && own.key.admits(names, node);
        }
        self.each_tally(at, |tally, domain| tally.enter(domain));
    }

    /// A node counts no longer. Its pods were taken out of the count by the caller, before.
    pub(crate) fn detach(&mut self, at: NodeIx) {
        if !self.attached.get(at.at()).is_some_and(|attached| *attached) {
            return;
        }
        self.each_tally(at, |tally, domain| tally.leave(domain));
        self.attached[at.at()] = false;
        for own in self.eligibilities.iter_mut().filter(|own| own.refs > 0) {
            own.admits[at.at()] = false;
        }
        for topology in &mut self.topologies {
            topology.leave(at);
        }
    }

    fn each_tally(&mut self, at: NodeIx, mut change: impl FnMut(&mut Tally, Domain)) {
        for matcher in self.matcher_of.values() {
            for tally in &self.matchers[*matcher].tallies {
                let tally = &mut self.tallies[*tally];
                if self.eligibilities[tally.eligibility].admits[at.at()] {
                    change(tally, self.topologies[tally.topology].domain(at));
                }
            }
        }
    }

    /// A namespace has these labels now, or is gone.
    pub(crate) fn put_namespace(&mut self, names: &Names, namespace: Sym, labels: Option<Labels>) {
        if self.namespaces.get(&namespace) == labels.as_ref() {
            return;
        }
        match labels {
            Some(labels) => self.namespaces.insert(namespace, labels),
            None => self.namespaces.remove(&namespace),
        };
        let by_labels = |key: &MatcherKey| key.wanted.iter().any(|one| one.namespace_selector.is_some());
        let matchers: Vec<MatcherIx> =
            self.matcher_of.iter().filter(|(key, _)| by_labels(key)).map(|(_, at)| *at).collect();
        let of_it = |class: &ClassIx| self.classes[*class].key.namespace == namespace;
        let classes: Vec<ClassIx> = self.class_of.values().copied().filter(of_it).collect();
        for class in classes {
            for matcher in &matchers {
                let selects = self.selects(names, *matcher, &self.classes[class].key);
                self.recount(class, *matcher, selects);
            }
        }
    }

    fn recount(&mut self, class: ClassIx, matcher: MatcherIx, selects: bool) {
        let class = &mut self.classes[class];
        let sign = match (class.matching.iter().position(|own| *own == matcher), selects) {
            (None, true) => {
                class.matching.push(matcher);
                1
            }
            (Some(at), false) => {
                class.matching.remove(at);
                -1
            }
            _ => return,
        };
        for tally in &self.matchers[matcher].tallies {
            let tally = &mut self.tallies[*tally];
            for (node, pods) in &class.placed {
                if self.eligibilities[tally.eligibility].admits[node.at()] {
                    tally.add(self.topologies[tally.topology].domain(*node), sign * pods);
                }
            }
        }
    }
}

/// What the census must see to begin to count something.
pub(crate) struct Place<'a> {
    pub(crate) names: &'a Names,
    pub(crate) nodes: &'a [Node],
}

impl Place<'_> {
    fn attached(&self, attached: &[bool]) -> impl Iterator<Item = (NodeIx, &Node)> {
        let nodes = self.nodes.iter().enumerate().zip(attached).filter(|(_, attached)| **attached);
        nodes.map(|((at, node), _)| (NodeIx(u32::try_from(at).expect("fewer nodes than 2^32")), node))
    }
}

fn put<T>(all: &mut Vec<T>, free: &mut Vec<usize>, one: T) -> usize {
    match free.pop() {
        Some(at) => {
            all[at] = one;
            at
        }
        None => {
            all.push(one);
            all.len() - 1
        }
    }
}
