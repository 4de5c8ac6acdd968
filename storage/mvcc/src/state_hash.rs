//! What members compare to find out that they are still alike.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Hash of the whole state at one log index, in parts, so that a difference names its room. Two members at the
/// same index must have equal hashes; one that does not has lost, gained or changed something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateHash {
    /// The log index at which it holds.
    pub index: u64,
    /// Live objects: the sum of their fingerprints.
    pub objects: u128,
    /// Changes kept in the history.
    pub history: u128,
    /// Leases.
    pub leases: u128,
    /// Outcomes kept for repeated proposals.
    pub sessions: u128,
    /// Counters, terms, log time, limits.
    pub counters: u128,
}

impl StateHash {
    /// What differs, when something does: the first unequal part by name.
    pub fn difference(&self, other: &Self) -> Option<&'static str> {
        [
            ("applied index", u128::from(self.index), u128::from(other.index)),
            ("live objects", self.objects, other.objects),
            ("history", self.history, other.history),
            ("leases", self.leases, other.leases),
            ("sessions", self.sessions, other.sessions),
            ("counters", self.counters, other.counters),
        ]
        .into_iter()
        .find(|(_, ours, theirs)| ours != theirs)
        .map(|(name, _, _)| name)
    }
}

impl fmt::Display for StateHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = [self.objects, self.history, self.leases, self.sessions, self.counters];
        // Rotations keep two equal changes in two rooms from cancelling out.
        let digest = all.iter().fold(0_u128, |digest, part| digest.rotate_left(29) ^ part);
        write!(f, "{}:{digest:032x}", self.index)
    }
}
