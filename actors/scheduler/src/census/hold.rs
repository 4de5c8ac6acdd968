//! Terms that pods hold: begun to be counted when somebody holds them, forgotten when nobody has for long.

use super::{
    Carrier, Census, ClassIx, Eligibility, EligibilityKey, IDLE_MATCHERS, Matcher, MatcherIx, MatcherKey,
    Place, PodTerms, Role, SpreadTerm, TallyIx, Wanted, put,
};
use crate::labels::Labels;
use crate::names::{Names, Sym};
use crate::pod::{AffinityTerm, PodSpec, Spread};
use crate::tally::Tally;
use crate::topology::Topology;

impl Census {
    /// A pod's terms; each is held until [`Census::release`].
    pub(crate) fn hold(&mut self, at: &Place<'_>, spec: &PodSpec, class: ClassIx) -> PodTerms {
        let mut terms = PodTerms::default();
        if spec.has_affinity {
            self.hold_affinity(at, spec, &mut terms);
        }
        if !spec.spreads.is_empty() {
            let spreads = spec.spreads.iter().collect::<Vec<_>>();
            self.hold_spreads(at, spec, class, &spreads, true, &mut terms);
        }
        terms
    }

    fn hold_affinity(&mut self, at: &Place<'_>, spec: &PodSpec, terms: &mut PodTerms) {
        if !spec.affinity.is_empty() {
            let all = self.matcher(at.names, spec.affinity.iter().map(wanted).collect(), false, terms);
            terms.near_all = Some(all);
            for term in &spec.affinity {
                let tally = self.tally_for(at, all, term.key, &EligibilityKey::default());
                terms.near.push(tally);
                let one = self.matcher(at.names, vec![wanted(term)], false, terms);
                self.carry(at, one, term.key, Role::Attracts, 1, terms);
            }
        }
        for term in &spec.anti_affinity {
            let matcher = self.matcher(at.names, vec![wanted(term)], false, terms);
            let tally = self.tally_for(at, matcher, term.key, &EligibilityKey::default());
            terms.far.push(tally);
            self.carry(at, matcher, term.key, Role::Repels, 1, terms);
        }
        for (term, weight) in &spec.preferred {
            let matcher = self.matcher(at.names, vec![wanted(term)], false, terms);
            let tally = self.tally_for(at, matcher, term.key, &EligibilityKey::default());
            terms.preferred.push((tally, *weight));
            self.carry(at, matcher, term.key, Role::Prefers, *weight, terms);
        }
    }

    /// Holds spread constraints. With `all_keys` a node counts only when it has the keys of all of them that are as
    /// hard.
    pub(crate) fn hold_spreads(
        &mut self,
        at: &Place<'_>,
        spec: &PodSpec,
        class: ClassIx,
        spreads: &[&Spread],
        all_keys: bool,
        terms: &mut PodTerms,
    ) {
        let namespace = self.classes[class].key.namespace;
        for spread in spreads {
            let alike = spreads.iter().filter(|one| all_keys && one.hard == spread.hard);
            let mut keys: Vec<Sym> = alike.map(|one| one.key).collect();
            keys.sort_unstable();
            keys.dedup();
            let affinity = spread.honour_affinity;
            let eligibility = EligibilityKey {
                keys,
                node_labels: if affinity { spec.node_labels.clone() } else { Labels::default() },
                node_affinity: spec.node_affinity.clone().filter(|_| affinity),
                tolerations: spread.honour_taints.then(|| spec.tolerations.clone()),
            };
            let wanted = Wanted {
                namespaces: vec![namespace],
                namespace_selector: None,
                selector: spread.selector.clone(),
            };
            let matcher = self.matcher(at.names, vec![wanted], true, terms);
            let tally = self.tally_for(at, matcher, spread.key, &eligibility);
            terms.spreads.push(SpreadTerm {
                tally,
                max_skew: spread.max_skew,
                min_domains: spread.min_domains,
                hard: spread.hard,
                own: spread.selector.matches(at.names, &self.classes[class].key.labels),
                hostname: at.names.text(spread.key) == "kubernetes.io/hostname",
            });
        }
    }

    /// Lets go of a pod's terms.
    pub(crate) fn release(&mut self, terms: &PodTerms) {
        for matcher in &terms.held {
            let own = &mut self.matchers[*matcher];
            own.refs -= 1;
            if own.refs == 0 {
                self.idle += 1;
            }
        }
        if self.idle > IDLE_MATCHERS {
            self.sweep();
        }
    }

