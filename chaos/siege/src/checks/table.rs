//! One row per check.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use trireme_laws::{Finding, History, Law, Limits, Record, Verdict, judge};

use super::ledger::{self, Broken};

/// What a row is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// A law of `chaos/laws`.
    Law(Law),
    /// Acknowledged writes stand in the log as told.
    Acknowledged,
    /// No write takes effect twice, or after it was refused.
    Once,
    /// Once healed, the cluster serves again with all its members, and watchers find their streams.
    Recovery,
    /// No server process ended by itself.
    Processes,
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Law(law) => law.fmt(f),
            Self::Acknowledged => f.write_str("acknowledged is durable"),
            Self::Once => f.write_str("applied at most once"),
            Self::Recovery => f.write_str("recovery"),
            Self::Processes => f.write_str("processes alive"),
        }
    }
}

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It held.
    Ok,
    /// It was broken.
    Violated,
    /// It could not be decided.
    Undecided,
    /// There was nothing to judge.
    NoRecords,
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ok => "ok",
            Self::Violated => "VIOLATED",
            Self::Undecided => "UNDECIDED",
            Self::NoRecords => "no records",
        })
    }
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// Which.
    pub check: Check,
    /// How many records it judged.
    pub records: usize,
    /// How it came out.
    pub standing: Standing,
    /// What happened, when it did not hold.
    pub explanation: Option<String>,
    /// A small part of the history that shows it.
    pub failing: Vec<Record>,
}

/// All checks of a history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Table {
    /// One row per check.
    pub rows: Vec<Row>,
}

const LAWS: [Law; 13] = [
    Law::RegisterLinearizable,
    Law::ListAppend,
    Law::Set,
    Law::Revisions,
    Law::WatchOrdered,
    Law::WatchUnique,
    Law::WatchAtomic,
    Law::WatchReliable,
    Law::WatchResumable,
    Law::WatchBookmarkable,
    Law::Fencing,
    Law::StateHash,
    Law::Convergence,
];

impl Table {
    /// Judges a history: every law and both checks of the log get a row, with or without records.
    #[must_use]
    pub fn judge(history: &History, limits: &Limits) -> Self {
        let mut found: BTreeMap<Law, Finding> =
            judge(history, limits).into_iter().map(|finding| (finding.law, finding)).collect();
        let mut rows: Vec<Row> = LAWS.into_iter().map(|law| Row::of_law(law, found.remove(&law))).collect();
        rows.push(Row::of_ledger(Check::Acknowledged, ledger::acknowledged(history)));
        rows.push(Row::of_ledger(Check::Once, ledger::once(history)));
        // One sample of an index proves nothing: what counts is how many were compared.
        let mut seen = BTreeMap::new();
        let compared = history.hashes.iter().filter(|sample| {
            let first = *seen.entry(sample.index).or_insert(sample.member);
            first != sample.member
        });
        let compared = compared.count();
        for row in rows.iter_mut().filter(|row| row.check == Check::Law(Law::StateHash)) {
            row.records = compared;
            if compared == 0 && row.standing == Standing::Ok {
                row.standing = Standing::NoRecords;
            }
        }
        Self { rows }
    }

    /// Adds a row about the run itself: `problems` broke it.
    pub fn add(&mut self, check: Check, records: usize, problems: &[String]) {
        let standing = if problems.is_empty() { Standing::Ok } else { Standing::Violated };
        let explanation = (!problems.is_empty()).then(|| problems.join("; "));
        self.rows.push(Row { check, records, standing, explanation, failing: Vec::new() });
    }

    /// Whether every check had records and held.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        !self.rows.is_empty() && self.rows.iter().all(|row| row.standing == Standing::Ok)
    }

    /// Whether some check had records, and none was broken or left undecided.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.rows.iter().any(|row| row.standing == Standing::Ok)
            && self.rows.iter().all(|row| matches!(row.standing, Standing::Ok | Standing::NoRecords))
    }
}

