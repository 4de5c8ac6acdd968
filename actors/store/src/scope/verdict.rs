//! What the hashes of the members at one log index say. Pure.

use std::collections::BTreeMap;

use thiserror::Error;
use trireme_mvcc::StateHash;

/// One member's hash at the index that is compared.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    pub(crate) hash: StateHash,
    /// Learners are judged, but do not count towards the majority.
    pub(crate) votes: bool,
}

/// A member whose state is not that of the majority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Divergence {
    pub(crate) machine: String,
    /// The first part that differs.
    pub(crate) part: &'static str,
    pub(crate) found: StateHash,
    pub(crate) expected: StateHash,
}

/// Members differ, and no majority of the voters says who is right.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "the states of the members differ at log index {index} and no majority of the {voters} voters agrees ({hashes}): \
     nobody can tell which is right. Save a snapshot of each member now (trireme raft snapshot save), then keep the one \
     you trust: remove the others (trireme raft remove) and let them join anew with an empty store"
)]
pub(crate) struct NoMajority {
    pub(crate) index: u64,
    pub(crate) voters: usize,
    /// `machine: hash` for each.
    pub(crate) hashes: String,
}

/// Finds whoever differs from a majority of all `voters`, whether or not all of them answered.
pub(crate) fn judge(
    index: u64,
    voters: usize,
    samples: &BTreeMap<String, Sample>,
) -> Result<Vec<Divergence>, NoMajority> {
    let Some(first) = samples.values().next() else { return Ok(Vec::new()) };
    if samples.values().all(|sample| sample.hash == first.hash) {
        return Ok(Vec::new());
    }
    let agreeing =
        |with: &StateHash| samples.values().filter(|sample| sample.votes && sample.hash == *with).count();
    let right = samples.values().find(|sample| agreeing(&sample.hash) * 2 > voters).map(|sample| sample.hash);
    let Some(expected) = right else {
        let hashes: Vec<String> =
            samples.iter().map(|(machine, sample)| format!("{machine}: {}", sample.hash)).collect();
        return Err(NoMajority { index, voters, hashes: hashes.join(", ") });
    };
    let differing = samples.iter().filter_map(|(machine, sample)| {
        let part = sample.hash.difference(&expected)?;
        Some(Divergence { machine: machine.clone(), part, found: sample.hash, expected })
    });
    Ok(differing.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(all: &[(&str, u128, bool)]) -> BTreeMap<String, Sample> {
        let sample =
            |objects, votes| Sample { hash: StateHash { index: 9, objects, ..StateHash::default() }, votes };
        all.iter().map(|(name, objects, votes)| ((*name).to_owned(), sample(*objects, *votes))).collect()
    }

    fn differing(voters: usize, all: &[(&str, u128, bool)]) -> Result<Vec<String>, NoMajority> {
        judge(9, voters, &samples(all)).map(|all| all.into_iter().map(|one| one.machine).collect())
    }

    #[test]
    fn the_minority_is_named_whoever_leads() {
        assert_eq!(differing(3, &[("a", 1, true), ("b", 1, true), ("c", 1, true)]), Ok(vec![]));
        assert_eq!(differing(3, &[("a", 2, true), ("b", 1, true), ("c", 1, true)]), Ok(vec!["a".to_owned()]));
        let learner = differing(3, &[("a", 1, true), ("b", 1, true), ("l", 5, false)]);
        assert_eq!(learner, Ok(vec!["l".to_owned()]));
        let found = judge(9, 3, &samples(&[("a", 2, true), ("b", 1, true), ("c", 1, true)])).unwrap();
        assert_eq!((found[0].part, found[0].expected.objects), ("live objects", 1));
    }

    #[test]
    fn without_a_majority_nobody_is_blamed() {
        let two = differing(2, &[("a", 1, true), ("b", 2, true)]).unwrap_err();
        assert!(two.to_string().contains("a: 9:"), "{two}");
        // The third one did not answer: it could be on either side.
        assert!(differing(3, &[("a", 1, true), ("b", 2, true)]).is_err());
        // Learners do not make a majority.
        assert!(differing(3, &[("a", 1, true), ("l", 2, false), ("m", 2, false)]).is_err());
        assert_eq!(differing(3, &[]), Ok(vec![]));
    }
}
