//! The smallest part of a failing history of one key that still fails, and whose failure proves the whole's.
//!
//! Not every part of a correct history is correct: without its write, a read is wrong. Only these cuts are made,
//! each of which turns a correct history into a correct one:
//! - everything after a moment is dropped, and writes in flight then become unknown;
//! - reads and refused operations are dropped;
//! - a value is dropped with all that wrote it and all that needed it, unless refused operations remain (they say
//!   what the register did *not* hold, so dropping a write could make a correct refusal wrong);
//! - likewise a single write of a value that nothing needs.

use std::collections::{BTreeMap, BTreeSet};

use super::{Found, decide};
use crate::{Action, Answer, Guard, Limits, Operation, Outcome, minimize};

/// A value of a register; none is "absent".
type Value = Option<u64>;

/// Shrinks a failing history of one key.
pub(super) fn smallest(part: &[&Operation], limits: &Limits) -> Vec<Operation> {
    let mut checks = limits.shrink_checks;
    let fails = |part: &[Operation]| {
        let part: Vec<&Operation> = part.iter().collect();
        matches!(decide(&part, limits), Found::Nothing { .. })
    };
    let mut current: Vec<Operation> = part.iter().map(|operation| (*operation).clone()).collect();
    current.sort_by_key(|operation| operation.call);
    let revisions = revisions_of(&current);
    current = shortest_prefix(current, &mut checks, fails);

    let (quiet, writes): (Vec<Operation>, Vec<Operation>) = current.into_iter().partition(is_quiet);
    let quiet = minimize(quiet, &mut checks, |quiet| fails(&[quiet, &writes[..]].concat()));
    current = [quiet, writes].concat();
    // A guard at a revision that no answer tells is left out while shrinking, if the rest fails without it.
    let guarded = current.clone();
    let unguarded: Vec<Operation> = current.iter().map(|op| without_unnamed_guard(op, &revisions)).collect();
    if fails(&unguarded) {
        current = unguarded;
    }
    if current.iter().all(|operation| says_what_it_needs(operation, &revisions)) {
        let values: Vec<Value> = values_of(&current, &revisions).into_iter().collect();
        let kept =
            minimize(values, &mut checks, |values| fails(&with_values_only(&current, values, &revisions)));
        current = with_values_only(&current, &kept, &revisions);
        current = minimize(current.clone(), &mut checks, |part| {
            let needed: BTreeSet<Value> = part.iter().filter_map(|op| needed(op, &revisions)).collect();
            let mut kept = part.iter().peekable();
            let dropped = current.iter().filter(|op| kept.next_if_eq(op).is_none());
            let unneeded = dropped.filter_map(written).all(|value| !needed.contains(&value));
            unneeded && fails(part)
        });
    }
    for operation in &mut current {
        let is_same = |other: &&Operation| other.process == operation.process && other.call == operation.call;
        if let Some(original) = guarded.iter().find(is_same) {
            *operation = original.clone();
        }
    }
    current.retain(|operation| operation.outcome != Outcome::Failed);
    current.sort_by_key(|operation| operation.call);
    current
}

/// Whether dropping the operation keeps a correct history correct, whatever else there is.
fn is_quiet(operation: &Operation) -> bool {
    operation.action == Action::Read || matches!(operation.outcome, Outcome::Refused | Outcome::Failed)
}

/// The operation without a guard that stands for no known value: a weaker claim.
fn without_unnamed_guard(operation: &Operation, revisions: &BTreeMap<u64, Value>) -> Operation {
    let mut weaker = operation.clone();
    if operation.outcome != Outcome::Refused && !says_what_it_needs(operation, revisions) {
        weaker.action = match operation.action {
            Action::Cas { value, .. } => Action::Write { value },
            _ => Action::Delete { guard: None },
        };
    }
    weaker
}

