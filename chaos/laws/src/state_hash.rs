//! Equal state: members that applied the log up to the same index have the same state.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Law, Record, Verdict};

/// The hash of a member's state at an applied index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HashSample {
    /// The member.
    pub member: u64,
    /// When it was taken, in nanoseconds.
    pub at: u64,
    /// The applied index.
    pub index: u64,
    /// The hash of the state after that index.
    pub hash: u64,
}

/// Checks that all samples of one index are the same, between members and over restarts.
pub fn check(samples: &[HashSample]) -> Verdict {
    let mut by_index: BTreeMap<u64, &HashSample> = BTreeMap::new();
    let mut worst: Option<(&HashSample, &HashSample)> = None;
    for sample in samples {
        let first = *by_index.entry(sample.index).or_insert(sample);
        let differs = first.hash != sample.hash;
        // The earliest index is where the states parted; later differences follow from it.
        if differs && worst.is_none_or(|(_, other)| sample.index < other.index) {
            worst = Some((first, sample));
        }
    }
    let Some((one, other)) = worst else { return Verdict::Ok };
    let explanation = format!(
        "members {} and {} differ at applied index {}: {:016x} and {:016x}",
        one.member, other.member, one.index, one.hash, other.hash
    );
    Verdict::broken(Law::StateHash, explanation, vec![Record::Hash(one.clone()), Record::Hash(other.clone())])
}

impl fmt::Display for HashSample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let HashSample { member, at, index, hash } = self;
        write!(f, "member {member} at applied index {index}: {hash:016x} (at {at})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate::mix;

    #[test]
    fn equal_hashes_pass_and_the_first_difference_is_named() {
        let sample = |member, index| HashSample { member, at: index, index, hash: mix(index) };
        let mut samples: Vec<HashSample> =
            (0..200).flat_map(|index| [sample(1, index), sample(2, index + 3), sample(3, index)]).collect();
        assert!(check(&samples).is_ok());
        for sample in samples.iter_mut().filter(|sample| sample.member == 3 && sample.index >= 77) {
            sample.hash ^= 1;
        }
        let verdict = check(&samples);
        let violation = verdict.violation().expect("violation");
        assert!(violation.explanation.contains("at applied index 77:"), "{violation}");
        assert_eq!(violation.history.len(), 2);
    }

    #[test]
    fn a_member_is_compared_with_itself_after_a_restart() {
        let sample = |hash| HashSample { member: 1, at: 0, index: 5, hash };
        assert!(check(&[sample(1), sample(2)]).violation().is_some());
    }
}
