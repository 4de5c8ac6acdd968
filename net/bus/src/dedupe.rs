//! Answers by idempotency key: a repeated request joins or replays the first one instead of executing again. Pure.
//!
//! Laws: between the first request of a key and the end of its memory, the work runs once; everyone who asked
//! with the key gets the same outcome; memory is bounded by entries, bytes and age. An outcome that proves that
//! nothing was executed is not remembered, so that the repetition has a chance.
//!
//! Deliberate absence: the memory does not survive the process. A caller that must not act twice across restarts
//! puts the key into the store's transaction.

use bytes::Bytes;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use trireme_core::Tick;

/// Bounds of the memory.
#[derive(Debug, Clone, Copy)]
pub struct DedupeLimits {
    /// Keys remembered or running.
    pub entries: usize,
    /// Bytes of remembered outcomes.
    pub bytes: usize,
    /// Repetitions that may wait for one running request.
    pub waiters: usize,
    /// How long an outcome is remembered.
    pub keep: Duration,
}

impl Default for DedupeLimits {
    fn default() -> Self {
        Self { entries: 16_384, bytes: 16 * 1024 * 1024, waiters: 64, keep: Duration::from_secs(300) }
    }
}

/// Who asked with which key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DedupeKey {
    /// The asking identity.
    pub identity: Arc<str>,
    /// Its idempotency key.
    pub key: Bytes,
}

/// What to do with a request that carries a key.
#[derive(Debug, PartialEq, Eq)]
pub enum Begin<T> {
    /// It is the first: execute it and report with [`Dedupe::complete`].
    Execute,
    /// The first one is still running: the waiter is handed out when it completes.
    Joined,
    /// It was answered before.
    Replay(T),
    /// The key was used for another actor or call before; executing would not be what the caller means.
    Misused,
    /// Everything is running or too many wait; nothing was executed.
    Full,
}

/// The memory. `T` is an outcome, `W` someone waiting for it.
#[derive(Debug)]
pub struct Dedupe<T, W> {
    limits: DedupeLimits,
    entries: BTreeMap<DedupeKey, Entry<T, W>>,
    /// Completed keys, oldest first.
    done: VecDeque<(Tick, DedupeKey)>,
    bytes: usize,
}

#[derive(Debug)]
struct Entry<T, W> {
    subject: Box<str>,
    state: State<T, W>,
}

#[derive(Debug)]
enum State<T, W> {
    Running(Vec<W>),
    Done { outcome: T, bytes: usize },
}

impl<T: Clone, W> Dedupe<T, W> {
    /// An empty memory.
    pub fn new(limits: DedupeLimits) -> Self {
        Self { limits, entries: BTreeMap::new(), done: VecDeque::new(), bytes: 0 }
    }

    /// A request with `key` about `subject` (path and call) arrived.
    pub fn begin(&mut self, now: Tick, key: &DedupeKey, subject: &str, waiter: W) -> Begin<T> {
        self.forget_old(now);
        if let Some(entry) = self.entries.get_mut(key) {
            if *entry.subject != *subject {
                return Begin::Misused;
            }
            return match &mut entry.state {
                State::Done { outcome, .. } => Begin::Replay(outcome.clone()),
                State::Running(waiters) if waiters.len() >= self.limits.waiters => Begin::Full,
                State::Running(waiters) => {
                    waiters.push(waiter);
                    Begin::Joined
                }
            };
        }
        while self.entries.len() >= self.limits.entries {
            if !self.forget_oldest() {
                return Begin::Full;
            }
        }
        self.entries
            .insert(key.clone(), Entry { subject: subject.into(), state: State::Running(Vec::new()) });
        Begin::Execute
    }

