//! The answer of a check.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Law, Record};

/// What a checker says of a history.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "an unread verdict judges nothing"]
pub enum Verdict {
    /// The law held.
    Ok,
    /// The law was broken.
    Violation(Box<Violation>),
    /// The limits were reached, or the history cannot be judged; never to be counted as success.
    Undecided {
        /// The law that was being checked.
        law: Law,
        /// What stopped the check and what to do.
        reason: String,
    },
}

impl Verdict {
    /// Whether the law held.
    pub fn is_ok(&self) -> bool {
        matches!(self, Verdict::Ok)
    }

    /// The violation, if the law was broken.
    pub fn violation(&self) -> Option<&Violation> {
        match self {
            Verdict::Violation(violation) => Some(violation),
            Verdict::Ok | Verdict::Undecided { .. } => None,
        }
    }

    pub(crate) fn broken(law: Law, explanation: String, history: Vec<Record>) -> Verdict {
        Verdict::Violation(Box::new(Violation { law, explanation, history }))
    }
}

/// A broken law.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    /// Which law.
    pub law: Law,
    /// What happened, in a plain sentence.
    pub explanation: String,
    /// A small part of the history that breaks the law on its own.
    pub history: Vec<Record>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} violated: {}", self.law, self.explanation)?;
        for record in &self.history {
            write!(f, "\n  {record}")?;
        }
        Ok(())
    }
}
