use super::*;
use crate::generate;
use crate::{Action, Answer, Outcome, Step};

fn done() -> Outcome {
    Outcome::Ok { answer: Answer::Done, revision: None }
}

fn operation(call: u64, returned: u64, key: &str, action: Action, outcome: Outcome) -> Operation {
    Operation { process: call, call, returned: Some(returned), key: key.to_owned(), action, outcome }
}

fn append(call: u64, returned: u64, value: u64) -> Operation {
    operation(call, returned, "x", Action::Append { value }, done())
}

fn read(call: u64, returned: u64, list: &[u64]) -> Operation {
    let outcome = Outcome::Ok { answer: Answer::List(list.to_vec()), revision: None };
    operation(call, returned, "x", Action::ReadList, outcome)
}

/// `"x+1"` appends 1 to `x`; `"y"` reads `y`, answered in order by `lists`.
fn transaction(call: u64, returned: u64, steps: &[&str], lists: &[&[u64]]) -> Operation {
    let steps = steps
        .iter()
        .map(|step| match step.split_once('+') {
            Some((key, value)) => {
                Step::Append { key: key.to_owned(), value: value.parse().expect("a number") }
            }
            None => Step::Read { key: (*step).to_owned() },
        })
        .collect();
    let lists = lists.iter().map(|list| list.to_vec()).collect();
    let outcome = Outcome::Ok { answer: Answer::Lists(lists), revision: None };
    operation(call, returned, "", Action::Transaction { steps }, outcome)
}

fn run(history: &[Operation]) -> Verdict {
    check(history, &Limits::default())
}

fn found(history: &[Operation], words: &str) {
    let verdict = run(history);
    let violation = verdict.violation().unwrap_or_else(|| panic!("not found: {words}"));
    assert!(violation.explanation.contains(words), "{violation}");
}

#[test]
fn a_lost_append_is_found() {
    found(&[append(0, 1, 1), append(2, 3, 2), read(4, 5, &[1])], "acknowledged before this read");
}

#[test]
fn a_duplicated_append_is_found() {
    found(&[append(0, 1, 1), read(2, 3, &[1, 1])], "stands twice");
}

#[test]
fn reordered_appends_are_found() {
    let appends = [append(0, 9, 1), append(0, 9, 2)];
    found(&[&appends[..], &[read(10, 11, &[1, 2]), read(10, 11, &[2, 1])]].concat(), "differ at position 0");
    found(&[append(0, 1, 1), append(2, 3, 2), read(4, 5, &[2, 1])], "no order");
}

#[test]
fn invented_and_failed_appends_are_found() {
    found(&[read(2, 3, &[7])], "never appended");
    let mut failed = append(0, 1, 1);
    failed.outcome = Outcome::Failed;
    found(&[failed, read(2, 3, &[1])], "had no effect");
}

#[test]
fn a_read_before_its_append_is_found() {
    found(&[read(0, 1, &[1]), append(2, 3, 1)], "no order");
}

#[test]
fn an_unknown_append_may_come_late_or_never() {
    let mut unknown = append(0, 1, 1);
    unknown.outcome = Outcome::Unknown;
    assert!(run(&[unknown.clone(), append(2, 3, 2), read(4, 5, &[2])]).is_ok());
    assert!(run(&[unknown.clone(), append(2, 3, 2), read(4, 5, &[2, 1])]).is_ok());
    found(&[unknown, append(2, 3, 2), read(4, 5, &[2, 1]), read(6, 7, &[2])], "no order");
}

#[test]
fn a_cycle_across_lists_is_reported_with_its_members() {
    // Each transaction read the other's list before the other appended: write skew.
    let history = [
        transaction(0, 9, &["x", "y+1"], &[&[]]),
        transaction(0, 9, &["y", "x+1"], &[&[]]),
        transaction(0, 9, &["z+1"], &[]),
        read(10, 11, &[1]),
        transaction(10, 11, &["y"], &[&[1]]),
    ];
    let verdict = run(&history);
    let violation = verdict.violation().expect("write skew");
    assert_eq!(violation.history.len(), 2, "{violation}");
    assert!(violation.explanation.contains("did not see the append of"), "{violation}");
}

