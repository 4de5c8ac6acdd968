//! [`SyncWatch`]: how long syncs take, for whoever wants to do something about it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::rt::Instant;

/// How many times as long as its own vote took an election is given: the others' votes, and the winner's first sync.
const SETTLING_SYNCS: u64 = 2;

/// Set by the log writer, read by the hand-over task.
pub(super) struct SyncWatch {
    base: Instant,
    /// Nanoseconds after `base` at which the sync began, plus one; 0 when none is under way.
    began: AtomicU64,
    /// Nanoseconds after `base` until which an election is left to whom this member has just voted for.
    settles: AtomicU64,
}

impl SyncWatch {
    pub(super) fn new() -> Self {
        Self { base: Instant::now(), began: AtomicU64::new(0), settles: AtomicU64::new(0) }
    }

    /// Marks that a sync has begun.
    pub(super) fn begin(&self) {
        self.began.store(self.now() + 1, Ordering::Release);
    }

    /// Runs a sync.
    pub(super) fn during<T>(&self, sync: impl FnOnce() -> T) -> T {
        self.begin();
        let result = sync();
        self.began.store(0, Ordering::Release);
        result
    }

    /// How long the sync under way has taken so far.
    pub(super) fn stalled(&self) -> Duration {
        match self.began.load(Ordering::Acquire) {
            0 => Duration::ZERO,
            began => Duration::from_nanos(self.now().saturating_sub(began - 1)),
        }
    }

    /// A vote was made durable, which was asked for at `asked`.
    pub(super) fn vote_saved(&self, asked: Instant) {
        let taken = u64::try_from(asked.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.settles
            .store(self.now().saturating_add(taken.saturating_mul(SETTLING_SYNCS)), Ordering::Release);
    }

    /// Whether an election that this member took part in still needs time. With slow disks a vote takes longer than an
    /// election time-out: who asked again in that time, or helped another to, would keep ending it for a next one.
    pub(super) fn is_settling(&self) -> bool {
        self.now() < self.settles.load(Ordering::Acquire)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.base.elapsed().as_nanos()).unwrap_or(u64::MAX - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_election_is_given_time_by_how_long_the_vote_took() {
        let watch = SyncWatch::new();
        assert!(!watch.is_settling());
        watch.vote_saved(Instant::now());
        while watch.is_settling() {
            assert!(watch.base.elapsed() < Duration::from_secs(5), "a quick vote needs no time");
        }
        watch.vote_saved(Instant::now() - Duration::from_secs(3_600));
        assert!(watch.is_settling());
    }
}
