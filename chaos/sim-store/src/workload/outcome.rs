//! What an answer of the store proves: done, certainly not done, or nothing. Everything doubtful is
//! [`Told::Unsure`].

use trireme_laws::Outcome;
use trireme_mvcc::{Answer, Refusal, Retry, Revision};
use trireme_raft::store::{Committed, StoreError, StoreRetry};

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// Carried out; one revision per operation of a transaction (none for a delete of nothing).
    Done(Vec<Option<Revision>>),
    /// The state machine judged a guard false: no effect.
    GuardFailed,
    /// The state machine refused it because of its term: no effect.
    Fenced,
    /// Certainly no effect, for another reason.
    NotDone,
    /// May have had an effect, or may have one yet.
    Unsure,
}

impl Told {
    /// Judges an answer; none came if the member was down or silent.
    pub(crate) fn of(answer: Option<Result<Committed, StoreError>>) -> Self {
        match answer {
            Some(Ok(Committed { outcome: Ok(Answer::Committed { revisions, .. }), .. })) => {
                Self::Done(revisions)
            }
            Some(Ok(Committed { outcome: Ok(_), .. })) => Self::Done(Vec::new()),
            Some(Ok(Committed { outcome: Err(refusal), .. })) => Self::refused(&refusal),
            Some(Err(error)) => match (&error, error.retry()) {
                (StoreError::Invalid(_) | StoreError::NoSpace { .. }, _) | (_, StoreRetry::Safe) => {
                    Self::NotDone
                }
                (_, StoreRetry::SameRequestOnly | StoreRetry::Never) => Self::Unsure,
            },
            None => Self::Unsure,
        }
    }

    fn refused(refusal: &Refusal) -> Self {
        match refusal {
            Refusal::GuardFailed { .. } => Self::GuardFailed,
            Refusal::FencedOldTerm { .. } => Self::Fenced,
            refusal => match refusal.retry() {
                Retry::Unknown => Self::Unsure,
                Retry::Reload | Retry::Later | Retry::Never => Self::NotDone,
            },
        }
    }

    /// The same as the checkers want it.
    pub(crate) fn outcome(&self, answer: trireme_laws::Answer) -> Outcome {
        match self {
            Self::Done(revisions) => match revisions.iter().flatten().max() {
                Some(revision) => Outcome::Ok { answer, revision: Some(revision.get()) },
                // Only a delete writes nothing and is answered: there was nothing to delete.
                None => Outcome::Refused,
            },
            Self::GuardFailed => Outcome::Refused,
            Self::Fenced | Self::NotDone => Outcome::Failed,
            Self::Unsure => Outcome::Unknown,
        }
    }

    /// What two attempts under one request id prove together, the later one being `self`.
    pub(crate) fn after(self, earlier: Option<&Self>) -> Self {
        match (self, earlier) {
            (Self::NotDone, Some(Self::Unsure)) => Self::Unsure,
            (told, _) => told,
        }
    }

    /// Whether the state machine itself has spoken.
    pub(crate) fn is_final(&self) -> bool {
        matches!(self, Self::Done(_) | Self::GuardFailed | Self::Fenced)
    }
}