impl Row {
    fn of_law(law: Law, finding: Option<Finding>) -> Self {
        let check = Check::Law(law);
        let Some(Finding { records, verdict, .. }) = finding else {
            let standing = Standing::NoRecords;
            return Self { check, records: 0, standing, explanation: None, failing: Vec::new() };
        };
        match verdict {
            Verdict::Ok => {
                Self { check, records, standing: Standing::Ok, explanation: None, failing: Vec::new() }
            }
            Verdict::Violation(violation) => Self {
                check,
                records,
                standing: Standing::Violated,
                explanation: Some(violation.explanation),
                failing: violation.history,
            },
            Verdict::Undecided { reason, .. } => Self {
                check,
                records,
                standing: Standing::Undecided,
                explanation: Some(reason),
                failing: Vec::new(),
            },
        }
    }

    fn of_ledger(check: Check, (records, broken): (usize, Option<Broken>)) -> Self {
        match broken {
            Some(Broken { explanation, history }) => Self {
                check,
                records,
                standing: Standing::Violated,
                explanation: Some(explanation),
                failing: history,
            },
            None => {
                let standing = if records == 0 { Standing::NoRecords } else { Standing::Ok };
                Self { check, records, standing, explanation: None, failing: Vec::new() }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use trireme_laws::state_hash::HashSample;
    use trireme_laws::{Action, Answer, Operation, Outcome, generate};

    use super::*;

    fn standing(table: &Table, check: &Check) -> Standing {
        table.rows.iter().find(|row| row.check == *check).unwrap().standing
    }

    #[test]
    fn every_law_has_a_row_and_missing_records_are_not_success() {
        let operations = generate::register(1, 200, 4, 3);
        let table = Table::judge(&History { operations, ..History::default() }, &Limits::default());
        assert_eq!(table.rows.len(), LAWS.len() + 2);
        assert_eq!(standing(&table, &Check::Law(Law::RegisterLinearizable)), Standing::Ok);
        assert_eq!(standing(&table, &Check::Law(Law::ListAppend)), Standing::NoRecords);
        assert!(table.is_clean() && !table.is_complete());
        let nothing = Table::judge(&History::default(), &Limits::default());
        assert!(!nothing.is_clean(), "nothing to judge is not success");
    }

    #[test]
    fn a_violation_is_told_with_its_history() {
        let mut operations = generate::register(1, 200, 4, 3);
        let stale = |value, call| Operation {
            process: 99,
            call,
            returned: Some(call + 1),
            key: "x".into(),
            action: Action::Read,
            outcome: Outcome::Ok { answer: Answer::Value(Some(value)), revision: None },
        };
        operations.push(stale(5, 10));
        let table = Table::judge(&History { operations, ..History::default() }, &Limits::default());
        let row = table.rows.iter().find(|row| row.standing == Standing::Violated).unwrap();
        assert_eq!(row.check, Check::Law(Law::RegisterLinearizable));
        assert!(!row.failing.is_empty() && !table.is_clean());
    }

    #[test]
    fn hashes_count_only_when_members_meet() {
        let sample = |member, index| HashSample { member, at: 0, index, hash: index };
        let mut history = History { hashes: vec![sample(1, 1), sample(2, 2)], ..History::default() };
        let law = Check::Law(Law::StateHash);
        assert_eq!(standing(&Table::judge(&history, &Limits::default()), &law), Standing::NoRecords);
        history.hashes.push(sample(2, 1));
        assert_eq!(standing(&Table::judge(&history, &Limits::default()), &law), Standing::Ok);
    }

    #[test]
    fn problems_of_the_run_fail_the_table() {
        let mut table = Table { rows: Vec::new() };
        table.add(Check::Processes, 3, &[]);
        assert!(table.is_complete());
        table.add(Check::Recovery, 3, &["s1 did not come back".to_owned()]);
        assert!(!table.is_complete() && !table.is_clean());
    }
}
