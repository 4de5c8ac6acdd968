use super::*;
use crate::generate;

fn add(call: u64, returned: u64, value: u64) -> Operation {
    let outcome = Outcome::Ok { answer: Answer::Done, revision: None };
    operation(call, returned, Action::Add { value }, outcome)
}

fn read(call: u64, returned: u64, elements: &[u64]) -> Operation {
    let outcome = Outcome::Ok { answer: Answer::List(elements.to_vec()), revision: None };
    operation(call, returned, Action::ReadSet, outcome)
}

fn operation(call: u64, returned: u64, action: Action, outcome: Outcome) -> Operation {
    Operation { process: 1, call, returned: Some(returned), key: "s".to_owned(), action, outcome }
}

fn found(history: &[Operation], words: &str) {
    let verdict = check(history);
    let violation = verdict.violation().unwrap_or_else(|| panic!("not found: {words}"));
    assert!(violation.explanation.contains(words), "{violation}");
}

#[test]
fn a_lost_add_is_found() {
    found(&[add(0, 1, 1), add(0, 1, 2), read(2, 3, &[1])], "was acknowledged before this read");
}

#[test]
fn phantoms_are_found() {
    found(&[add(0, 1, 1), read(2, 3, &[1, 9])], "never added");
    found(&[read(0, 1, &[1]), add(2, 3, 1)], "before its add was called");
    let mut failed = add(0, 1, 1);
    failed.outcome = Outcome::Failed;
    found(&[failed, read(2, 3, &[1])], "certainly had no effect");
    found(&[add(0, 1, 1), read(2, 3, &[1, 1])], "twice");
}

#[test]
fn an_element_of_unknown_outcome_may_come_but_not_go() {
    let mut unknown = add(0, 1, 1);
    unknown.outcome = Outcome::Unknown;
    assert!(check(&[unknown.clone(), read(2, 3, &[]), read(4, 5, &[1])]).is_ok());
    found(&[unknown, read(2, 3, &[1]), read(4, 5, &[])], "gone from a later read");
}

#[test]
fn reads_agree_on_an_order() {
    let adds = [add(0, 10, 1), add(0, 10, 2)];
    found(&[&adds[..], &[read(1, 9, &[1]), read(1, 9, &[2])]].concat(), "without");
    found(&[add(0, 1, 1), add(2, 9, 2), read(0, 9, &[2])], "acknowledged before 2 was added");
}

#[test]
fn correct_histories_pass_and_one_dropped_element_is_caught() {
    let mut planted = 0;
    for seed in 0..1_000 {
        let mut history = generate::set(seed, 60, 4);
        let verdict = check(&history);
        assert!(verdict.is_ok(), "seed {seed}: {verdict:?}");
        let last = history.iter().rposition(
            |op| matches!(&op.outcome, Outcome::Ok { answer: Answer::List(list), .. } if !list.is_empty()),
        );
        let Some(last) = last else { continue };
        let call = history[last].call;
        let acked: Vec<u64> = history
            .iter()
            .filter(|op| op.is_acknowledged() && op.returned < Some(call))
            .filter_map(|op| if let Action::Add { value } = op.action { Some(value) } else { None })
            .collect();
        let Outcome::Ok { answer: Answer::List(list), .. } = &mut history[last].outcome else { continue };
        let Some(dropped) = list.iter().position(|element| acked.contains(element)) else { continue };
        list.remove(dropped);
        planted += 1;
        let verdict = check(&history);
        let violation = verdict.violation().unwrap_or_else(|| panic!("seed {seed}: not caught"));
        let part: Vec<Operation> = violation
            .history
            .iter()
            .filter_map(|record| if let Record::Operation(op) = record { Some(op.clone()) } else { None })
            .collect();
        assert!(check(&part).violation().is_some(), "the minimal history does not fail: {violation}");
    }
    assert!(planted > 900, "only {planted} planted");
}
