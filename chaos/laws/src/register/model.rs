//! A register as a state machine, and operations prepared for the search.

use std::collections::BTreeMap;

use crate::{Action, Answer, Guard, Operation, Outcome};

/// A value by number; [`ABSENT`] is "no such key".
pub(super) type ValueId = u32;

/// The key does not exist.
pub(super) const ABSENT: ValueId = 0;

/// What a register holds at one point of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct State {
    pub(super) value: ValueId,
    /// The revision of the last change, or a bound that it lies above.
    revision: u64,
    /// Whether `revision` is known exactly; it is not after a write whose answer was lost.
    exact: bool,
}

impl State {
    pub(super) const INITIAL: State = State { value: ABSENT, revision: 0, exact: true };

    /// Whether the last change can have had `revision`.
    fn admits(&self, revision: u64) -> bool {
        if self.exact { revision == self.revision } else { revision > self.revision }
    }
}

/// What an operation does to a register.
#[derive(Clone, Copy, Debug)]
pub(super) enum Effect {
    /// It read this.
    Observe { value: ValueId, revision: Option<u64> },
    /// It set this, its condition being true.
    Set { value: ValueId, revision: Option<u64>, condition: Condition },
    /// Its condition was false.
    Refused { condition: Condition },
}

/// A guard over prepared values.
#[derive(Clone, Copy, Debug)]
pub(super) enum Condition {
    Always,
    Present,
    Equals(ValueId),
    AtRevision(u64),
}

/// What must change before an operation that cannot be placed now can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lacks {
    Value(ValueId),
    Anything,
}

impl Effect {
    /// The state after the operation, if it can take place in `state`.
    pub(super) fn apply(&self, state: State) -> Option<State> {
        match *self {
            Effect::Observe { value, revision } => {
                if value != state.value {
                    return None;
                }
                match revision {
                    Some(revision) if value != ABSENT => {
                        state.admits(revision).then_some(State { value, revision, exact: true })
                    }
                    Some(_) | None => Some(state),
                }
            }
            Effect::Set { value, revision, condition } => {
                let bound = condition.met(state)?;
                match revision {
                    Some(revision) => (revision > bound).then_some(State { value, revision, exact: true }),
                    None => Some(State { value, revision: bound, exact: false }),
                }
            }
            Effect::Refused { condition } => {
                let certainly_true = match condition {
                    Condition::AtRevision(_) => state.exact && condition.met(state).is_some(),
                    Condition::Always | Condition::Present | Condition::Equals(_) => {
                        condition.met(state).is_some()
                    }
                };
                (!certainly_true).then_some(state)
            }
        }
    }

    /// The value that the register must hold for this operation, if it is one certain value.
    pub(super) fn needs(&self) -> Option<ValueId> {
        match *self {
            Effect::Observe { value, .. } => Some(value),
            Effect::Set { condition: Condition::Equals(value), .. } => Some(value),
            Effect::Set { .. } | Effect::Refused { .. } => None,
        }
    }

    /// The value it leaves behind, if it writes.
    pub(super) fn supplies(&self) -> Option<ValueId> {
        match *self {
            Effect::Set { value, .. } => Some(value),
            Effect::Observe { .. } | Effect::Refused { .. } => None,
        }
    }

    /// Whether it writes whatever the register holds.
    pub(super) fn is_unconditional(&self) -> bool {
        matches!(self, Effect::Set { condition: Condition::Always, .. })
    }

    /// The revision that the answer told.
    pub(super) fn revision(&self) -> Option<u64> {
        match *self {
            Effect::Observe { revision, .. } | Effect::Set { revision, .. } => revision,
            Effect::Refused { .. } => None,
        }
    }
}

impl Condition {
    /// The bound above which the next revision lies, if the condition can hold in `state`.
    fn met(self, state: State) -> Option<u64> {
        match self {
            Condition::Always => Some(state.revision),
            Condition::Present => (state.value != ABSENT).then_some(state.revision),
            Condition::Equals(value) => (state.value == value).then_some(state.revision),
            Condition::AtRevision(revision) => {
                (state.value != ABSENT && state.admits(revision)).then_some(revision)
            }
        }
    }
}

/// An operation of one key, ready for the search.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    pub(super) call: u64,
    /// When it must have been placed; `u64::MAX` if never.
    pub(super) answered: u64,
    pub(super) effect: Effect,
    /// Where the operation stands in the given history.
    pub(super) source: usize,
}

