//! One client operation of a history.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An operation as its client saw it.
///
/// Values are 64-bit names chosen by the workload; a workload that never writes a name twice gives the checkers
/// the sharpest sight. Ticks are nanoseconds of one clock shared by all processes of the history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// The client that issued it; a client has one operation in flight.
    pub process: u64,
    /// When it was called.
    pub call: u64,
    /// When the answer came; none if none came.
    pub returned: Option<u64>,
    /// The key, list or set; empty for [`Action::Transaction`], whose steps name their own.
    pub key: String,
    /// What was asked.
    pub action: Action,
    /// What came back.
    pub outcome: Outcome,
}

/// What an operation asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Action {
    /// Read a register; answered by [`Answer::Value`].
    Read,
    /// Set a register, whatever it holds.
    Write {
        /// The new value.
        value: u64,
    },
    /// Set a register if the guard holds.
    Cas {
        /// The condition.
        guard: Guard,
        /// The new value.
        value: u64,
    },
    /// Remove a register. Without a guard it is refused only if the key is absent; an acknowledged one of an
    /// absent key is let pass.
    Delete {
        /// The condition, if any.
        guard: Option<Guard>,
    },
    /// Append to a list.
    Append {
        /// The element.
        value: u64,
    },
    /// Read a list; answered by [`Answer::List`].
    ReadList,
    /// Several appends and list reads as one; answered by [`Answer::Lists`], one list per read step, in order.
    Transaction {
        /// What is done, in order.
        steps: Vec<Step>,
    },
    /// Add to a set.
    Add {
        /// The element.
        value: u64,
    },
    /// Read a set; answered by [`Answer::List`] in any order.
    ReadSet,
}

/// A part of a transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Step {
    /// Append to a list.
    Append {
        /// The list.
        key: String,
        /// The element.
        value: u64,
    },
    /// Read a list.
    Read {
        /// The list.
        key: String,
    },
}

/// The condition of a guarded write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Guard {
    /// The key does not exist.
    Absent,
    /// The key holds this value.
    Value(u64),
    /// The key was last changed at this revision.
    Revision(u64),
}

/// How an operation ended for its client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Outcome {
    /// Acknowledged.
    Ok {
        /// What was read, or that it was done.
        answer: Answer,
        /// The revision at which the key was changed (write) or last changed (read), if it was told.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        revision: Option<u64>,
    },
    /// Its guard was judged false (or the key to delete was absent); it had no effect.
    Refused,
    /// It certainly had no effect, for a reason that says nothing of the state.
    Failed,
    /// Nobody knows: it may take effect at any time after the call, or never.
    Unknown,
}

/// What an acknowledged operation brought back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// Nothing beyond the acknowledgement.
    Done,
    /// The value of a register; none if the key is absent.
    Value(Option<u64>),
    /// The elements of a list or set.
    List(Vec<u64>),
    /// The lists read by a transaction.
    Lists(Vec<Vec<u64>>),
}

impl Operation {
    /// The moment before which it must have taken effect, if it is known to have been answered.
    pub(crate) fn answered_at(&self) -> Option<u64> {
        match self.outcome {
            Outcome::Ok { .. } | Outcome::Refused => self.returned,
            Outcome::Failed | Outcome::Unknown => None,
        }
    }

    /// Whether it was acknowledged.
    pub fn is_acknowledged(&self) -> bool {
        matches!(self.outcome, Outcome::Ok { .. })
    }

    /// The revision that the answer told, if any.
    pub fn revision(&self) -> Option<u64> {
        match self.outcome {
            Outcome::Ok { revision, .. } => revision,
            Outcome::Refused | Outcome::Failed | Outcome::Unknown => None,
        }
    }

    /// Whether it returned strictly before `other` was called.
    pub(crate) fn precedes(&self, other: &Operation) -> bool {
        self.answered_at().is_some_and(|at| at < other.call)
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {} ", self.process)?;
        match &self.action {
            Action::Read => write!(f, "read `{}`", self.key)?,
            Action::Write { value } => write!(f, "wrote {value} to `{}`", self.key)?,
            Action::Cas { guard, value } => write!(f, "wrote {value} to `{}` if {guard}", self.key)?,
            Action::Delete { guard: None } => write!(f, "deleted `{}`", self.key)?,
            Action::Delete { guard: Some(guard) } => write!(f, "deleted `{}` if {guard}", self.key)?,
            Action::Append { value } => write!(f, "appended {value} to `{}`", self.key)?,
            Action::ReadList => write!(f, "read list `{}`", self.key)?,
            Action::Transaction { steps } => {
                f.write_str("ran")?;
                for step in steps {
                    match step {
                        Step::Append { key, value } => write!(f, " append({key},{value})")?,
                        Step::Read { key } => write!(f, " read({key})")?,
                    }
                }
            }
            Action::Add { value } => write!(f, "added {value} to set `{}`", self.key)?,
            Action::ReadSet => write!(f, "read set `{}`", self.key)?,
        }
        match &self.outcome {
            Outcome::Ok { answer, revision } => {
                write!(f, "{answer}")?;
                if let Some(revision) = revision {
                    write!(f, " at revision {revision}")?;
                }
            }
            Outcome::Refused => f.write_str(", refused")?,
            Outcome::Failed => f.write_str(", failed")?,
            Outcome::Unknown => f.write_str(", outcome unknown")?,
        }
        match self.returned {
            Some(returned) => write!(f, " (called {}, returned {returned})", self.call),
            None => write!(f, " (called {}, never returned)", self.call),
        }
    }
}

impl fmt::Display for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Guard::Absent => f.write_str("absent"),
            Guard::Value(value) => write!(f, "it holds {value}"),
            Guard::Revision(revision) => write!(f, "at revision {revision}"),
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Answer::Done => f.write_str(", acknowledged"),
            Answer::Value(None) => f.write_str(", got absent"),
            Answer::Value(Some(value)) => write!(f, ", got {value}"),
            Answer::List(list) => write!(f, ", got {list:?}"),
            Answer::Lists(lists) => write!(f, ", got {lists:?}"),
        }
    }
}