    /// The executed request ended. `outcome` with its size is remembered; `None` when nothing was executed.
    /// Returns who waited for it.
    pub fn complete(&mut self, now: Tick, key: &DedupeKey, outcome: Option<(T, usize)>) -> Vec<W> {
        let Some(entry) = self.entries.get_mut(key) else { return Vec::new() };
        let State::Running(waiters) = &mut entry.state else { return Vec::new() };
        let waiters = std::mem::take(waiters);
        match outcome {
            Some((outcome, bytes)) if bytes <= self.limits.bytes => {
                entry.state = State::Done { outcome, bytes };
                self.bytes += bytes;
                self.done.push_back((now, key.clone()));
                while self.bytes > self.limits.bytes && self.forget_oldest() {}
            }
            _ => {
                self.entries.remove(key);
            }
        }
        waiters
    }

    /// Keys remembered or running.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing is remembered or running.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn forget_old(&mut self, now: Tick) {
        while let Some((at, _)) = self.done.front() {
            if now.since(*at) < self.limits.keep {
                break;
            }
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) -> bool {
        let Some((_, key)) = self.done.pop_front() else { return false };
        if let Some(Entry { state: State::Done { bytes, .. }, .. }) = self.entries.remove(&key) {
            self.bytes -= bytes;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Tick {
        Tick::from_nanos(seconds * 1_000_000_000)
    }

    fn key(name: &'static str) -> DedupeKey {
        DedupeKey { identity: "server:s1".into(), key: Bytes::from_static(name.as_bytes()) }
    }

    fn small() -> Dedupe<u32, u32> {
        Dedupe::new(DedupeLimits { entries: 2, bytes: 10, waiters: 1, keep: Duration::from_secs(60) })
    }

    #[test]
    fn a_repetition_joins_then_replays() {
        let mut dedupe = small();
        assert_eq!(dedupe.begin(at(0), &key("a"), "/x get", 1), Begin::Execute);
        assert_eq!(dedupe.begin(at(0), &key("a"), "/x get", 2), Begin::Joined);
        assert_eq!(dedupe.begin(at(0), &key("a"), "/x get", 3), Begin::Full);
        assert_eq!(dedupe.complete(at(1), &key("a"), Some((42, 4))), vec![2]);
        assert_eq!(dedupe.begin(at(2), &key("a"), "/x get", 4), Begin::Replay(42));
        assert_eq!(dedupe.begin(at(2), &key("a"), "/x put", 4), Begin::Misused);
    }

    #[test]
    fn identities_do_not_share_keys() {
        let mut dedupe = small();
        assert_eq!(dedupe.begin(at(0), &key("a"), "", 1), Begin::Execute);
        let other = DedupeKey { identity: "server:s2".into(), ..key("a") };
        assert_eq!(dedupe.begin(at(0), &other, "", 1), Begin::Execute);
    }

    #[test]
    fn what_was_not_executed_may_be_tried_again() {
        let mut dedupe = small();
        assert_eq!(dedupe.begin(at(0), &key("a"), "", 1), Begin::Execute);
        assert!(dedupe.complete(at(0), &key("a"), None).is_empty());
        assert_eq!(dedupe.begin(at(0), &key("a"), "", 1), Begin::Execute);
    }

    #[test]
    fn memory_is_bounded_by_entries_bytes_and_age() {
        let mut dedupe = small();
        for name in ["a", "b"] {
            assert_eq!(dedupe.begin(at(0), &key(name), "", 1), Begin::Execute);
        }
        assert_eq!(dedupe.begin(at(0), &key("c"), "", 1), Begin::Full, "both are running");
        dedupe.complete(at(0), &key("a"), Some((1, 6)));
        dedupe.complete(at(0), &key("b"), Some((2, 6)));
        assert_eq!(dedupe.len(), 1, "twelve bytes do not fit in ten");
        assert_eq!(dedupe.begin(at(59), &key("b"), "", 1), Begin::Replay(2));
        assert_eq!(dedupe.begin(at(60), &key("b"), "", 1), Begin::Execute, "its time is over");
    }
}
