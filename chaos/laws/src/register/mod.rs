//! Linearizability of a register per key: reads, writes, guarded writes, deletes.
//!
//! Linearizability is local: a history is linearizable exactly if each key's part is, so keys are checked one by
//! one. Every key starts absent. Revisions that answers carry are part of the model (a read must show the revision
//! of the write it reads from) and guide the search, but a witness order is always built and checked against
//! values and real time: revisions alone never acquit.

mod model;
mod search;
mod smallest;

use std::collections::BTreeMap;

use crate::{Action, Law, Limits, Operation, Outcome, Record, Verdict};
use model::Prepared;
use search::Found;

/// Checks every key of the history; other kinds of operations are ignored.
pub fn check(operations: &[Operation], limits: &Limits) -> Verdict {
    let mut undecided = None;
    for (key, part) in by_key(operations) {
        match decide(&part, limits) {
            Found::Order => {}
            Found::Nothing { .. } => return report(key, &part, limits),
            Found::BudgetExceeded => undecided = undecided.or(Some(key)),
        }
    }
    match undecided {
        None => Verdict::Ok,
        Some(key) => Verdict::Undecided {
            law: Law::RegisterLinearizable,
            reason: format!(
                "no order was found for key `{key}` within {} steps and {} remembered configurations; \
                 raise the limits or record shorter histories",
                limits.search_steps, limits.search_memory_entries
            ),
        },
    }
}

fn by_key(operations: &[Operation]) -> BTreeMap<&str, Vec<&Operation>> {
    let mut keys: BTreeMap<&str, Vec<&Operation>> = BTreeMap::new();
    for operation in operations {
        if is_register_action(&operation.action) {
            keys.entry(&operation.key).or_default().push(operation);
        }
    }
    keys
}

fn is_register_action(action: &Action) -> bool {
    match action {
        Action::Read | Action::Write { .. } | Action::Cas { .. } | Action::Delete { .. } => true,
        Action::Append { .. } | Action::ReadList | Action::Transaction { .. } => false,
        Action::Add { .. } | Action::ReadSet => false,
    }
}

fn decide(part: &[&Operation], limits: &Limits) -> Found {
    search::find_order(&Prepared::new(part), limits)
}

fn report(key: &str, part: &[&Operation], limits: &Limits) -> Verdict {
    let minimal = smallest::smallest(part, limits);
    let values_alone: Vec<Operation> = minimal.iter().map(without_revisions).collect();
    let values_alone: Vec<&Operation> = values_alone.iter().collect();
    let only_revisions = matches!(decide(&values_alone, limits), Found::Order);
    let blamed = match decide(&minimal.iter().collect::<Vec<_>>(), limits) {
        Found::Nothing { blocked: Some(blocked) } => Some(&minimal[blocked]),
        Found::Nothing { blocked: None } | Found::Order | Found::BudgetExceeded => None,
    };
    let mut explanation = format!("on key `{key}` no order of these {} operations", minimal.len());
    explanation.push_str(" that respects real time explains their answers");
    if let Some(blamed) = blamed {
        explanation.push_str(&format!("; the search was stuck before: {blamed}"));
    }
    if only_revisions {
        explanation.push_str("; the values alone could be explained, the revisions contradict them");
    }
    let history = minimal.into_iter().map(Record::Operation).collect();
    Verdict::broken(Law::RegisterLinearizable, explanation, history)
}

fn without_revisions(operation: &Operation) -> Operation {
    let mut stripped = operation.clone();
    if let Outcome::Ok { revision, .. } = &mut stripped.outcome {
        *revision = None;
    }
    stripped
}

#[cfg(test)]
#[path = "register_test.rs"]
mod register_test;
