//! The log against what clients were told.

use std::collections::BTreeMap;

use trireme_laws::watch::{Change, LoggedWrite};
use trireme_laws::{Action, History, Operation, Outcome, Record};

use crate::workload::sets::element_key;

/// Something that the log shows and the clients' answers forbid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Broken {
    pub(super) explanation: String,
    pub(super) history: Vec<Record>,
}

/// What an operation leaves in the log, as far as it tells: the key, and the change for all but lists.
fn effect(operation: &Operation) -> Option<(String, Option<Change>)> {
    match &operation.action {
        Action::Write { value } | Action::Cas { value, .. } => {
            Some((operation.key.clone(), Some(Change::Put(*value))))
        }
        Action::Delete { .. } => Some((operation.key.clone(), Some(Change::Delete))),
        Action::Add { value } => Some((element_key(&operation.key, *value), Some(Change::Put(*value)))),
        Action::Append { .. } => Some((operation.key.clone(), None)),
        Action::Transaction { .. } | Action::Read | Action::ReadList | Action::ReadSet => None,
    }
}

/// Every acknowledged write stands in the log at the revision that its client was told. How many there were.
pub(super) fn acknowledged(history: &History) -> (usize, Option<Broken>) {
    let log: BTreeMap<u64, &LoggedWrite> = history.log.iter().map(|write| (write.revision, write)).collect();
    let mut records = 0;
    if log.is_empty() {
        return (0, None);
    }
    for operation in &history.operations {
        let (Some(revision), Some((key, change))) = (operation.revision(), effect(operation)) else {
            continue;
        };
        records += 1;
        let (explanation, logged) = match log.get(&revision) {
            None => (
                format!("a write was acknowledged at revision {revision}, which the log does not have"),
                None,
            ),
            Some(write) if write.key != key || change.is_some_and(|change| change != write.change) => (
                format!("a write was acknowledged at revision {revision}, where the log has another"),
                Some(*write),
            ),
            Some(_) => continue,
        };
        let mut history = vec![Record::Operation(operation.clone())];
        history.extend(logged.map(|write| Record::Logged(write.clone())));
        return (records, Some(Broken { explanation, history }));
    }
    (records, None)
}

/// No put stands in the log twice, and none whose client was told that it had no effect. How many puts there were.
pub(super) fn once(history: &History) -> (usize, Option<Broken>) {
    let mut puts: BTreeMap<(&str, u64), &LoggedWrite> = BTreeMap::new();
    let mut records = 0;
    for write in &history.log {
        let Change::Put(value) = write.change else { continue };
        records += 1;
        if let Some(first) = puts.insert((&write.key, value), write) {
            let explanation = format!(
                "one write took effect twice, at revisions {} and {}",
                first.revision, write.revision
            );
            let mut part: Vec<Record> = writer_of(history, &write.key, value).into_iter().collect();
            part.extend([Record::Logged(first.clone()), Record::Logged(write.clone())]);
            return (records, Some(Broken { explanation, history: part }));
        }
    }
    for operation in &history.operations {
        if !matches!(operation.outcome, Outcome::Refused | Outcome::Failed) {
            continue;
        }
        let Some((key, Some(Change::Put(value)))) = effect(operation) else { continue };
        if let Some(write) = puts.get(&(key.as_str(), value)) {
            let explanation = format!(
                "a client was told that its write had no effect, but the log has it at revision {}",
                write.revision
            );
            let part = vec![Record::Operation(operation.clone()), Record::Logged((*write).clone())];
            return (records, Some(Broken { explanation, history: part }));
        }
    }
    (records, None)
}

fn writer_of(history: &History, key: &str, value: u64) -> Option<Record> {
    let writer = history
        .operations
        .iter()
        .find(|operation| effect(operation) == Some((key.to_owned(), Some(Change::Put(value)))));
    writer.map(|operation| Record::Operation(operation.clone()))
}

#[cfg(test)]
mod tests {
    use trireme_laws::Answer;

    use super::*;

    fn write(key: &str, value: u64, outcome: Outcome) -> Operation {
        let action = Action::Write { value };
        Operation { process: 1, call: 1, returned: Some(2), key: key.into(), action, outcome }
    }

    fn done(revision: u64) -> Outcome {
        Outcome::Ok { answer: Answer::Done, revision: Some(revision) }
    }

    fn logged(revision: u64, key: &str, value: u64) -> LoggedWrite {
        LoggedWrite { revision, transaction: revision, key: key.into(), change: Change::Put(value) }
    }

    fn history(operations: Vec<Operation>, log: Vec<LoggedWrite>) -> History {
        History { operations, log, ..History::default() }
    }

    #[test]
    fn what_is_in_the_log_as_told_passes() {
        let good = history(
            vec![write("a", 1, done(1)), write("a", 2, Outcome::Unknown), write("a", 3, Outcome::Failed)],
            vec![logged(1, "a", 1), logged(2, "a", 2)],
        );
        assert_eq!(acknowledged(&good), (1, None));
        assert_eq!(once(&good), (2, None));
    }

    #[test]
    fn a_lost_acknowledged_write_is_found() {
        let lost = history(vec![write("a", 1, done(2))], vec![logged(1, "a", 7)]);
        assert!(acknowledged(&lost).1.unwrap().explanation.contains("does not have"));
        let other = history(vec![write("a", 1, done(1))], vec![logged(1, "a", 7)]);
        assert!(acknowledged(&other).1.unwrap().explanation.contains("has another"));
    }

    #[test]
    fn a_write_applied_twice_is_found() {
        let twice = history(vec![write("a", 1, done(1))], vec![logged(1, "a", 1), logged(2, "a", 1)]);
        let broken = once(&twice).1.unwrap();
        assert_eq!(broken.history.len(), 3);
    }

    #[test]
    fn a_refused_write_in_the_log_is_found() {
        let lied = history(vec![write("a", 1, Outcome::Failed)], vec![logged(1, "a", 1)]);
        assert!(once(&lied).1.is_some());
        let mut add = write("s/1/", 5, Outcome::Refused);
        add.action = Action::Add { value: 5 };
        assert!(once(&history(vec![add], vec![logged(1, "s/1/5", 5)])).1.is_some());
    }
}
