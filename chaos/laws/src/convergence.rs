//! Convergence: once faults are healed and writes have stopped, all members reach the same state.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Law, Operation, Record, Verdict};

/// The state of a member when the harness stopped waiting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FinalState {
    /// The member.
    pub member: u64,
    /// When the harness asked, in nanoseconds.
    pub at: u64,
    /// What it answered; none if it did not.
    pub reached: Option<Reached>,
}

/// How far a member came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reached {
    /// The applied index.
    pub index: u64,
    /// The revision of the last write.
    pub revision: u64,
    /// The hash of the state.
    pub hash: u64,
}

/// Checks that every member answered, all reached the same, and that this covers every acknowledged revision.
pub fn check(finals: &[FinalState], operations: &[Operation]) -> Verdict {
    let mut first: Option<(&FinalState, Reached)> = None;
    for state in finals {
        let Some(reached) = state.reached else {
            let text = format!("member {} did not answer after everything was healed", state.member);
            return broken(text, &[state], None);
        };
        match first {
            Some((other, expected)) if expected != reached => {
                let text =
                    format!("members {} and {} did not reach the same state", other.member, state.member);
                return broken(text, &[other, state], None);
            }
            Some(_) => {}
            None => first = Some((state, reached)),
        }
    }
    let Some((state, reached)) = first else {
        return Verdict::Undecided {
            law: Law::Convergence,
            reason: "the history has no final states; record one per member at the end".to_owned(),
        };
    };
    let acknowledged = operations.iter().filter_map(|operation| Some((operation.revision()?, operation)));
    match acknowledged.max_by_key(|(revision, _)| *revision) {
        Some((revision, operation)) if revision > reached.revision => {
            let text =
                format!("revision {revision} was acknowledged, all members ended at {}", reached.revision);
            broken(text, &[state], Some(operation))
        }
        Some(_) | None => Verdict::Ok,
    }
}

fn broken(explanation: String, states: &[&FinalState], operation: Option<&Operation>) -> Verdict {
    let operations = operation.into_iter().map(|operation| Record::Operation(operation.clone()));
    let states = states.iter().map(|state| Record::Final((*state).clone()));
    Verdict::broken(Law::Convergence, explanation, operations.chain(states).collect())
}

impl fmt::Display for FinalState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.reached {
            Some(Reached { index, revision, hash }) => {
                write!(f, "member {} reached index {index}, revision {revision}, {hash:016x}", self.member)?;
            }
            None => write!(f, "member {} did not answer", self.member)?,
        }
        write!(f, " (at {})", self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate;

    fn state(member: u64, index: u64, revision: u64, hash: u64) -> FinalState {
        FinalState { member, at: 9, reached: Some(Reached { index, revision, hash }) }
    }

    #[test]
    fn equal_members_pass() {
        assert!(check(&[state(1, 5, 4, 3), state(2, 5, 4, 3)], &[]).is_ok());
    }

    #[test]
    fn any_difference_is_found() {
        for other in [state(2, 6, 4, 3), state(2, 5, 5, 3), state(2, 5, 4, 0)] {
            assert!(check(&[state(1, 5, 4, 3), other], &[]).violation().is_some());
        }
        let silent = FinalState { member: 2, at: 9, reached: None };
        assert!(check(&[state(1, 5, 4, 3), silent], &[]).violation().is_some());
    }

    #[test]
    fn an_acknowledged_write_beyond_the_end_is_found() {
        let operations = generate::register(1, 50, 3, 2);
        let highest = operations.iter().filter_map(Operation::revision).max().expect("revisions");
        assert!(check(&[state(1, 99, highest, 3)], &operations).is_ok());
        assert!(check(&[state(1, 99, highest - 1, 3)], &operations).violation().is_some());
    }

    #[test]
    fn nothing_recorded_is_undecided() {
        assert!(matches!(check(&[], &[]), Verdict::Undecided { .. }));
    }
}
