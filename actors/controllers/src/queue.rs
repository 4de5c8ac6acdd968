//! [`WorkQueue`]: which key a controller looks at next.
//!
//! Pure. One look at a key is in flight at a time; changes meanwhile make it due once more. Keys that fail wait longer
//! and longer. Namespaces take turns, so that one with a hundred thousand keys does not keep the others waiting.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use trireme_core::Tick;

use crate::key::Key;

/// Bounds of a queue.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Looks in flight at once.
    pub in_flight: usize,
    /// Wait after the first failure of a key; doubles with each further one.
    pub backoff_first: Duration,
    /// Longest wait between two attempts.
    pub backoff_max: Duration,
    /// Longest wait after a change of a key that failed: what changed may have mended it.
    pub changed_wait: Duration,
}

impl Default for Limits {
    /// As upstream's default rate limiter: from 5 ms to 1000 s.
    fn default() -> Self {
        Self {
            in_flight: 5,
            backoff_first: Duration::from_millis(5),
            backoff_max: Duration::from_secs(1000),
            changed_wait: Duration::from_secs(1),
        }
    }
}

/// What came of one look at a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As it should be, until something changes.
    Settled,
    /// Look again after this time, whatever changes; no failure.
    Again(Duration),
    /// A write was refused because the world has moved on: look at once, no failure.
    Stale,
    /// Something is wrong: look again after a growing wait.
    Failed(String),
}

/// Where a key stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// In line for its namespace's turn.
    Ready,
    /// Being looked at.
    InFlight {
        /// It changed since.
        changed: bool,
    },
    /// Waiting until then.
    Waiting {
        /// When it is due.
        until: Tick,
    },
}

/// Why a key has not settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyReport {
    /// Where it stands.
    pub state: KeyState,
    /// Since when.
    pub since: Tick,
    /// Failures in a row.
    pub failures: u32,
    /// The last one's text.
    pub last_error: Option<String>,
}

/// A key to be looked at now, with the number of failures in a row behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Which.
    pub key: Key,
    /// Failures in a row so far.
    pub failures: u32,
}

#[derive(Debug)]
struct Entry {
    state: KeyState,
    since: Tick,
    failures: u32,
    last_error: Option<String>,
}

impl Entry {
    fn report(&self) -> KeyReport {
        KeyReport {
            state: self.state.clone(),
            since: self.since,
            failures: self.failures,
            last_error: self.last_error.clone(),
        }
    }
}

/// See the module. Holds an entry for each key that is not settled.
#[derive(Debug)]
pub struct WorkQueue {
    limits: Limits,
    entries: BTreeMap<Key, Entry>,
    /// Ready keys of a namespace in the order they became so.
    ready: BTreeMap<String, VecDeque<Key>>,
    /// Namespaces with ready keys, in the order of their turns.
    turns: VecDeque<String>,
    waiting: BTreeSet<(Tick, Key)>,
    in_flight: usize,
}

