//! A history and its lines.

use std::fmt::{self, Write as _};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::Operation;
use crate::convergence::FinalState;
use crate::fencing::FencedWrite;
use crate::state_hash::HashSample;
use crate::watch::{LoggedWrite, WatchRecord};

/// Longest accepted line, in bytes.
pub const LINE_LIMIT_BYTES: usize = 64 << 20;

/// One line of a history file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "snake_case")]
pub enum Record {
    /// A client operation.
    Operation(Operation),
    /// What a watcher saw.
    Watch(WatchRecord),
    /// A write as it stands in the log, the truth that watches are held against.
    Logged(LoggedWrite),
    /// A write of a leader-scope writer.
    Fenced(FencedWrite),
    /// The state hash of a member at an applied index.
    Hash(HashSample),
    /// The state of a member after healing.
    Final(FinalState),
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Record::Operation(operation) => write!(f, "{operation}"),
            Record::Watch(watch) => write!(f, "{watch}"),
            Record::Logged(write) => write!(f, "{write}"),
            Record::Fenced(write) => write!(f, "{write}"),
            Record::Hash(sample) => write!(f, "{sample}"),
            Record::Final(state) => write!(f, "{state}"),
        }
    }
}

/// Everything a run recorded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// Client operations, in any order.
    pub operations: Vec<Operation>,
    /// What watchers saw; the records of one stream in the order the watcher saw them.
    pub watches: Vec<WatchRecord>,
    /// The log, in any order.
    pub log: Vec<LoggedWrite>,
    /// Writes of leader-scope writers, in any order.
    pub fenced: Vec<FencedWrite>,
    /// State hashes, in any order.
    pub hashes: Vec<HashSample>,
    /// One final state per member.
    pub finals: Vec<FinalState>,
}

/// Why the text of a history was not accepted.
#[derive(Debug, Error)]
pub enum HistoryError {
    /// A line is no record.
    #[error(
        "line {line} of the history is no record: {source}; the file was cut or written by another version"
    )]
    Malformed {
        /// Counted from 1.
        line: usize,
        /// What the decoder found.
        source: serde_json::Error,
    },
    /// A line is too long.
    #[error(
        "line {line} of the history has {length_bytes} bytes, more than {LINE_LIMIT_BYTES}; split the read"
    )]
    TooLong {
        /// Counted from 1.
        line: usize,
        /// Its length.
        length_bytes: usize,
    },
}

impl History {
    /// Reads JSON lines; blank lines are skipped, anything else must be a [`Record`].
    pub fn from_json_lines(text: &str) -> Result<History, HistoryError> {
        let mut history = History::default();
        for (index, line) in text.lines().enumerate() {
            if line.trim().is_empty() {
                continue;
            }
            if line.len() > LINE_LIMIT_BYTES {
                return Err(HistoryError::TooLong { line: index + 1, length_bytes: line.len() });
            }
            let record = serde_json::from_str(line)
                .map_err(|source| HistoryError::Malformed { line: index + 1, source })?;
            history.push(record);
        }
        Ok(history)
    }

    /// Adds one record.
    pub fn push(&mut self, record: Record) {
        match record {
            Record::Operation(operation) => self.operations.push(operation),
            Record::Watch(watch) => self.watches.push(watch),
            Record::Logged(write) => self.log.push(write),
            Record::Fenced(write) => self.fenced.push(write),
            Record::Hash(sample) => self.hashes.push(sample),
            Record::Final(state) => self.finals.push(state),
        }
    }

    /// All records, operations first.
    pub fn into_records(self) -> Vec<Record> {
        let operations = self.operations.into_iter().map(Record::Operation);
        operations
            .chain(self.watches.into_iter().map(Record::Watch))
            .chain(self.log.into_iter().map(Record::Logged))
            .chain(self.fenced.into_iter().map(Record::Fenced))
            .chain(self.hashes.into_iter().map(Record::Hash))
            .chain(self.finals.into_iter().map(Record::Final))
            .collect()
    }

    /// Writes JSON lines that [`History::from_json_lines`] reads.
    pub fn to_json_lines(&self) -> String {
        let mut text = String::new();
        for record in self.clone().into_records() {
            writeln!(text, "{}", record.to_json_line()).expect("writing to a String cannot fail");
        }
        text
    }
}

impl FromIterator<Record> for History {
    fn from_iter<I: IntoIterator<Item = Record>>(records: I) -> Self {
        let mut history = History::default();
        records.into_iter().for_each(|record| history.push(record));
        history
    }
}

impl Record {
    /// The record as one line without its line end.
    pub fn to_json_line(&self) -> String {
        serde_json::to_string(self).expect("records have string keys and finite numbers only")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate;

    #[test]
    fn lines_bring_back_the_history() {
        let mut history = History { operations: generate::register(7, 40, 3, 2), ..History::default() };
        let (watches, log) = generate::watch(7, 40);
        history.watches = watches;
        history.log = log;
        let text = history.to_json_lines();
        assert_eq!(History::from_json_lines(&text).expect("own lines"), history);
    }

    #[test]
    fn a_cut_line_is_named() {
        let text = "\n{\"record\":\"hash\",\"member\":1,\"ind";
        let error = History::from_json_lines(text).expect_err("cut");
        assert!(error.to_string().starts_with("line 2 "), "{error}");
    }
}
