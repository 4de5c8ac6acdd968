//! What an answer of the store proves: done, certainly not done, or nothing.
//!
//! Pure. This is the one place where an answer becomes a claim; everything doubtful is [`Told::Unsure`].

use trireme_kernel::{CallError, Retry as CallRetry};
use trireme_laws::Outcome;
use trireme_mvcc::{Answer, Refusal, Retry, Revision};
use trireme_raft::store::{Committed, StoreError, StoreRetry};

/// What the answer to a proposal proves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// Carried out; one revision per operation of the transaction (`None`: a delete of nothing).
    Done(Vec<Option<Revision>>),
    /// The state machine judged a guard false: no effect.
    GuardFailed,
    /// The state machine refused it because of its term: no effect.
    Fenced,
    /// Certainly no effect, for another reason.
    NotDone(String),
    /// May have had an effect, or may have one yet.
    Unsure(String),
}

impl Told {
    /// Judges an answer, or the lack of one.
    pub(crate) fn of(answer: Result<Result<Committed, StoreError>, CallError>) -> Self {
        match answer {
            Ok(Ok(Committed { outcome, .. })) => Self::of_outcome(outcome),
            Ok(Err(error)) => match (&error, error.retry()) {
                (StoreError::Invalid(_) | StoreError::NoSpace { .. }, _) | (_, StoreRetry::Safe) => {
                    Self::NotDone(error.to_string())
                }
                (_, StoreRetry::SameRequestOnly | StoreRetry::Never) => Self::Unsure(error.to_string()),
            },
            Err(error) => match error.retry() {
                CallRetry::Safe => Self::NotDone(error.to_string()),
                CallRetry::SameKeyOnly | CallRetry::Never => Self::Unsure(error.to_string()),
            },
        }
    }

    fn of_outcome(outcome: Result<Answer, Refusal>) -> Self {
        match outcome {
            Ok(Answer::Committed { revisions, .. }) => Self::Done(revisions),
            Ok(other) => Self::Unsure(format!("a transaction was answered with {other:?}")),
            Err(Refusal::GuardFailed { .. }) => Self::GuardFailed,
            Err(Refusal::FencedOldTerm { .. }) => Self::Fenced,
            Err(refusal) => match refusal.retry() {
                Retry::Unknown => Self::Unsure(refusal.to_string()),
                Retry::Reload | Retry::Later | Retry::Never => Self::NotDone(refusal.to_string()),
            },
        }
    }

    /// The same as the checkers want it; what was done becomes `done` with the last revision.
    pub(crate) fn outcome(&self, answer: trireme_laws::Answer) -> Outcome {
        match self {
            Self::Done(revisions) => {
                let revision = revisions.iter().flatten().max().map(|revision| revision.get());
                match revision {
                    Some(revision) => Outcome::Ok { answer, revision: Some(revision) },
                    // Only a delete writes nothing and is answered: there was nothing to delete.
                    None => Outcome::Refused,
                }
            }
            Self::GuardFailed => Outcome::Refused,
            Self::Fenced | Self::NotDone(_) => Outcome::Failed,
            Self::Unsure(_) => Outcome::Unknown,
        }
    }

    /// What two attempts under one request id prove together: nothing is certainly not done once an attempt was in
    /// doubt, unless the state machine itself spoke.
    pub(crate) fn after(self, earlier: Option<&Self>) -> Self {
        match (self, earlier) {
            (Self::NotDone(why), Some(Self::Unsure(before))) => Self::Unsure(format!("{before}; then {why}")),
            (told, _) => told,
        }
    }

    /// What two copies sent at once under one request id prove together.
    pub(crate) fn after_twin(self, other: Self) -> Self {
        match (self.is_final(), other.is_final()) {
            (_, true) => other,
            (true, false) => self,
            (false, false) => {
                let doubt = [&self, &other].into_iter().find(|told| matches!(told, Self::Unsure(_))).cloned();
                doubt.unwrap_or(other)
            }
        }
    }

    /// Whether the state machine itself has spoken.
    pub(crate) fn is_final(&self) -> bool {
        matches!(self, Self::Done(_) | Self::GuardFailed | Self::Fenced)
    }
}

#[cfg(test)]
mod tests {
    use trireme_kernel::ActorPath;
    use trireme_mvcc::Key;

    use super::*;

    fn path() -> ActorPath {
        "/server/s1/store".parse().unwrap()
    }

    #[test]
    fn doubt_is_never_called_a_failure() {
        let lost = CallError::DeadlineExceeded { path: path(), waited: std::time::Duration::from_secs(1) };
        for error in [lost, CallError::Restarted { path: path() }, CallError::NoAnswer { path: path() }] {
            assert!(matches!(Told::of(Err(error)), Told::Unsure(_)));
        }
        let store = |error| Told::of(Ok(Err(error)));
        assert!(matches!(store(StoreError::Unknown { why: String::new() }), Told::Unsure(_)));
        assert!(matches!(store(StoreError::Stopped { why: String::new() }), Told::Unsure(_)));
        assert!(matches!(store(StoreError::NotLeader { leader: None }), Told::NotDone(_)));
        let never_sent = CallError::Unreachable { path: path(), reason: String::new() };
        assert!(matches!(Told::of(Err(never_sent)), Told::NotDone(_)));
    }

    #[test]
    fn a_doubt_stays_until_the_state_machine_speaks() {
        let doubt = Told::Unsure("lost".into());
        assert!(matches!(Told::NotDone("no leader".into()).after(Some(&doubt)), Told::Unsure(_)));
        assert_eq!(Told::GuardFailed.after(Some(&doubt)), Told::GuardFailed);
        assert!(matches!(Told::NotDone("no leader".into()).after(None), Told::NotDone(_)));
    }

    #[test]
    fn answers_of_the_state_machine_are_final() {
        let outcome = |outcome| Told::of(Ok(Ok(Committed { index: 1, outcome })));
        let failed = Refusal::GuardFailed { guard: 0, key: Key::from("k"), current: None };
        assert_eq!(outcome(Err(failed)), Told::GuardFailed);
        assert_eq!(outcome(Err(Refusal::FencedOldTerm { fence: 1, current: 2 })), Told::Fenced);
        let done = outcome(Ok(Answer::Committed {
            revisions: vec![Some(Revision::new(7)), Some(Revision::new(8))],
            revision: Revision::new(8),
        }));
        let expected = Outcome::Ok { answer: trireme_laws::Answer::Done, revision: Some(8) };
        assert_eq!(done.outcome(trireme_laws::Answer::Done), expected);
        assert_eq!(Told::Done(vec![None]).outcome(trireme_laws::Answer::Done), Outcome::Refused);
    }
}
