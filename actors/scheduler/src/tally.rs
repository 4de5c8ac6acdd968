//! [`Tally`]: how many pods of one kind each domain of a topology has, kept as pods come and go.

use std::collections::BTreeMap;

use crate::topology::{Domain, NOWHERE};

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Tally {
    /// Index of the topology.
    pub(crate) topology: usize,
    /// Index of the rule which nodes count.
    pub(crate) eligibility: usize,
    counts: Vec<i64>,
    /// Over all domains.
    pub(crate) total: i64,
    /// Nodes that count, by domain.
    nodes: Vec<u32>,
    /// How many domains with nodes have each count: the first is the least.
    histogram: BTreeMap<i64, u32>,
    /// Domains with nodes.
    pub(crate) live: i64,
}

impl Tally {
    /// Nothing counted.
    pub(crate) fn new(topology: usize, eligibility: usize) -> Self {
        Self {
            topology,
            eligibility,
            counts: Vec::new(),
            total: 0,
            nodes: Vec::new(),
            histogram: BTreeMap::new(),
            live: 0,
        }
    }

    /// The count of a domain.
    pub(crate) fn count(&self, domain: Domain) -> i64 {
        self.counts.get(domain as usize).copied().unwrap_or(0)
    }

    /// The least count over domains with nodes; zero without any.
    pub(crate) fn least(&self) -> i64 {
        self.histogram.first_key_value().map_or(0, |(count, _)| *count)
    }

    /// Counts `by` pods more in a domain.
    pub(crate) fn add(&mut self, domain: Domain, by: i64) {
        if domain == NOWHERE {
            return;
        }
        let at = self.room(domain);
        let before = self.counts[at];
        self.counts[at] = before + by;
        self.total += by;
        if self.nodes[at] > 0 {
            self.forget(before);
            *self.histogram.entry(before + by).or_default() += 1;
        }
    }

    /// A node that counts came into a domain.
    pub(crate) fn enter(&mut self, domain: Domain) {
        if domain == NOWHERE {
            return;
        }
        let at = self.room(domain);
        self.nodes[at] += 1;
        if self.nodes[at] == 1 {
            self.live += 1;
            *self.histogram.entry(self.counts[at]).or_default() += 1;
        }
    }

    /// A node that counted goes from a domain.
    pub(crate) fn leave(&mut self, domain: Domain) {
        if domain == NOWHERE {
            return;
        }
        let at = self.room(domain);
        self.nodes[at] -= 1;
        if self.nodes[at] == 0 {
            self.live -= 1;
            self.forget(self.counts[at]);
        }
    }

    fn forget(&mut self, count: i64) {
        if let Some(domains) = self.histogram.get_mut(&count) {
            *domains -= 1;
            if *domains == 0 {
                self.histogram.remove(&count);
            }
        }
    }

    fn room(&mut self, domain: Domain) -> usize {
        let at = domain as usize;
        if self.counts.len() <= at {
            self.counts.resize(at + 1, 0);
            self.nodes.resize(at + 1, 0);
        }
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_is_over_domains_with_nodes() {
        let mut tally = Tally::new(0, 0);
        assert_eq!(tally.least(), 0);
        tally.enter(0);
        tally.enter(1);
        tally.add(0, 3);
        assert_eq!((tally.least(), tally.live, tally.total), (0, 2, 3));
        tally.add(1, 1);
        assert_eq!(tally.least(), 1);
        tally.add(1, -1);
        tally.leave(1);
        assert_eq!((tally.least(), tally.live), (3, 1));
        tally.add(NOWHERE, 5);
        assert_eq!(tally.total, 3);
    }
}
