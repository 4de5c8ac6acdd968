//! Which pods of a Job are made and which go.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use trireme_schema::time::Moment;
use trireme_schema::view::View;

use super::count::{Count, Terms};
use super::policy::verdict;
use super::template::{IndexedPod, failures_of};
use crate::pods::{finished_at, is_ready};

/// Most pods that one plan creates or deletes, as upstream.
const BURST: usize = 500;
/// Wait after the first failure, as upstream; it doubles with each failure.
const BACKOFF_MIN: Duration = Duration::from_secs(10);
/// Longest wait after failures, as upstream.
const BACKOFF_MAX: Duration = Duration::from_secs(600);

/// What becomes of the pods.
#[derive(Debug, Default)]
pub(super) struct Moves {
    pub(super) leaving: Vec<Arc<Value>>,
    /// Pods to be made; an index each for indexed jobs.
    pub(super) fresh: Vec<Option<IndexedPod>>,
    /// Back-off ends then.
    pub(super) again_after: Option<Duration>,
}

/// Decides for a job that goes on.
pub(super) fn plan(terms: Terms<'_>, count: &Count, pods: &[Arc<Value>]) -> Moves {
    let mut out = Moves::default();
    if terms.suspended {
        out.leaving = removal(terms, count, count.active.len());
        return out;
    }
    let active = i64::try_from(count.active.len()).unwrap_or(i64::MAX);
    let wanted = match terms.completions {
        // Once one has succeeded the others may end, and no new ones come.
        None if count.succeeded > 0 => active,
        None => terms.parallelism,
        Some(completions) => (completions - count.succeeded).clamp(0, terms.parallelism.max(0)),
    };
    let surplus = usize::try_from(active - wanted).unwrap_or(0);
    out.leaving = removal(terms, count, surplus);
    if !out.leaving.is_empty() {
        return out;
    }
    let terminating = i64::try_from(count.terminating.len()).unwrap_or(i64::MAX);
    let held = if terms.waits_for_the_end { terminating } else { 0 };
    let missing = usize::try_from(wanted - active - held).unwrap_or(0).min(BURST);
    if missing == 0 {
        return out;
    }
    if terms.limit_per_index.is_none()
        && let Some(left) = wait_of_job(terms, pods)
    {
        out.again_after = Some(left);
        return out;
    }
    let Some(completions) = terms.completions.filter(|_| terms.indexed) else {
        out.fresh = vec![None; missing];
        return out;
    };
    for index in pending(terms, count, missing, completions) {
        let before = count.delayed.get(&index);
        if let Some(left) = before.and_then(|pod| wait_of_index(terms, pod)) {
            out.again_after = Some(out.again_after.map_or(left, |other| other.min(left)));
            continue;
        }
        let failures = terms.limit_per_index.map(|_| before.map_or((0, 0), |pod| failures_with(terms, pod)));
        out.fresh.push(Some(IndexedPod { index, failures }));
    }
    out
}

/// Pods that go: those whose index is double or too high in any case, then those that serve least.
fn removal(terms: Terms<'_>, count: &Count, at_least: usize) -> Vec<Arc<Value>> {
    let mut pods = count.active.clone();
    pods.sort_by_cached_key(|pod| {
        let metadata = pod.at("metadata");
        let assigned = !pod.at("spec").text("nodeName").is_empty();
        let running = pod.at("status").text("phase") == "Running";
        let age = Moment::parse_time(metadata.text("creationTimestamp")).map_or(0, Moment::unix_seconds);
        // The youngest first.
        (assigned, running, is_ready(pod), -age, metadata.text("name").to_owned())
    });
    let mut out = Vec::new();
    if terms.indexed {
        let mut seen = BTreeSet::new();
        // Of two with the same index the one that serves more stays.
        pods.reverse();
        let (kept, double): (Vec<_>, Vec<_>) =
            pods.into_iter().partition(|pod| terms.index(pod).is_some_and(|index| seen.insert(index)));
        pods = kept;
        pods.reverse();
        out = double;
    }
    let more = at_least.saturating_sub(out.len());
    out.extend(pods.into_iter().take(more));
    out.truncate(BURST);
    out
}

/// The lowest indexes that nobody works on.
fn pending(terms: Terms<'_>, count: &Count, most: usize, completions: i64) -> Vec<i64> {
    let mut taken: BTreeSet<i64> = count.active.iter().filter_map(|pod| terms.index(pod)).collect();
    if terms.waits_for_the_end {
        taken.extend(count.terminating.iter().filter_map(|pod| terms.index(pod)));
    }
    let free = |index: &i64| {
        !taken.contains(index)
            && !count.succeeded_indexes.contains(*index)
            && !count.failed_indexes.contains(*index)
    };
    (0..completions).filter(free).take(most).collect()
}

/// The failures of an index, that of a pod included.
fn failures_with(terms: Terms<'_>, pod: &Value) -> (i64, i64) {
    let (counted, ignored) = failures_of(pod);
    if verdict(terms.job, pod).counts { (counted + 1, ignored) } else { (counted, ignored + 1) }
}

/// What is left of the wait after the failures since the last success.
fn wait_of_job(terms: Terms<'_>, pods: &[Arc<Value>]) -> Option<Duration> {
    let succeeded = |pod: &&Arc<Value>| pod.at("status").text("phase") == "Succeeded";
    let success = pods.iter().filter(succeeded).filter_map(|pod| finished_at(pod)).max();
    let failures: Vec<Moment> = pods
        .iter()
        .filter(|pod| terms.is_failed(pod))
        .filter_map(|pod| finished_at(pod))
        .filter(|failed| success.is_none_or(|success| *failed > success))
        .collect();
    let last = failures.iter().max()?;
    wait(failures.len(), *last, terms.look.now)
}

fn wait_of_index(terms: Terms<'_>, pod: &Value) -> Option<Duration> {
    let (counted, ignored) = failures_with(terms, pod);
    wait(usize::try_from(counted + ignored).unwrap_or(0), finished_at(pod)?, terms.look.now)
}

fn wait(failures: usize, last: Moment, now: Moment) -> Option<Duration> {
    let doublings = u32::try_from(failures.checked_sub(1)?).unwrap_or(u32::MAX);
    let factor = 1_u32.checked_shl(doublings).unwrap_or(u32::MAX);
    let wait = BACKOFF_MIN.saturating_mul(factor).min(BACKOFF_MAX);
    let since = u64::try_from(now.unix_seconds() - last.unix_seconds()).unwrap_or(0);
    let left = wait.saturating_sub(Duration::from_secs(since));
    (!left.is_zero()).then_some(left)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_up_to_its_limit() {
        let left = |failures, since: i64| {
            wait(failures, Moment::from_unix(1_000, 0), Moment::from_unix(1_000 + since, 0))
                .map(|left| left.as_secs())
        };
        assert_eq!(left(0, 0), None);
        assert_eq!(left(1, 0), Some(10));
        assert_eq!(left(1, 10), None);
        assert_eq!(left(3, 5), Some(35));
        assert_eq!(left(7, 0), Some(600));
        assert_eq!(left(100, 0), Some(600));
    }
}
