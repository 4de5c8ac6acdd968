use super::*;
use crate::generate;
use crate::{Answer, Guard};

fn op(process: u64, call: u64, returned: u64, action: Action, outcome: Outcome) -> Operation {
    Operation { process, call, returned: Some(returned), key: "k".to_owned(), action, outcome }
}

fn write(process: u64, call: u64, returned: u64, value: u64) -> Operation {
    op(process, call, returned, Action::Write { value }, done())
}

fn read(process: u64, call: u64, returned: u64, value: Option<u64>) -> Operation {
    op(process, call, returned, Action::Read, Outcome::Ok { answer: Answer::Value(value), revision: None })
}

fn done() -> Outcome {
    Outcome::Ok { answer: Answer::Done, revision: None }
}

fn done_at(revision: u64) -> Outcome {
    Outcome::Ok { answer: Answer::Done, revision: Some(revision) }
}

fn run(operations: &[Operation]) -> Verdict {
    check(operations, &Limits::default())
}

fn assert_minimal(verdict: &Verdict, length: usize) {
    let violation = verdict.violation().expect("a violation");
    assert_eq!(violation.history.len(), length, "{violation}");
    let part: Vec<Operation> = violation
        .history
        .iter()
        .filter_map(|record| if let Record::Operation(op) = record { Some(op.clone()) } else { None })
        .collect();
    assert!(run(&part).violation().is_some(), "the minimal history does not fail: {violation}");
}

#[test]
fn a_stale_read_is_found() {
    let history = [write(1, 0, 1, 10), write(1, 2, 3, 11), read(2, 4, 5, Some(10)), read(2, 6, 7, Some(11))];
    assert_minimal(&run(&history), 3);
}

#[test]
fn concurrent_operations_may_take_either_order() {
    let history = [write(1, 0, 10, 10), write(2, 0, 10, 11), read(3, 11, 12, Some(10))];
    assert!(run(&history).is_ok());
    let flip =
        [write(1, 0, 10, 10), write(2, 0, 10, 11), read(3, 11, 12, Some(10)), read(4, 13, 14, Some(11))];
    assert_minimal(&run(&flip), 4);
}

#[test]
fn a_lost_write_is_found() {
    assert_minimal(&run(&[write(1, 0, 1, 10), read(1, 2, 3, None)]), 2);
}

#[test]
fn a_value_from_nowhere_is_found() {
    assert_minimal(&run(&[write(1, 0, 1, 10), read(1, 2, 3, Some(99))]), 1);
}

#[test]
fn an_unknown_write_may_take_effect_late_or_never() {
    let mut unknown = write(1, 0, 1, 10);
    unknown.outcome = Outcome::Unknown;
    let late = [unknown.clone(), write(2, 2, 3, 11), read(2, 4, 5, Some(11)), read(2, 6, 7, Some(10))];
    assert!(run(&late).is_ok(), "late");
    assert!(run(&[unknown.clone(), read(2, 2, 3, None)]).is_ok(), "never");
    let twice = [unknown, read(2, 2, 3, Some(10)), write(2, 4, 5, 11), read(2, 6, 7, Some(10))];
    assert_minimal(&run(&twice), 4);
}

#[test]
fn an_unknown_write_does_not_take_effect_before_its_call() {
    let mut unknown = write(1, 9, 10, 10);
    unknown.outcome = Outcome::Unknown;
    assert!(run(&[read(2, 0, 1, Some(10)), unknown]).violation().is_some());
}

#[test]
fn a_failed_write_has_no_effect() {
    let mut failed = write(1, 0, 1, 10);
    failed.outcome = Outcome::Failed;
    assert!(run(&[failed.clone(), read(2, 2, 3, None)]).is_ok());
    assert!(run(&[failed, read(2, 2, 3, Some(10))]).violation().is_some());
}

#[test]
fn two_guarded_writes_on_one_value_cannot_both_win() {
    let cas = |process, value| op(process, 2, 9, Action::Cas { guard: Guard::Value(10), value }, done());
    assert_minimal(&run(&[write(1, 0, 1, 10), cas(1, 11), cas(2, 12)]), 3);
    let create = |process, value| op(process, 0, 9, Action::Cas { guard: Guard::Absent, value }, done());
    assert_minimal(&run(&[create(1, 1), create(2, 2)]), 2);
}

