//! [`Queue`]: pods that wait: to be tried, to be tried again, for something to happen, for their gates to open.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use trireme_core::Tick;

use crate::plugins::{Plugin, PluginSet};
use crate::pod::PodIx;

/// A pod that nothing has woken for so long is tried again.
const FLUSH_AFTER: Duration = Duration::from_secs(5 * 60);

/// Which part of the queue a pod is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    /// To be tried, in the order of priority and age.
    Active,
    /// To be tried again at a moment.
    BackOff(Tick),
    /// Refused; waits for an event.
    Unschedulable(Tick),
    /// Its gates are closed: no attempt is made.
    Gated,
    /// An attempt is being made, or its binding is on its way.
    Out,
}

#[derive(Clone, Debug)]
struct Entry {
    lane: Lane,
    priority: i32,
    /// Since when it waits in this lane.
    since: Tick,
    attempts: u32,
    tried: Tick,
    refused_by: PluginSet,
}

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Queue {
    entries: BTreeMap<PodIx, Entry>,
    /// By falling priority, then age.
    active: BTreeSet<(i64, Tick, PodIx)>,
    back_off: BTreeSet<(Tick, PodIx)>,
    unschedulable: BTreeSet<(Tick, PodIx)>,
    gated: usize,
    /// Unschedulable pods by the plugin that refused them.
    refused: BTreeMap<Plugin, usize>,
    first: Duration,
    most: Duration,
}

/// How many pods each lane holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Depths {
    /// To be tried.
    pub active: usize,
    /// To be tried again at a moment.
    pub back_off: usize,
    /// Waiting for an event.
    pub unschedulable: usize,
    /// Behind closed gates.
    pub gated: usize,
}

impl Queue {
    /// Empty; a refused pod waits from `first`, doubling, up to `most`.
    pub(crate) fn new(first: Duration, most: Duration) -> Self {
        Self {
            entries: BTreeMap::new(),
            active: BTreeSet::new(),
            back_off: BTreeSet::new(),
            unschedulable: BTreeSet::new(),
            gated: 0,
            refused: BTreeMap::new(),
            first,
            most,
        }
    }

    /// A pod comes in.
    pub(crate) fn add(&mut self, now: Tick, pod: PodIx, priority: i32, gated: bool) {
        let entry = Entry {
            lane: Lane::Out,
            priority,
            since: now,
            attempts: 0,
            tried: now,
            refused_by: PluginSet::default(),
        };
        self.entries.insert(pod, entry);
        self.enter(now, pod, if gated { Lane::Gated } else { Lane::Active });
    }

    /// A pod goes out for good.
    pub(crate) fn remove(&mut self, pod: PodIx) {
        self.leave(pod);
        self.entries.remove(&pod);
    }

    /// The next pod to try. When none is due, the one whose pause ends first: there is nothing better to do.
    pub(crate) fn pop(&mut self, now: Tick) -> Option<PodIx> {
        self.ripen(now);
        let pod = match self.active.first() {
            Some((_, _, pod)) => *pod,
            None => return None,
        };
        self.leave(pod);
        let entry = self.entries.get_mut(&pod).expect("a pod of a lane has an entry");
        entry.attempts = entry.attempts.saturating_add(1);
        entry.tried = now;
        Some(pod)
    }

    /// Pods whose pause is over, or that nothing woke, come back.
    fn ripen(&mut self, now: Tick) {
        while let Some((due, pod)) = self.back_off.first().copied().filter(|(due, _)| *due <= now) {
            debug_assert!(due <= now);
            self.enter(now, pod, Lane::Active);
        }
        while let Some((since, pod)) = self.unschedulable.first().copied() {
            if since + FLUSH_AFTER > now {
                break;
            }
            self.wake(now, pod);
        }
    }

    /// A pod that was popped was refused by plugins; without any it was an error.
    pub(crate) fn refuse(&mut self, now: Tick, pod: PodIx, by: PluginSet) {
        let Some(entry) = self.entries.get_mut(&pod) else { return };
        entry.refused_by = by;
        let lane = if by.is_empty() { Lane::BackOff(self.due(pod)) } else { Lane::Unschedulable(now) };
        self.enter(now, pod, lane);
    }

    /// Something happened that may help a pod: it is tried when its pause is over.
    pub(crate) fn wake(&mut self, now: Tick, pod: PodIx) {
        let due = self.due(pod);
        self.enter(now, pod, if due <= now { Lane::Active } else { Lane::BackOff(due) });
    }

    /// The pod itself changed: it is tried at once.
    pub(crate) fn activate(&mut self, now: Tick, pod: PodIx, priority: i32, gated: bool) {
        let Some(entry) = self.entries.get_mut(&pod) else { return };
        entry.priority = priority;
        if entry.lane != Lane::Out {
            self.enter(now, pod, if gated { Lane::Gated } else { Lane::Active });
        }
    }

    /// A pod that was popped is tried again at once: its attempt was overtaken.
    pub(crate) fn activate_out(&mut self, now: Tick, pod: PodIx) {
        self.enter(now, pod, Lane::Active);
    }

    /// When the pause after the last attempt ends.
    fn due(&self, pod: PodIx) -> Tick {
        let Some(entry) = self.entries.get(&pod) else { return Tick::MAX };
        let doublings = entry.attempts.saturating_sub(1).min(16);
        let pause = self.first.saturating_mul(1 << doublings).min(self.most);
        if entry.attempts == 0 { entry.tried } else { entry.tried + pause }
    }

