//! Revisions come from one counter: no two writes share one, and they increase with real time across all keys.

use std::collections::BTreeMap;

use crate::{Action, Law, Operation, Record, Verdict};

/// Checks all acknowledged writes that told their revision.
///
/// A transaction's revision is that of its last write. Reads are judged by the register law.
pub fn check(operations: &[Operation]) -> Verdict {
    let mut writes: Vec<(&Operation, u64)> = operations
        .iter()
        .filter(|operation| !matches!(operation.action, Action::Read | Action::ReadList | Action::ReadSet))
        .filter(|operation| operation.is_acknowledged() && operation.returned.is_some())
        .filter_map(|operation| Some((operation, operation.revision()?)))
        .collect();
    let mut owners = BTreeMap::new();
    for (operation, revision) in &writes {
        if let Some(other) = owners.insert(*revision, *operation) {
            return broken(
                format!("two writes were acknowledged with revision {revision}"),
                other,
                operation,
            );
        }
    }
    // By revision, from the highest: nothing with a higher revision may have returned before a call.
    writes.sort_by_key(|(_, revision)| std::cmp::Reverse(*revision));
    let mut earliest: Option<(&Operation, u64)> = None;
    for (operation, revision) in writes {
        if let Some((higher, at)) = earliest.filter(|(higher, _)| higher.precedes(operation)) {
            let text = format!(
                "a write called after another was acknowledged at {at} got the lower revision {revision}"
            );
            return broken(text, higher, operation);
        }
        if earliest.is_none_or(|(other, _)| operation.returned < other.returned) {
            earliest = Some((operation, revision));
        }
    }
    Verdict::Ok
}

fn broken(explanation: String, first: &Operation, second: &Operation) -> Verdict {
    let history = vec![Record::Operation(first.clone()), Record::Operation(second.clone())];
    Verdict::broken(Law::Revisions, explanation, history)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Answer, Outcome, generate};

    fn write(call: u64, returned: u64, revision: u64) -> Operation {
        let outcome = Outcome::Ok { answer: Answer::Done, revision: Some(revision) };
        let key = format!("k{call}");
        Operation {
            process: 1,
            call,
            returned: Some(returned),
            key,
            action: Action::Write { value: 1 },
            outcome,
        }
    }

    #[test]
    fn a_revision_that_goes_back_is_found() {
        let verdict = check(&[write(0, 1, 8), write(2, 3, 9), write(4, 5, 7)]);
        assert_eq!(verdict.violation().expect("violation").history.len(), 2);
        assert!(check(&[write(0, 5, 8), write(2, 3, 9), write(4, 5, 10)]).is_ok());
    }

    #[test]
    fn a_shared_revision_is_found() {
        assert!(check(&[write(0, 5, 8), write(0, 5, 8)]).violation().is_some());
    }

    #[test]
    fn correct_histories_pass_and_a_swap_is_caught() {
        for seed in 0..500 {
            let mut history = generate::register(seed, 60, 4, 3);
            assert!(check(&history).is_ok(), "seed {seed}");
            let writes: Vec<usize> = (0..history.len())
                .filter(|index| {
                    history[*index].revision().is_some() && history[*index].action != Action::Read
                })
                .collect();
            let (first, last) = (writes[0], *writes.last().expect("writes"));
            let swapped = history[first].outcome.clone();
            history[first].outcome = std::mem::replace(&mut history[last].outcome, swapped);
            assert!(check(&history).violation().is_some(), "seed {seed}: not caught");
        }
    }
}