#[test]
fn a_refusal_must_have_a_reason() {
    let refused = op(2, 2, 3, Action::Cas { guard: Guard::Value(10), value: 11 }, Outcome::Refused);
    assert_minimal(&run(&[write(1, 0, 1, 10), refused.clone()]), 2);
    let mut unknown = write(3, 0, 1, 12);
    unknown.outcome = Outcome::Unknown;
    assert!(run(&[write(1, 0, 1, 10), unknown, refused]).is_ok(), "the unknown write is a reason");
}

#[test]
fn unknown_guarded_writes_explain_each_other() {
    let unknown = |guard, value| op(1, 0, 1, Action::Cas { guard, value }, Outcome::Unknown);
    let chain = [unknown(Guard::Value(10), 11), unknown(Guard::Absent, 10), read(2, 2, 3, Some(11))];
    assert!(run(&chain).is_ok());
    let at_revision = [
        write(1, 0, 1, 10),
        unknown(Guard::Revision(7), 12),
        unknown(Guard::Value(10), 11),
        read(2, 2, 3, Some(12)),
    ];
    assert!(run(&at_revision).is_ok());
}

#[test]
fn revisions_are_held_against_the_order() {
    let mut first = write(1, 0, 1, 10);
    first.outcome = done_at(5);
    let mut second = write(1, 2, 3, 11);
    second.outcome = done_at(4);
    let verdict = run(&[first.clone(), second]);
    assert_minimal(&verdict, 2);
    let explanation = &verdict.violation().expect("violation").explanation;
    assert!(explanation.contains("the revisions contradict them"), "{explanation}");
    let mut wrong = read(2, 2, 3, Some(10));
    wrong.outcome = Outcome::Ok { answer: Answer::Value(Some(10)), revision: Some(6) };
    assert_minimal(&run(&[first, wrong]), 2);
}

#[test]
fn revisions_alone_never_acquit() {
    // The revisions are in order; real time is not: the second write returned before the first was called.
    let mut first = write(1, 10, 11, 10);
    first.outcome = done_at(1);
    let mut second = write(2, 0, 1, 11);
    second.outcome = done_at(2);
    assert!(run(&[first, second]).violation().is_some());
}

#[test]
fn a_write_at_a_stale_revision_is_found() {
    let mut first = write(1, 0, 1, 10);
    first.outcome = done_at(1);
    let mut second = write(1, 2, 3, 11);
    second.outcome = done_at(2);
    let stale = op(2, 4, 5, Action::Cas { guard: Guard::Revision(1), value: 12 }, done_at(3));
    assert_minimal(&run(&[first, second, stale]), 3);
}

#[test]
fn an_exhausted_budget_is_undecided() {
    let history = generate::register(3, 400, 5, 1);
    let limits = Limits { search_steps: 10, ..Limits::default() };
    let verdict = check(&history, &limits);
    assert!(matches!(verdict, Verdict::Undecided { .. }), "{verdict:?}");
}

#[test]
fn thousands_of_correct_histories_pass() {
    for seed in 0..3_000 {
        let history = generate::register(seed, 60, 2 + usize::try_from(seed % 6).expect("small"), 2);
        let verdict = run(&history);
        assert!(verdict.is_ok(), "seed {seed}: {verdict:?}");
    }
}

/// Without revisions the search has no guide; the answers must be the same.
#[test]
fn correct_histories_without_revisions_pass() {
    for seed in 0..2_000 {
        let plain: Vec<Operation> =
            generate::register(seed, 60, 5, 1).iter().map(without_revisions).collect();
        let verdict = run(&plain);
        assert!(verdict.is_ok(), "seed {seed}: {verdict:?}");
    }
}

#[test]
fn one_planted_stale_read_is_caught_in_each_history() {
    let (mut planted, mut reported) = (0, 0);
    for seed in 0..1_000 {
        let mut history = generate::register(seed, 80, 4, 1);
        if plant_stale_read(&mut history).is_none() {
            continue;
        }
        planted += 1;
        let verdict = run(&history);
        let violation = verdict.violation().unwrap_or_else(|| panic!("seed {seed}: not caught"));
        assert!(violation.history.len() <= 16, "seed {seed}: {violation}");
        reported += violation.history.len();
    }
    assert!(reported <= planted * 5, "{reported} operations reported for {planted} violations");
    assert!(planted > 900, "only {planted} histories had room for the mutation");
}