    fn sweep(&mut self) {
        let gone: Vec<MatcherIx> =
            self.matcher_of.values().copied().filter(|at| self.matchers[*at].refs == 0).collect();
        for at in &gone {
            let matcher = &mut self.matchers[*at];
            self.matcher_of.remove(&matcher.key);
            matcher.key.wanted.clear();
            for tally in std::mem::take(&mut matcher.tallies) {
                let eligibility = self.tallies[tally].eligibility;
                let own = &mut self.eligibilities[eligibility];
                own.refs -= 1;
                if own.refs == 0 {
                    self.eligibility_of.remove(&own.key);
                    own.admits.clear();
                    self.free_eligibilities.push(eligibility);
                }
                self.free_tallies.push(tally);
            }
            self.free_carriers.append(&mut self.matchers[*at].carriers);
        }
        for class in self.class_of.values() {
            let matchers = &self.matchers;
            self.classes[*class].matching.retain(|at| !matchers[*at].key.wanted.is_empty());
        }
        self.free_matchers.extend(gone);
        self.idle = 0;
    }

    fn matcher(
        &mut self,
        names: &Names,
        wanted: Vec<Wanted>,
        spread: bool,
        terms: &mut PodTerms,
    ) -> MatcherIx {
        let key = MatcherKey { wanted, spread };
        let at = match self.matcher_of.get(&key) {
            Some(at) => {
                let own = &mut self.matchers[*at];
                self.idle -= usize::from(own.refs == 0);
                own.refs += 1;
                *at
            }
            None => {
                let matcher =
                    Matcher { key: key.clone(), refs: 1, tallies: Vec::new(), carriers: Vec::new() };
                let at = put(&mut self.matchers, &mut self.free_matchers, matcher);
                self.matcher_of.insert(key, at);
                let classes: Vec<ClassIx> = self.class_of.values().copied().collect();
                for class in classes {
                    if self.selects(names, at, &self.classes[class].key) {
                        self.classes[class].matching.push(at);
                    }
                }
                at
            }
        };
        terms.held.push(at);
        at
    }

    fn topology(&mut self, at: &Place<'_>, key: Sym) -> usize {
        if let Some(topology) = self.topology_of.get(&key) {
            return *topology;
        }
        let mut topology = Topology::new(key);
        for (node, own) in at.attached(&self.attached) {
            topology.enter(node, own.facts.labels.get(key));
        }
        self.topologies.push(topology);
        self.topology_of.insert(key, self.topologies.len() - 1);
        self.topologies.len() - 1
    }

    fn eligibility(&mut self, at: &Place<'_>, key: &EligibilityKey) -> usize {
        if let Some(there) = self.eligibility_of.get(key) {
            self.eligibilities[*there].refs += 1;
            return *there;
        }
        let mut admits = vec![false; at.nodes.len()];
        for (node, own) in at.attached(&self.attached) {
            admits[node.at()] = key.admits(at.names, own);
        }
        let eligibility = Eligibility { key: key.clone(), refs: 1, admits };
        let there = put(&mut self.eligibilities, &mut self.free_eligibilities, eligibility);
        self.eligibility_of.insert(key.clone(), there);
        there
    }

    fn tally_for(&mut self, at: &Place<'_>, matcher: MatcherIx, key: Sym, which: &EligibilityKey) -> TallyIx {
        let topology = self.topology(at, key);
        let known = self.matchers[matcher].tallies.iter().copied().find(|tally| {
            let tally = &self.tallies[*tally];
            tally.topology == topology && self.eligibilities[tally.eligibility].key == *which
        });
        if let Some(known) = known {
            return known;
        }
        let eligibility = self.eligibility(at, which);
        let mut tally = Tally::new(topology, eligibility);
        let (topology, admits) = (&self.topologies[topology], &self.eligibilities[eligibility].admits);
        for (node, _) in at.attached(&self.attached).filter(|(node, _)| admits[node.at()]) {
            tally.enter(topology.domain(node));
        }
        for class in self.class_of.values().map(|class| &self.classes[*class]) {
            if !class.placed.is_empty() && class.matching.contains(&matcher) {
                for (node, pods) in class.placed.iter().filter(|(node, _)| admits[node.at()]) {
                    tally.add(topology.domain(*node), *pods);
                }
            }
        }
        let there = put(&mut self.tallies, &mut self.free_tallies, tally);
        self.matchers[matcher].tallies.push(there);
        there
    }

    fn carry(
        &mut self,
        at: &Place<'_>,
        matcher: MatcherIx,
        key: Sym,
        role: Role,
        weight: i64,
        terms: &mut PodTerms,
    ) {
        let topology = self.topology(at, key);
        let known = self.matchers[matcher].carriers.iter().copied().find(|carrier| {
            let carrier = &self.carriers[*carrier];
            carrier.role == role && carrier.tally.topology == topology
        });
        let carrier = known.unwrap_or_else(|| {
            let fresh = Carrier { role, tally: Tally::new(topology, usize::MAX) };
            let there = put(&mut self.carriers, &mut self.free_carriers, fresh);
            self.matchers[matcher].carriers.push(there);
            there
        });
        terms.carried.push((carrier, weight));
    }
}

fn wanted(term: &AffinityTerm) -> Wanted {
    Wanted {
        namespaces: term.namespaces.clone(),
        namespace_selector: term.namespace_selector.clone(),
        selector: term.selector.clone(),
    }
}
