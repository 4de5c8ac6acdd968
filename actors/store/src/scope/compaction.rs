//! When which part of the history is old enough to be forgotten. Pure.

use std::collections::VecDeque;
use std::time::Duration;

use trireme_core::Tick;
use trireme_mvcc::Revision;

/// Looks per retention: history is kept for up to one part in so many longer.
const LOOKS: u32 = 10;
/// Shortest time between two looks.
const LOOK_MIN: Duration = Duration::from_millis(100);

/// Remembers when the store stood where. What was written before a look is at least as old as the look.
#[derive(Debug)]
pub(crate) struct CompactionPlan {
    keep: Duration,
    /// Oldest first; at most one more than there are looks in `keep`.
    looks: VecDeque<(Tick, Revision)>,
}

impl CompactionPlan {
    /// History is kept for this long.
    pub(crate) fn new(keep: Duration) -> Self {
        Self { keep, looks: VecDeque::new() }
    }

    /// Time until the next look.
    pub(crate) fn pause(&self) -> Duration {
        (self.keep / LOOKS).max(LOOK_MIN)
    }

    /// Takes in where the store stands, and gives the revision up to which history is too old, if any is.
    pub(crate) fn look(&mut self, now: Tick, revision: Revision, compacted: Revision) -> Option<Revision> {
        let mut old = None;
        while let Some((at, seen)) = self.looks.front().copied()
            && now.since(at) >= self.keep
        {
            old = Some(seen);
            self.looks.pop_front();
        }
        // While nothing is written there is nothing new to remember.
        if self.looks.back().is_none_or(|(_, seen)| *seen != revision) && old != Some(revision) {
            self.looks.push_back((now, revision));
        }
        old.filter(|old| *old > compacted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trireme_core::Rng;

    const KEEP: Duration = Duration::from_secs(300);

    /// Every change is forgotten when it is old enough, none before, and an idle store is left alone.
    #[test]
    fn what_is_too_old_goes_and_nothing_else() {
        for seed in 0..200 {
            let mut rng = Rng::new(seed);
            let mut plan = CompactionPlan::new(KEEP);
            let (mut now, mut compacted) = (Tick::from_millis(1), Revision::ZERO);
            // When each revision was written.
            let mut written = vec![now];
            for _ in 0..400 {
                now += plan.pause();
                let busy = rng.chance(2, 3);
                let revision = Revision::new(written.len() as u64 - 1);
                if let Some(upto) = plan.look(now, revision, compacted) {
                    assert!(upto > compacted && upto <= revision, "seed {seed}");
                    let last = written[usize::try_from(upto.get()).unwrap()];
                    assert!(now.since(last) >= KEEP, "seed {seed}: {upto} is young");
                    compacted = upto;
                }
                let kept = written.get(usize::try_from(compacted.get()).unwrap() + 1);
                assert!(kept.is_none_or(|at| now.since(*at) <= KEEP + plan.pause() * 2), "seed {seed}");
                assert!(plan.looks.len() <= LOOKS as usize + 1);
                if busy {
                    written.extend((0..rng.between(1, 50)).map(|_| now));
                }
            }
        }
    }

    #[test]
    fn an_idle_store_is_compacted_once() {
        let mut plan = CompactionPlan::new(KEEP);
        let mut asked = Vec::new();
        let mut compacted = Revision::ZERO;
        for look in 0..100_u64 {
            let now = Tick::from_millis(1) + plan.pause() * u32::try_from(look).unwrap();
            if let Some(upto) = plan.look(now, Revision::new(7), compacted) {
                asked.push(upto);
                compacted = upto;
            }
        }
        assert_eq!(asked, [Revision::new(7)]);
    }
}