/// Lets the last read that returned a value return one that a later, finished write had replaced.
fn plant_stale_read(history: &mut [Operation]) -> Option<()> {
    let target = history
        .iter()
        .rposition(|op| matches!(op.outcome, Outcome::Ok { answer: Answer::Value(Some(_)), .. }))?;
    let call = history[target].call;
    let writes: Vec<&Operation> = history
        .iter()
        .filter(|op| {
            matches!(op.action, Action::Write { .. }) && op.answered_at().is_some_and(|at| at < call)
        })
        .collect();
    let last = writes.iter().max_by_key(|op| op.call)?;
    let stale = writes.iter().find(|op| op.answered_at().is_some_and(|at| at < last.call))?;
    let Action::Write { value } = stale.action else { return None };
    let revision = stale.revision();
    history[target].outcome = Outcome::Ok { answer: Answer::Value(Some(value)), revision };
    Some(())
}

/// The definition, tried out in full: any order of any choice of unknown operations.
fn brute_force(prepared: &Prepared, placed: u32, state: model::State) -> bool {
    let known = prepared.known.len();
    let candidates: Vec<&model::Candidate> = prepared.known.iter().chain(&prepared.unknown).collect();
    if (0..known).all(|index| placed & (1 << index) != 0) {
        return true;
    }
    let open = |index: &usize| placed & (1 << index) == 0;
    let horizon = (0..candidates.len()).filter(open).map(|index| candidates[index].answered).min();
    (0..candidates.len()).filter(open).any(|index| {
        Some(candidates[index].call) <= horizon
            && candidates[index]
                .effect
                .apply(state)
                .is_some_and(|after| brute_force(prepared, placed | 1 << index, after))
    })
}

#[test]
fn the_search_agrees_with_the_definition() {
    let (mut bad, mut good) = (0, 0);
    for seed in 0..6_000_u64 {
        let mut history = generate::register(seed, 7, 4, 1);
        // Scramble: few values, so that they repeat, and answers of another run.
        let other = generate::register(seed + 1_000_000, 7, 4, 1);
        for (index, op) in history.iter_mut().enumerate() {
            let roll = generate::mix(seed * 31 + index as u64);
            if roll.is_multiple_of(5) {
                op.action = other[index].action.clone();
                op.outcome = other[index].outcome.clone();
            }
            if let Action::Write { value } | Action::Cas { value, .. } = &mut op.action {
                *value = 1_000 + *value % 3;
            }
            if let Action::Cas { guard: Guard::Value(value), .. } = &mut op.action {
                *value = 1_000 + *value % 3;
            }
            if let Outcome::Ok { answer: Answer::Value(Some(value)), revision } = &mut op.outcome {
                *value = 1_000 + *value % 3;
                if roll.is_multiple_of(3) {
                    *revision = None;
                }
            }
            if roll.is_multiple_of(7) {
                op.outcome = Outcome::Unknown;
            }
        }
        let part: Vec<&Operation> = history.iter().collect();
        let prepared = Prepared::new(&part);
        let expected = brute_force(&prepared, 0, model::State::INITIAL);
        let found = search::find_order(&prepared, &Limits::default());
        assert_eq!(found == Found::Order, expected, "seed {seed}: {history:#?}");
        if expected { good += 1 } else { bad += 1 }
    }
    assert!(good > 500 && bad > 500, "{good} good and {bad} bad histories prove little");
}

/// The size that a siege run of some minutes records.
#[test]
fn a_hundred_thousand_operations_are_checked_in_seconds() {
    let history = generate::register(42, 100_000, 10, 50);
    let started = std::time::Instant::now();
    assert!(run(&history).is_ok());
    println!("100,000 operations pass in {:?}", started.elapsed());

    let started = std::time::Instant::now();
    let mut stale: Vec<Operation> = history.iter().filter(|op| op.key == "r7").cloned().collect();
    plant_stale_read(&mut stale).expect("room for the mutation");
    let others = history.iter().filter(|op| op.key != "r7").cloned();
    let planted: Vec<Operation> = stale.into_iter().chain(others).collect();
    let verdict = run(&planted);
    println!("100,000 operations with a stale read fail in {:?}: {verdict:?}", started.elapsed());
    assert!(verdict.violation().expect("caught").history.len() <= 8);
}
