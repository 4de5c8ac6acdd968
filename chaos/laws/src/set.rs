//! Sets that only grow: acknowledged elements stay, nothing appears from nowhere, reads agree on an order.
//!
//! For a set without removals, linearizability comes down to statements about pairs of operations, so the check is
//! direct and the failing history is two or three operations:
//! - a read contains no element twice, and none whose add was not called before it returned, failed, or is unknown
//!   to the history;
//! - if it lacks an acknowledged element, that add did not return before the read was called, nor before the call
//!   of an add whose element it contains;
//! - of two reads, one contains the other, and the later one (in real time) contains the earlier one.

use std::collections::{BTreeMap, BTreeSet};

use crate::{Action, Answer, Law, Operation, Outcome, Record, Verdict};

/// Checks every set of the history; other kinds of operations are ignored.
pub fn check(operations: &[Operation]) -> Verdict {
    let mut sets: BTreeMap<&str, Set<'_>> = BTreeMap::new();
    for operation in operations {
        match (&operation.action, &operation.outcome) {
            (Action::Add { value }, _) => {
                let set = sets.entry(&operation.key).or_default();
                if set.adds.insert(*value, operation).is_some() {
                    return Verdict::Undecided {
                        law: Law::Set,
                        reason: format!(
                            "element {value} is added twice to `{}`; the workload must add each only once",
                            operation.key
                        ),
                    };
                }
            }
            (Action::ReadSet, Outcome::Ok { answer: Answer::List(elements), .. }) => {
                let read = Read { operation, elements: elements.iter().copied().collect() };
                if read.elements.len() != elements.len() {
                    return broken("this read shows an element twice".to_owned(), &[operation]);
                }
                sets.entry(&operation.key).or_default().reads.push(read);
            }
            _ => {}
        }
    }
    sets.into_values().find_map(Set::violation).unwrap_or(Verdict::Ok)
}

#[derive(Default)]
struct Set<'a> {
    adds: BTreeMap<u64, &'a Operation>,
    reads: Vec<Read<'a>>,
}

struct Read<'a> {
    operation: &'a Operation,
    elements: BTreeSet<u64>,
}

impl Set<'_> {
    fn violation(mut self) -> Option<Verdict> {
        for read in &self.reads {
            let verdict = self.invented(read).or_else(|| self.missing(read));
            if verdict.is_some() {
                return verdict;
            }
        }
        self.reads.sort_by_key(|read| (read.elements.len(), read.operation.call));
        self.reads.windows(2).find_map(|pair| forked(&pair[0], &pair[1])).or_else(|| self.shrunk())
    }

    /// An element in the read that cannot be there.
    fn invented(&self, read: &Read<'_>) -> Option<Verdict> {
        read.elements.iter().find_map(|element| {
            let Some(add) = self.adds.get(element) else {
                return Some(broken(
                    format!("element {element} was read and never added"),
                    &[read.operation],
                ));
            };
            if add.outcome == Outcome::Failed || add.outcome == Outcome::Refused {
                let text = format!("element {element} was read although its add certainly had no effect");
                return Some(broken(text, &[add, read.operation]));
            }
            read.operation.precedes(add).then(|| {
                let text = format!("element {element} was read before its add was called");
                broken(text, &[read.operation, add])
            })
        })
    }

    /// An acknowledged element that the read must show and does not.
    fn missing(&self, read: &Read<'_>) -> Option<Verdict> {
        let lacking = self.adds.iter().filter(|(element, add)| {
            !read.elements.contains(element) && add.is_acknowledged() && add.returned.is_some()
        });
        let (element, first) = lacking.min_by_key(|(_, add)| add.returned)?;
        if first.precedes(read.operation) {
            let text =
                format!("the add of {element} was acknowledged before this read was called, which lacks it");
            return Some(broken(text, &[first, read.operation]));
        }
        let shown = read.elements.iter().filter_map(|element| Some((element, self.adds.get(element)?)));
        let (later, add) = shown.max_by_key(|(_, add)| add.call)?;
        first.precedes(add).then(|| {
            let text =
                format!("the read shows {later} and lacks {element}, acknowledged before {later} was added");
            broken(text, &[first, add, read.operation])
        })
    }

    /// A read that lacks what an earlier one showed. Reads are sorted by size and each contains the one before.
    fn shrunk(&self) -> Option<Verdict> {
        let mut latest: Option<&Read<'_>> = None;
        let mut size = usize::MAX;
        // From the largest: the read with the earliest return among strictly larger ones decides.
        let mut pending: Vec<&Read<'_>> = Vec::new();
        for read in self.reads.iter().rev() {
            if read.elements.len() < size {
                for larger in pending.drain(..) {
                    let earlier = |latest: &Read<'_>| larger.operation.returned < latest.operation.returned;
                    if latest.is_none_or(earlier) {
                        latest = Some(larger);
                    }
                }
                size = read.elements.len();
            }
            if let Some(larger) = latest.filter(|larger| larger.operation.precedes(read.operation)) {
                let element = larger.elements.difference(&read.elements).next()?;
                let text = format!("element {element} was read and then gone from a later read");
                let history: Vec<&Operation> = self
                    .adds
                    .get(element)
                    .into_iter()
                    .copied()
                    .chain([larger.operation, read.operation])
                    .collect();
                return Some(broken(text, &history));
            }
            pending.push(read);
        }
        None
    }
}

/// Two reads of which neither contains the other.
fn forked(smaller: &Read<'_>, larger: &Read<'_>) -> Option<Verdict> {
    let element = smaller.elements.difference(&larger.elements).next()?;
    let other = larger.elements.difference(&smaller.elements).next();
    let text = match other {
        Some(other) => format!("one read shows {element} without {other}, another {other} without {element}"),
        None => format!("element {element} is in one read and not in the other"),
    };
    Some(broken(text, &[smaller.operation, larger.operation]))
}

fn broken(explanation: String, history: &[&Operation]) -> Verdict {
    let history = history.iter().map(|operation| Record::Operation((*operation).clone())).collect();
    Verdict::broken(Law::Set, explanation, history)
}

#[cfg(test)]
#[path = "set_test.rs"]
mod set_test;
