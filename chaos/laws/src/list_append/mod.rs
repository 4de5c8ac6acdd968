//! Strict serializability of list appends (after Elle, by Kingsbury and Alvaro).
//!
//! Every element is appended once, so a read of a list shows the order of the appends before it. From the reads
//! follow, per list, the order of all appends that anyone saw; from that, which transaction must come before
//! which: an append before the next (`ww`), an append before the read that shows it (`wr`), a read before the
//! append that it does not show (`rw`), and whatever returned before another was called (`rt`). No order satisfies
//! a cycle, and a cycle is what is reported. Lost, duplicated, invented and reordered elements are found on the way
//! and named as such.

mod graph;
mod transaction;
mod versions;

use std::collections::{BTreeMap, BTreeSet};

use crate::{Law, Limits, Operation, Record, Verdict, minimize};
use transaction::Transaction;
use versions::{Blame, Versions};

/// Checks all list operations of the history; other kinds are ignored.
pub fn check(operations: &[Operation], limits: &Limits) -> Verdict {
    let transactions: Vec<Transaction<'_>> = operations.iter().filter_map(Transaction::new).collect();
    if let Some((key, value)) = appended_twice(&transactions) {
        return Verdict::Undecided {
            law: Law::ListAppend,
            reason: format!("{value} is appended twice to `{key}`; the workload must append each only once"),
        };
    }
    match anomaly(&transactions, Completeness::Whole) {
        None => Verdict::Ok,
        Some(Anomaly::Direct(blame)) => broken(blame.explanation, &blame.transactions),
        Some(Anomaly::Cycle(cycle)) => report_cycle(&transactions, &cycle, limits),
    }
}

/// Whether elements without a known append are a violation or merely outside the part.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Completeness {
    Whole,
    Part,
}

enum Anomaly<'a> {
    Direct(Blame<'a>),
    Cycle(graph::Cycle),
}

fn anomaly<'a>(transactions: &[Transaction<'a>], completeness: Completeness) -> Option<Anomaly<'a>> {
    match Versions::new(transactions, completeness == Completeness::Whole) {
        Err(blame) => Some(Anomaly::Direct(blame)),
        Ok(versions) => graph::find_cycle(transactions, &versions).map(Anomaly::Cycle),
    }
}

fn appended_twice<'a>(transactions: &[Transaction<'a>]) -> Option<(&'a str, u64)> {
    let mut seen = BTreeSet::new();
    let mut appends = transactions.iter().flat_map(|transaction| transaction.appends.iter().copied());
    appends.find(|append| !seen.insert(*append))
}

/// Reports a cycle by the fewest transactions that still form one.
fn report_cycle(transactions: &[Transaction<'_>], cycle: &graph::Cycle, limits: &Limits) -> Verdict {
    let mut part: Vec<Transaction<'_>> = witnesses(transactions, cycle);
    let fails =
        |part: &[Transaction<'_>]| matches!(anomaly(part, Completeness::Part), Some(Anomaly::Cycle(_)));
    let mut checks = limits.shrink_checks;
    if fails(&part) {
        part = minimize(part, &mut checks, fails);
    }
    let explanation = match anomaly(&part, Completeness::Part) {
        Some(Anomaly::Cycle(cycle)) => cycle.describe(&part),
        Some(Anomaly::Direct(_)) | None => cycle.describe(transactions),
    };
    broken(explanation, &part)
}

/// The transactions of a cycle, and for every list they touch one read that shows the order of its elements.
fn witnesses<'a>(transactions: &[Transaction<'a>], cycle: &graph::Cycle) -> Vec<Transaction<'a>> {
    let mut chosen: BTreeSet<usize> = cycle.transactions().collect();
    let keys: BTreeSet<&str> = chosen.iter().flat_map(|index| transactions[*index].keys()).collect();
    let mut longest: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for (index, transaction) in transactions.iter().enumerate() {
        for (key, list) in &transaction.reads {
            let entry = longest.entry(key).or_insert((index, 0));
            if list.len() >= entry.1 {
                *entry = (index, list.len());
            }
        }
    }
    chosen.extend(keys.into_iter().filter_map(|key| longest.get(key).map(|(index, _)| *index)));
    chosen.into_iter().map(|index| transactions[index].clone()).collect()
}

fn broken(explanation: String, transactions: &[Transaction<'_>]) -> Verdict {
    let history = transactions.iter().map(|part| Record::Operation(part.operation.clone())).collect();
    Verdict::broken(Law::ListAppend, explanation, history)
}

#[cfg(test)]
#[path = "list_append_test.rs"]
mod list_append_test;
