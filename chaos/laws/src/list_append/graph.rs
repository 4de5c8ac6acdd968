//! Which transaction must come before which, and a shortest cycle if there is one.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;

use super::transaction::Transaction;
use super::versions::Versions;

/// Why one transaction comes before another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    Append,
    Shown,
    NotShown,
    RealTime,
    /// Over a helper node; the reason is that of the edge into it.
    Onward,
}

/// Transactions each of which must come before the next, the last before the first.
#[derive(Debug)]
pub(super) struct Cycle(Vec<(usize, Why)>);

impl Cycle {
    pub(super) fn transactions(&self) -> impl Iterator<Item = usize> {
        self.0.iter().map(|(index, _)| *index)
    }

    /// The cycle in words.
    pub(super) fn describe(&self, transactions: &[Transaction<'_>]) -> String {
        let mut text = String::from("these transactions can stand in no order: ");
        for (position, (index, why)) in self.0.iter().enumerate() {
            if position > 0 {
                text.push_str("; ");
            }
            let next = (position + 1) % self.0.len();
            let reason = match why {
                Why::Append => "appended earlier to a list than",
                Why::Shown => "appended what was read by",
                Why::NotShown => "did not see the append of",
                Why::RealTime | Why::Onward => "returned before the call of",
            };
            write!(text, "[{}] {} {reason} [{}]", position + 1, transactions[*index].operation, next + 1)
                .expect("writing to a String cannot fail");
        }
        text
    }
}

/// What is known of one list.
struct List {
    /// Position and writer of its elements, in order.
    known: Vec<(usize, usize)>,
    /// The helper before all unseen appends.
    end: usize,
    /// Writers of acknowledged appends that no read shows.
    unseen: Vec<usize>,
}

/// Nodes `0..transactions.len()` are transactions, the rest helpers that keep the number of edges linear.
struct Graph {
    edges: Vec<Vec<(usize, Why)>>,
    transactions: usize,
}

pub(super) fn find_cycle(transactions: &[Transaction<'_>], versions: &Versions<'_>) -> Option<Cycle> {
    let mut graph = Graph { edges: vec![Vec::new(); transactions.len()], transactions: transactions.len() };
    graph.add_lists(transactions, versions);
    graph.add_real_time(transactions);
    graph.shortest_cycle()
}

impl Graph {
    fn add(&mut self, from: usize, to: usize, why: Why) {
        if from != to {
            self.edges[from].push((to, why));
        }
    }

    fn helper(&mut self) -> usize {
        self.edges.push(Vec::new());
        self.edges.len() - 1
    }

    fn add_lists(&mut self, transactions: &[Transaction<'_>], versions: &Versions<'_>) {
        let mut lists: BTreeMap<&str, List> = BTreeMap::new();
        for (key, list) in &versions.lists {
            // Elements whose append is outside the history are passed over: the order of the others still holds.
            let known: Vec<(usize, usize)> = list
                .iter()
                .enumerate()
                .filter_map(|(at, element)| Some((at, *versions.writers.get(&(*key, *element))?)))
                .collect();
            for pair in known.windows(2) {
                self.add(pair[0].1, pair[1].1, Why::Append);
            }
            lists.insert(key, List { known, end: self.helper(), unseen: Vec::new() });
        }
        // Acknowledged appends that no read shows come after all that was read.
        for ((key, element), writer) in &versions.writers {
            let acknowledged = transactions[*writer].operation.is_acknowledged();
            let Some(list) = lists.get_mut(key).filter(|_| acknowledged) else { continue };
            if !versions.shows(key, *element) {
                self.edges[list.end].push((*writer, Why::Onward));
                list.unseen.push(*writer);
            }
        }
        for (key, list) in &lists {
            if let Some((_, last)) = list.known.last() {
                self.add_end(*last, key, list, transactions, Why::Append);
            }
        }
        for (index, transaction) in transactions.iter().enumerate() {
            for (key, read) in &transaction.reads {
                let list = &lists[key];
                let shown = list.known.partition_point(|(at, _)| *at < read.len());
                if let Some((_, writer)) = shown.checked_sub(1).map(|last| list.known[last]) {
                    self.add(writer, index, Why::Shown);
                }
                match list.known.get(shown) {
                    Some((_, writer)) => self.add(index, *writer, Why::NotShown),
                    None => self.add_end(index, key, list, transactions, Why::NotShown),
                }
            }
        }
    }

    /// Puts a transaction before all unseen appends to a list, its own excepted.
    fn add_end(&mut self, index: usize, key: &str, list: &List, transactions: &[Transaction<'_>], why: Why) {
        if !transactions[index].appends_to(key) {
            self.add(index, list.end, why);
            return;
        }
        // Over the helper it would come before itself.
        for writer in &list.unseen {
            self.add(index, *writer, why);
        }
    }

    /// One helper per moment of return, in a chain; operations enter at their return and leave at their call.
    fn add_real_time(&mut self, transactions: &[Transaction<'_>]) {
        let mut returns: Vec<(u64, usize)> = transactions
            .iter()
            .enumerate()
            .filter_map(|(index, part)| Some((part.operation.answered_at()?, index)))
            .filter(|(_, index)| transactions[*index].operation.is_acknowledged())
            .collect();
        returns.sort_unstable();
        let mut moments: Vec<(u64, usize)> = Vec::with_capacity(returns.len());
        for (at, index) in returns {
            let helper = self.helper();
            self.add(index, helper, Why::RealTime);
            if let Some((_, previous)) = moments.last() {
                self.add(*previous, helper, Why::Onward);
            }
            moments.push((at, helper));
        }
        for (index, transaction) in transactions.iter().enumerate() {
            if !transaction.may_have_happened() {
                continue;
            }
            let before = moments.partition_point(|(at, _)| *at < transaction.operation.call);
            if let Some((_, helper)) = before.checked_sub(1).map(|last| moments[last]) {
                self.add(helper, index, Why::Onward);
            }
        }
    }

    fn shortest_cycle(&self) -> Option<Cycle> {
        let stuck = self.stuck();
        let mut best: Option<Vec<(usize, Why)>> = None;
        // Each node of a cycle has the cycle through it; a bounded number of starts keeps the search linear.
        let starts = (0..self.transactions).filter(|node| stuck[*node]).take(MOST_STARTS);
        for start in starts {
            if let Some(cycle) = self.cycle_through(start, &stuck)
                && best.as_ref().is_none_or(|best| cycle.len() < best.len())
            {
                best = Some(cycle);
            }
        }
        best.or_else(|| {
            let rest = (0..self.transactions).filter(|node| stuck[*node]).skip(MOST_STARTS);
            rest.take(self.transactions).find_map(|start| self.cycle_through(start, &stuck))
        })
        .map(|path| self.without_helpers(path))
    }

    /// What remains when nodes without predecessors, then nodes without successors, are taken away in turn.
    fn stuck(&self) -> Vec<bool> {
        let mut reversed = vec![Vec::new(); self.edges.len()];
        for (from, targets) in self.edges.iter().enumerate() {
            for (to, _) in targets {
                reversed[*to].push(from);
            }
        }
        let forward: Vec<Vec<usize>> =
            self.edges.iter().map(|targets| targets.iter().map(|(to, _)| *to).collect()).collect();
        let mut alive = vec![true; self.edges.len()];
        peel(&reversed, &forward, &mut alive);
        peel(&forward, &reversed, &mut alive);
        alive
    }

    fn cycle_through(&self, start: usize, stuck: &[bool]) -> Option<Vec<(usize, Why)>> {
        let mut came: Vec<Option<(usize, Why)>> = vec![None; self.edges.len()];
        let mut queue = VecDeque::from([start]);
        while let Some(node) = queue.pop_front() {
            for (to, why) in &self.edges[node] {
                if !stuck[*to] || came[*to].is_some() {
                    continue;
                }
                came[*to] = Some((node, *why));
                if *to == start {
                    return Some(walk_back(start, &came));
                }
                queue.push_back(*to);
            }
        }
        None
    }

    /// Leaves out helper nodes, keeping the reason for entering them.
    fn without_helpers(&self, path: Vec<(usize, Why)>) -> Cycle {
        let mut cycle: Vec<(usize, Why)> = Vec::new();
        for (node, why) in path {
            if node < self.transactions {
                cycle.push((node, why));
            }
        }
        Cycle(cycle)
    }
}

/// Starting points from which the shortest cycle is looked for.
const MOST_STARTS: usize = 64;

/// Takes away, again and again, nodes that nothing alive leads to along `into`.
fn peel(into: &[Vec<usize>], out: &[Vec<usize>], alive: &mut [bool]) {
    let mut degree: Vec<usize> =
        into.iter().map(|sources| sources.iter().filter(|source| alive[**source]).count()).collect();
    let mut free: Vec<usize> = (0..into.len()).filter(|node| alive[*node] && degree[*node] == 0).collect();
    while let Some(node) = free.pop() {
        alive[node] = false;
        for next in &out[node] {
            degree[*next] -= 1;
            if alive[*next] && degree[*next] == 0 {
                free.push(*next);
            }
        }
    }
}

/// The cycle from `start`, each node with the reason why it comes before the next.
fn walk_back(start: usize, came: &[Option<(usize, Why)>]) -> Vec<(usize, Why)> {
    let mut path = Vec::new();
    let mut node = start;
    while let Some((previous, why)) = came[node] {
        path.push((previous, why));
        node = previous;
        if node == start {
            break;
        }
    }
    path.reverse();
    path
}