    fn enter(&mut self, now: Tick, pod: PodIx, lane: Lane) {
        self.leave(pod);
        let Some(entry) = self.entries.get_mut(&pod) else { return };
        entry.lane = lane;
        entry.since = now;
        match lane {
            Lane::Active => {
                self.active.insert((-i64::from(entry.priority), now, pod));
            }
            Lane::BackOff(due) => {
                self.back_off.insert((due, pod));
            }
            Lane::Unschedulable(since) => {
                self.unschedulable.insert((since, pod));
                for plugin in entry.refused_by.iter() {
                    *self.refused.entry(plugin).or_default() += 1;
                }
            }
            Lane::Gated => self.gated += 1,
            Lane::Out => {}
        }
    }

    fn leave(&mut self, pod: PodIx) {
        let Some(entry) = self.entries.get_mut(&pod) else { return };
        match std::mem::replace(&mut entry.lane, Lane::Out) {
            Lane::Active => {
                self.active.remove(&(-i64::from(entry.priority), entry.since, pod));
            }
            Lane::BackOff(due) => {
                self.back_off.remove(&(due, pod));
            }
            Lane::Unschedulable(since) => {
                self.unschedulable.remove(&(since, pod));
                for plugin in entry.refused_by.iter() {
                    if let Some(count) = self.refused.get_mut(&plugin) {
                        *count -= 1;
                    }
                }
            }
            Lane::Gated => self.gated -= 1,
            Lane::Out => {}
        }
    }

    /// Whether any waiting pod was refused by one of `plugins`.
    pub(crate) fn concerns(&self, plugins: PluginSet) -> bool {
        self.refused.iter().any(|(plugin, count)| *count > 0 && plugins.has(*plugin))
    }

    /// Pods that wait for an event, with who refused them.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = (PodIx, PluginSet)> {
        self.unschedulable.iter().map(|(_, pod)| (*pod, self.entries[pod].refused_by))
    }

    /// Where a pod is, after how many attempts.
    pub(crate) fn lane(&self, pod: PodIx) -> Option<(Lane, u32)> {
        self.entries.get(&pod).map(|entry| (entry.lane, entry.attempts))
    }

    /// The earliest moment at which there is something to do.
    pub(crate) fn deadline(&self) -> Option<Tick> {
        if !self.active.is_empty() {
            return Some(Tick::ZERO);
        }
        let ripe = self.back_off.first().map(|(due, _)| *due);
        let flush = self.unschedulable.first().map(|(since, _)| *since + FLUSH_AFTER);
        [ripe, flush].into_iter().flatten().min()
    }

    /// How many pods each lane holds.
    pub(crate) fn depths(&self) -> Depths {
        Depths {
            active: self.active.len(),
            back_off: self.back_off.len(),
            unschedulable: self.unschedulable.len(),
            gated: self.gated,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: PodIx = PodIx(0);
    const B: PodIx = PodIx(1);

    fn queue() -> Queue {
        Queue::new(Duration::from_secs(1), Duration::from_secs(10))
    }

    fn at(millis: u64) -> Tick {
        Tick::from_millis(millis)
    }

    #[test]
    fn priority_then_age() {
        let mut queue = queue();
        queue.add(at(1), A, 0, false);
        queue.add(at(2), B, 10, false);
        assert_eq!(queue.pop(at(3)), Some(B));
        assert_eq!(queue.pop(at(3)), Some(A));
        assert_eq!(queue.pop(at(3)), None);
    }

    #[test]
    fn pauses_double_up_to_the_most() {
        let mut queue = queue();
        queue.add(at(0), A, 0, false);
        let mut now = at(0);
        for pause_s in [1, 2, 4, 8, 10, 10] {
            assert_eq!(queue.pop(now), Some(A));
            queue.refuse(now, A, PluginSet::default());
            let due = now + Duration::from_secs(pause_s);
            assert_eq!(queue.deadline(), Some(due));
            now = due;
        }
    }

    #[test]
    fn the_refused_wait_for_events_or_five_minutes() {
        let mut queue = queue();
        queue.add(at(0), A, 0, false);
        queue.pop(at(0));
        queue.refuse(at(0), A, [Plugin::NodeResourcesFit].into_iter().collect());
        assert!(queue.concerns([Plugin::NodeResourcesFit].into_iter().collect()));
        assert!(!queue.concerns([Plugin::NodePorts].into_iter().collect()));
        assert_eq!(queue.pop(at(299_999)), None);
        assert_eq!(queue.pop(at(300_000)), Some(A));
        queue.refuse(at(300_000), A, [Plugin::NodeResourcesFit].into_iter().collect());
        queue.wake(at(300_001), A);
        // Its pause of two seconds is not over.
        assert_eq!(queue.pop(at(300_002)), None);
        assert_eq!(queue.pop(at(302_000)), Some(A));
    }

    #[test]
    fn the_gated_are_never_tried() {
        let mut queue = queue();
        queue.add(at(0), A, 0, true);
        assert_eq!((queue.pop(at(1_000_000)), queue.depths().gated), (None, 1));
        assert_eq!(queue.deadline(), None);
        queue.activate(at(1), A, 0, false);
        assert_eq!(queue.pop(at(2)), Some(A));
    }
}
