//! What a siege says at its end.

use std::path::PathBuf;

use serde::Serialize;

use crate::checks::{Standing, Table};
use crate::failover::FailoverReport;
use crate::schedule::Schedule;

/// The outcome of a siege.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Decided faults and operations.
    pub seed: u64,
    /// How many servers.
    pub members: usize,
    /// The faults as planned.
    pub schedule: Option<Schedule>,
    /// What was done and noticed, by time.
    pub notes: Vec<String>,
    /// Operations recorded.
    pub operations: usize,
    /// Of them acknowledged.
    pub acknowledged: usize,
    /// Of them with an unknown outcome.
    pub unknown: usize,
    /// Writes in the log.
    pub logged: usize,
    /// The verdicts.
    pub table: Table,
    /// Measured gaps, of a failover run.
    pub failover: Option<FailoverReport>,
    /// Where the whole history is, if it was kept.
    pub history: Option<PathBuf>,
    /// Where the smallest failing history is, if a law was broken.
    pub failing: Option<PathBuf>,
}

impl Report {
    /// Whether everything that must be shown was shown.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.table.is_complete()
    }

    /// The failing records of all broken checks as lines of a history.
    pub(crate) fn failing_lines(&self) -> Option<String> {
        let lines: Vec<String> = self
            .table
            .rows
            .iter()
            .filter(|row| row.standing == Standing::Violated)
            .flat_map(|row| row.failing.iter().map(|record| record.to_json_line() + "\n"))
            .collect();
        (!lines.is_empty()).then(|| lines.concat())
    }
}