#[test]
fn a_half_visible_transaction_is_found() {
    let history = [
        transaction(0, 9, &["x+1", "y+1"], &[]),
        transaction(0, 9, &["x", "y"], &[&[1], &[]]),
        transaction(10, 11, &["y"], &[&[1]]),
    ];
    found(&history, "no order");
}

#[test]
fn a_transaction_must_see_its_own_appends() {
    assert!(run(&[transaction(0, 9, &["x+1", "x"], &[&[1]])]).is_ok());
    found(&[transaction(0, 9, &["x+1", "x"], &[&[]])], "contradicts itself");
    found(&[append(0, 9, 2), transaction(0, 9, &["x", "x"], &[&[], &[2]])], "two reads of `x` differ");
}

#[test]
fn a_value_appended_twice_by_the_workload_is_undecided() {
    assert!(matches!(run(&[append(0, 1, 1), append(2, 3, 1)]), Verdict::Undecided { .. }));
}

#[test]
fn thousands_of_correct_histories_pass() {
    for seed in 0..2_000 {
        let verdict = run(&generate::lists(seed, 50, 5, 3));
        assert!(verdict.is_ok(), "seed {seed}: {verdict:?}");
    }
}

/// Takes the last element off one read that shows an append acknowledged before it.
fn plant_stale_read(history: &mut [Operation]) -> bool {
    for index in (0..history.len()).rev() {
        let (call, key) = (history[index].call, history[index].key.clone());
        let Outcome::Ok { answer: Answer::List(list), .. } = &history[index].outcome else { continue };
        let Some(last) = list.last().copied() else { continue };
        let finished = history.iter().any(|op| {
            op.key == key
                && op.action == Action::Append { value: last }
                && op.answered_at().is_some_and(|at| at < call)
        });
        if finished {
            let Outcome::Ok { answer: Answer::List(list), .. } = &mut history[index].outcome else {
                continue;
            };
            list.pop();
            return true;
        }
    }
    false
}

/// Swaps the elements of two finished appends, one after the other in real time, in every read.
fn plant_reordering(history: &mut [Operation]) -> bool {
    let mut lists: Vec<&Vec<u64>> = Vec::new();
    for op in history.iter().filter(|op| op.action == Action::ReadList) {
        if let Outcome::Ok { answer: Answer::List(list), .. } = &op.outcome {
            lists.push(list);
        }
    }
    let find = |value: u64| history.iter().find(|op| op.action == Action::Append { value });
    let pair = lists
        .iter()
        .flat_map(|list| list.windows(2))
        .find_map(|pair| find(pair[0])?.precedes(find(pair[1])?).then_some((pair[0], pair[1])));
    let Some((first, second)) = pair else { return false };
    let swap = |list: &mut Vec<u64>| {
        for element in list.iter_mut() {
            *element = if *element == first {
                second
            } else if *element == second {
                first
            } else {
                *element
            };
        }
    };
    for op in history.iter_mut() {
        match &mut op.outcome {
            Outcome::Ok { answer: Answer::List(list), .. } => swap(list),
            Outcome::Ok { answer: Answer::Lists(lists), .. } => lists.iter_mut().for_each(swap),
            _ => {}
        }
    }
    true
}

#[test]
fn one_planted_change_is_caught_in_each_history() {
    let mut planted = [0, 0];
    for seed in 0..600 {
        for (kind, plant) in [plant_stale_read, plant_reordering].iter().enumerate() {
            let mut history = generate::lists(seed, 80, 5, 2);
            if !plant(&mut history) {
                continue;
            }
            planted[kind] += 1;
            let verdict = run(&history);
            let violation =
                verdict.violation().unwrap_or_else(|| panic!("seed {seed} kind {kind}: not caught"));
            assert!(violation.history.len() <= 5, "seed {seed}: {violation}");
        }
    }
    assert!(planted[0] > 200 && planted[1] > 200, "{planted:?} planted");
}

#[test]
fn a_long_history_is_checked_in_seconds() {
    let mut history = generate::lists(11, 20_000, 10, 50);
    let started = std::time::Instant::now();
    assert!(run(&history).is_ok());
    assert!(plant_stale_read(&mut history));
    assert!(run(&history).violation().is_some());
    println!("20,000 list transactions, passed and failed: {:?}", started.elapsed());
}