impl WorkQueue {
    /// An empty queue.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            entries: BTreeMap::new(),
            ready: BTreeMap::new(),
            turns: VecDeque::new(),
            waiting: BTreeSet::new(),
            in_flight: 0,
        }
    }

    /// Something about the key changed. A key that waits after a failure waits on, but no longer than
    /// [`Limits::changed_wait`]: the change may have mended it, and a noisy object must not turn the wait off.
    pub fn changed(&mut self, now: Tick, key: &Key) {
        let soon = now + self.limits.changed_wait;
        match self.entries.get_mut(key) {
            None => self.make_ready(now, key, 0, None),
            Some(Entry { state: KeyState::InFlight { changed }, .. }) => *changed = true,
            Some(Entry { state: KeyState::Ready, .. }) => {}
            Some(Entry { state: KeyState::Waiting { until }, failures, .. }) if *failures > 0 => {
                if *until > soon {
                    self.waiting.remove(&(*until, key.clone()));
                    self.waiting.insert((soon, key.clone()));
                    *until = soon;
                }
            }
            Some(_) => self.wake(now, key),
        }
    }

    /// The next key to look at, if one is due and there is room.
    pub fn poll_attempt(&mut self, now: Tick) -> Option<Attempt> {
        self.wake_due(now);
        if self.in_flight >= self.limits.in_flight {
            return None;
        }
        let namespace = self.turns.pop_front()?;
        let line = self.ready.get_mut(&namespace).expect("a namespace with a turn has ready keys");
        let key = line.pop_front().expect("a line with a turn is not empty");
        if line.is_empty() {
            self.ready.remove(&namespace);
        } else {
            self.turns.push_back(namespace);
        }
        let entry = self.entries.get_mut(&key).expect("a ready key has an entry");
        entry.state = KeyState::InFlight { changed: false };
        entry.since = now;
        self.in_flight += 1;
        Some(Attempt { failures: entry.failures, key })
    }

    /// Takes in what came of an attempt. A key that is not in flight is left as it is.
    pub fn done(&mut self, now: Tick, key: &Key, outcome: Outcome) {
        let Some(Entry { state: KeyState::InFlight { changed }, failures, .. }) = self.entries.get(key)
        else {
            return;
        };
        let (changed, failures) = (*changed, *failures);
        self.entries.remove(key);
        self.in_flight -= 1;
        match outcome {
            Outcome::Settled if changed => self.make_ready(now, key, 0, None),
            Outcome::Settled => {}
            Outcome::Stale => self.make_ready(now, key, failures, None),
            Outcome::Again(_) if changed => self.make_ready(now, key, 0, None),
            Outcome::Again(wait) => self.make_wait(now, now + wait, key, 0, None),
            Outcome::Failed(error) => {
                let until = now + self.backoff(failures);
                self.make_wait(now, until, key, failures.saturating_add(1), Some(error));
            }
        }
    }

    /// When [`WorkQueue::poll_attempt`] gives something without any further input; `None` when not, or at once.
    pub fn deadline(&self) -> Option<Tick> {
        self.waiting.first().map(|(until, _)| *until)
    }

    /// Why a key has not settled; `None` when it has.
    pub fn report(&self, key: &Key) -> Option<KeyReport> {
        self.entries.get(key).map(Entry::report)
    }

    /// Every key that has not settled, and why.
    pub fn reports(&self) -> impl Iterator<Item = (&Key, KeyReport)> {
        self.entries.iter().map(|(key, entry)| (key, entry.report()))
    }

    /// Keys that are not settled.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether all is settled.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn backoff(&self, failures: u32) -> Duration {
        let factor = 1_u32.checked_shl(failures).unwrap_or(u32::MAX);
        self.limits.backoff_first.saturating_mul(factor).min(self.limits.backoff_max)
    }

    fn wake_due(&mut self, now: Tick) {
        while let Some((until, key)) = self.waiting.first()
            && *until <= now
        {
            let key = key.clone();
            self.wake(now, &key);
        }
    }

    fn wake(&mut self, now: Tick, key: &Key) {
        let Some(entry) = self.entries.remove(key) else { return };
        if let KeyState::Waiting { until } = entry.state {
            self.waiting.remove(&(until, key.clone()));
        }
        self.make_ready(now, key, entry.failures, entry.last_error);
    }

    fn make_ready(&mut self, now: Tick, key: &Key, failures: u32, last_error: Option<String>) {
        let line = self.ready.entry(key.namespace.clone()).or_default();
        if line.is_empty() {
            self.turns.push_back(key.namespace.clone());
        }
        line.push_back(key.clone());
        let entry = Entry { state: KeyState::Ready, since: now, failures, last_error };
        self.entries.insert(key.clone(), entry);
    }

    fn make_wait(&mut self, now: Tick, until: Tick, key: &Key, failures: u32, last_error: Option<String>) {
        self.waiting.insert((until, key.clone()));
        let entry = Entry { state: KeyState::Waiting { until }, since: now, failures, last_error };
        self.entries.insert(key.clone(), entry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trireme_core::Rng;

    fn queue(in_flight: usize) -> WorkQueue {
        WorkQueue::new(Limits { in_flight, ..Limits::default() })
    }

    fn at(ms: u64) -> Tick {
        Tick::from_millis(ms)
    }

    #[test]
    fn one_look_at_a_key_at_a_time_and_changes_meanwhile_count_once() {
        let mut queue = queue(10);
        let key = Key::new("a", "x");
        queue.changed(at(0), &key);
        queue.changed(at(0), &key);
        assert_eq!(queue.poll_attempt(at(0)).unwrap().key, key);
        assert_eq!(queue.poll_attempt(at(0)), None);
        queue.changed(at(1), &key);
        queue.changed(at(1), &key);
        queue.done(at(2), &key, Outcome::Settled);
        assert_eq!(queue.poll_attempt(at(2)).unwrap().key, key);
        queue.done(at(3), &key, Outcome::Settled);
        assert!(queue.is_empty() && queue.poll_attempt(at(3)).is_none());
    }

    #[test]
    fn failures_wait_longer_and_longer_and_noise_does_not_shorten_it() {
        let mut queue = queue(1);
        let key = Key::new("a", "x");
        queue.changed(at(0), &key);
        let mut now = at(0);
        for wait_ms in [5, 10, 20, 40, 80] {
            queue.poll_attempt(now).expect("it is due");
            queue.done(now, &key, Outcome::Failed("no".to_owned()));
            queue.changed(now, &key);
            assert_eq!(queue.poll_attempt(now + Duration::from_millis(wait_ms - 1)), None);
            now = queue.deadline().unwrap();
            assert_eq!(queue.report(&key).unwrap().last_error.as_deref(), Some("no"));
        }
        queue.poll_attempt(now).unwrap();
        queue.done(now, &key, Outcome::Settled);
        queue.changed(now, &key);
        assert_eq!(queue.poll_attempt(now).unwrap().failures, 0, "success ends the row of failures");
    }

    #[test]
    fn a_change_of_a_key_that_failed_often_is_seen_within_a_second() {
        let mut queue = queue(1);
        let key = Key::new("a", "x");
        queue.changed(at(0), &key);
        let mut now = at(0);
        for _ in 0..15 {
            queue.poll_attempt(now).expect("it is due");
            queue.done(now, &key, Outcome::Failed("no".to_owned()));
            now = queue.deadline().expect("it waits");
        }
        let before = now;
        queue.poll_attempt(now).expect("it is due");
        queue.done(now, &key, Outcome::Failed("no".to_owned()));
        assert!(queue.deadline().unwrap() > before + Duration::from_secs(100));
        queue.changed(before, &key);
        assert_eq!(queue.deadline(), Some(before + Duration::from_secs(1)));
        assert_eq!(queue.poll_attempt(before + Duration::from_secs(1)).unwrap().failures, 16);
    }

    #[test]
    fn the_longest_wait_is_bounded() {
        let queue = queue(1);
        assert_eq!(queue.backoff(500), Limits::default().backoff_max);
    }

    #[test]
    fn namespaces_take_turns() {
        let mut queue = queue(100);
        for number in 0..50 {
            queue.changed(at(0), &Key::new("large", &format!("x{number}")));
        }
        queue.changed(at(0), &Key::new("small", "y"));
        let order: Vec<_> = (0..3).map(|_| queue.poll_attempt(at(0)).unwrap().key.namespace).collect();
        assert_eq!(order, ["large", "small", "large"]);
    }

    #[test]
    fn a_change_ends_a_wait_that_no_failure_began() {
        let mut queue = queue(1);
        let key = Key::new("", "node");
        queue.changed(at(0), &key);
        queue.poll_attempt(at(0)).unwrap();
        queue.done(at(0), &key, Outcome::Again(Duration::from_secs(60)));
        assert_eq!(queue.poll_attempt(at(1)), None);
        queue.changed(at(2), &key);
        assert_eq!(queue.poll_attempt(at(2)).unwrap().key, key);
        assert_eq!(queue.deadline(), None);
    }

    /// Whatever happens: never two looks at one key, never more in flight than allowed, nothing changed is forgotten.
    #[test]
    fn no_change_is_forgotten_by_any_schedule() {
        for seed in 0..500 {
            let mut rng = Rng::new(seed);
            let mut queue = queue(3);
            let mut now = at(0);
            let mut flying: BTreeSet<Key> = BTreeSet::new();
            // Keys with a change that no look has begun after.
            let mut unseen: BTreeSet<Key> = BTreeSet::new();
            for _ in 0..300 {
                now += Duration::from_millis(rng.below(20));
                let key = Key::new(&rng.below(3).to_string(), &rng.below(4).to_string());
                match rng.below(3) {
                    0 => {
                        queue.changed(now, &key);
                        unseen.insert(key);
                    }
                    1 => {
                        if let Some(attempt) = queue.poll_attempt(now) {
                            unseen.remove(&attempt.key);
                            assert!(flying.insert(attempt.key), "seed {seed}: two looks at once");
                            assert!(flying.len() <= 3, "seed {seed}");
                        }
                    }
                    _ => {
                        if let Some(key) = flying.pop_first() {
                            let outcome = match rng.below(4) {
                                0 => Outcome::Settled,
                                1 => Outcome::Stale,
                                2 => Outcome::Again(Duration::from_millis(rng.below(50))),
                                _ => Outcome::Failed(String::new()),
                            };
                            queue.done(now, &key, outcome);
                        }
                    }
                }
            }
            for _ in 0..200 {
                now = queue.deadline().map_or(now, |deadline| deadline.max(now));
                while let Some(attempt) = queue.poll_attempt(now) {
                    unseen.remove(&attempt.key);
                    flying.insert(attempt.key);
                }
                while let Some(key) = flying.pop_first() {
                    queue.done(now, &key, Outcome::Settled);
                }
            }
            assert!(unseen.is_empty() && queue.is_empty(), "seed {seed}: {unseen:?}");
        }
    }
}
