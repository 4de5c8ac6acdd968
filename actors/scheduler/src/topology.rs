//! [`Topology`]: which nodes share the value of one label key.

use std::collections::BTreeMap;

use crate::names::Sym;
use crate::node::NodeIx;

/// A value of a topology key, as an index.
pub(crate) type Domain = u32;
/// The node does not have the key.
pub(crate) const NOWHERE: Domain = u32::MAX;

/// One topology key over all nodes.
#[derive(Clone, Debug)]
pub(crate) struct Topology {
    pub(crate) key: Sym,
    /// By node.
    of_node: Vec<Domain>,
    by_value: BTreeMap<Sym, Domain>,
    /// Value and number of nodes, by domain.
    domains: Vec<(Sym, u32)>,
    free: Vec<Domain>,
}

impl Topology {
    /// Without nodes.
    pub(crate) fn new(key: Sym) -> Self {
        Self { key, of_node: Vec::new(), by_value: BTreeMap::new(), domains: Vec::new(), free: Vec::new() }
    }

    /// Where a node is.
    pub(crate) fn domain(&self, node: NodeIx) -> Domain {
        self.of_node.get(node.at()).copied().unwrap_or(NOWHERE)
    }

    /// One more than the largest domain there ever was.
    pub(crate) fn size(&self) -> usize {
        self.domains.len()
    }

    /// A node came with a value, or without.
    pub(crate) fn enter(&mut self, node: NodeIx, value: Option<Sym>) {
        if self.of_node.len() <= node.at() {
            self.of_node.resize(node.at() + 1, NOWHERE);
        }
        self.of_node[node.at()] = match value {
            None => NOWHERE,
            Some(value) => {
                let domain = match self.by_value.get(&value) {
                    Some(domain) => *domain,
                    None => self.open(value),
                };
                self.domains[domain as usize].1 += 1;
                domain
            }
        };
    }

    fn open(&mut self, value: Sym) -> Domain {
        let domain = self.free.pop().unwrap_or_else(|| {
            self.domains.push((value, 0));
            u32::try_from(self.domains.len() - 1).expect("fewer domains than nodes")
        });
        self.domains[domain as usize] = (value, 0);
        self.by_value.insert(value, domain);
        domain
    }

    /// A node goes. A domain without nodes is used again for another value: nothing is counted in it by then.
    pub(crate) fn leave(&mut self, node: NodeIx) {
        let domain = self.domain(node);
        if domain == NOWHERE {
            return;
        }
        self.of_node[node.at()] = NOWHERE;
        let (value, nodes) = &mut self.domains[domain as usize];
        *nodes -= 1;
        if *nodes == 0 {
            self.by_value.remove(value);
            self.free.push(domain);
        }
    }
}