/// Whether its condition, if any, stands for one known value that the register must hold.
fn says_what_it_needs(operation: &Operation, revisions: &BTreeMap<u64, Value>) -> bool {
    let guard = match &operation.action {
        Action::Cas { guard, .. } => Some(*guard),
        Action::Delete { guard } => *guard,
        _ => None,
    };
    let named = |guard| !matches!(guard, Guard::Revision(revision) if !revisions.contains_key(&revision));
    operation.outcome != Outcome::Refused && guard.is_none_or(named)
}

/// Cuts at the earliest moment up to which the history already fails (found by bisection).
fn shortest_prefix(
    current: Vec<Operation>,
    checks: &mut u32,
    fails: impl Fn(&[Operation]) -> bool,
) -> Vec<Operation> {
    let mut moments: Vec<u64> = current.iter().filter_map(Operation::answered_at).collect();
    moments.sort_unstable();
    moments.dedup();
    let (mut low, mut high) = (0, moments.len().saturating_sub(1));
    while low < high && *checks > 0 {
        *checks -= 1;
        let middle = (low + high) / 2;
        if fails(&until(&current, moments[middle])) { high = middle } else { low = middle + 1 }
    }
    match moments.get(high) {
        Some(moment) if fails(&until(&current, *moment)) => until(&current, *moment),
        Some(_) | None => current,
    }
}

fn until(operations: &[Operation], moment: u64) -> Vec<Operation> {
    let called = operations.iter().filter(|operation| operation.call <= moment);
    let mut kept = Vec::new();
    for operation in called {
        let mut operation = operation.clone();
        if operation.answered_at().is_some_and(|at| at > moment) {
            if is_quiet(&operation) {
                continue;
            }
            operation.outcome = Outcome::Unknown;
            operation.returned = None;
        }
        kept.push(operation);
    }
    kept
}

fn values_of(operations: &[Operation], revisions: &BTreeMap<u64, Value>) -> BTreeSet<Value> {
    operations
        .iter()
        .flat_map(|operation| [written(operation), needed(operation, revisions)])
        .flatten()
        .collect()
}

/// The operations that neither write nor need any value outside `values`.
fn with_values_only(
    operations: &[Operation],
    values: &[Value],
    revisions: &BTreeMap<u64, Value>,
) -> Vec<Operation> {
    let mut kept: BTreeSet<Value> = values.iter().copied().collect();
    loop {
        // A value goes altogether: if one of its writers goes, so do the others and all that need it.
        let mut gone = BTreeSet::new();
        for operation in operations {
            let parts = [written(operation), needed(operation, revisions)];
            if parts.iter().flatten().any(|value| !kept.contains(value)) {
                gone.extend(written(operation).filter(|value| kept.contains(value)));
            }
        }
        if gone.is_empty() {
            break;
        }
        kept.retain(|value| !gone.contains(value));
    }
    let stays = |operation: &&Operation| {
        let parts = [written(operation), needed(operation, revisions)];
        parts.iter().flatten().all(|value| kept.contains(value))
    };
    operations.iter().filter(stays).cloned().collect()
}

fn written(operation: &Operation) -> Option<Value> {
    match operation.action {
        Action::Write { value } | Action::Cas { value, .. } => Some(Some(value)),
        Action::Delete { .. } => Some(None),
        _ => None,
    }
}

fn needed(operation: &Operation, revisions: &BTreeMap<u64, Value>) -> Option<Value> {
    let guard = match &operation.action {
        Action::Read => match &operation.outcome {
            Outcome::Ok { answer: Answer::Value(value), .. } => return Some(*value),
            _ => return None,
        },
        Action::Cas { guard, .. } => *guard,
        Action::Delete { guard } => (*guard)?,
        _ => return None,
    };
    match guard {
        Guard::Absent => Some(None),
        Guard::Value(value) => Some(Some(value)),
        Guard::Revision(revision) => revisions.get(&revision).copied(),
    }
}

fn revisions_of(operations: &[Operation]) -> BTreeMap<u64, Value> {
    let told = |operation: &Operation| {
        let value = match &operation.outcome {
            Outcome::Ok { answer: Answer::Value(value), .. } => *value,
            _ => written(operation)?,
        };
        Some((operation.revision()?, value))
    };
    operations.iter().filter_map(told).collect()
}