/// The operations of one key by numbers, in call order.
pub(super) struct Prepared {
    /// Operations that certainly took place.
    pub(super) known: Vec<Candidate>,
    /// Writes that may take place at any time after their call, or never.
    pub(super) unknown: Vec<Candidate>,
    /// How many values there are, [`ABSENT`] included.
    pub(super) values: usize,
    /// The value that each revision stands for, where an answer told.
    revisions: BTreeMap<u64, ValueId>,
}

impl Prepared {
    pub(super) fn new(part: &[&Operation]) -> Prepared {
        let mut values = BTreeMap::new();
        let (mut known, mut unknown) = (Vec::new(), Vec::new());
        for (source, operation) in part.iter().enumerate() {
            let Some((effect, certain)) = effect_of(operation, &mut values) else { continue };
            let answered = if certain { operation.answered_at().unwrap_or(u64::MAX) } else { u64::MAX };
            let candidate = Candidate { call: operation.call, answered, effect, source };
            if certain { known.push(candidate) } else { unknown.push(candidate) }
        }
        known.sort_by_key(|candidate| (candidate.call, candidate.answered, candidate.source));
        unknown.sort_by_key(|candidate| (candidate.call, candidate.source));
        let mut revisions = BTreeMap::new();
        for candidate in &known {
            let told = match candidate.effect {
                Effect::Observe { value, revision } | Effect::Set { value, revision, .. } => {
                    revision.zip(Some(value))
                }
                Effect::Refused { .. } => None,
            };
            revisions.extend(told);
        }
        Prepared { known, unknown, values: values.len() + 1, revisions }
    }

    /// What keeps `effect` from being placed in a state where it cannot be.
    pub(super) fn lacks(&self, effect: &Effect) -> Lacks {
        match *effect {
            Effect::Set { condition: Condition::AtRevision(revision), .. } => {
                self.revisions.get(&revision).map_or(Lacks::Anything, |value| Lacks::Value(*value))
            }
            Effect::Observe { .. } | Effect::Set { .. } | Effect::Refused { .. } => {
                effect.needs().map_or(Lacks::Anything, Lacks::Value)
            }
        }
    }
}

/// The effect, and whether it certainly took place; none if the operation says nothing.
fn effect_of(operation: &Operation, values: &mut BTreeMap<u64, ValueId>) -> Option<(Effect, bool)> {
    let mut id = |value: u64| {
        let next = ValueId::try_from(values.len() + 1).expect("a history has fewer than 2^32 values");
        *values.entry(value).or_insert(next)
    };
    let (value, condition) = match &operation.action {
        Action::Read => {
            let Outcome::Ok { answer: Answer::Value(value), revision } = &operation.outcome else {
                return None;
            };
            return Some((Effect::Observe { value: value.map_or(ABSENT, id), revision: *revision }, true));
        }
        Action::Write { value } => (id(*value), Condition::Always),
        Action::Cas { guard, value } => (id(*value), condition_of(*guard, &mut id)),
        Action::Delete { guard: None } => (ABSENT, Condition::Always),
        Action::Delete { guard: Some(guard) } => (ABSENT, condition_of(*guard, &mut id)),
        Action::Append { .. } | Action::ReadList | Action::Transaction { .. } => return None,
        Action::Add { .. } | Action::ReadSet => return None,
    };
    match operation.outcome {
        Outcome::Ok { revision, .. } => Some((Effect::Set { value, revision, condition }, true)),
        Outcome::Unknown => Some((Effect::Set { value, revision: None, condition }, false)),
        Outcome::Refused => match (&operation.action, condition) {
            (Action::Delete { .. }, Condition::Always) => {
                Some((Effect::Refused { condition: Condition::Present }, true))
            }
            // A write without a condition has nothing to be refused by; it says no more than a failure.
            (_, Condition::Always) => None,
            (_, condition) => Some((Effect::Refused { condition }, true)),
        },
        Outcome::Failed => None,
    }
}

fn condition_of(guard: Guard, id: &mut impl FnMut(u64) -> ValueId) -> Condition {
    match guard {
        Guard::Absent => Condition::Equals(ABSENT),
        Guard::Value(value) => Condition::Equals(id(value)),
        Guard::Revision(revision) => Condition::AtRevision(revision),
    }
}
