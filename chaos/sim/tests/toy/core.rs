//! A replicated register: every operation asks a majority for the newest version and stores one on a majority.
//!
//! Small enough to see through, and with the parts that a store has: durable state in two slots, acknowledgements
//! after the sync, repetition by timer. Each [`Bug`] leaves one of them out.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use trireme_core::{Core, Tick};
use trireme_sim::PeerId;

/// What is wrong with a core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bug {
    None,
    /// Stored is answered while the sync still runs.
    AckBeforeSync,
    /// A failed sync is taken for a good one.
    IgnoresFailedSync,
    /// A read returns what it found without storing it on a majority.
    NoWriteBack,
    /// Half of the peers are enough.
    SmallQuorum,
    /// The only slot is overwritten in place, and a torn record is taken for a new disk.
    OneSlot,
}

/// A value with its place in the order of writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version {
    pub(crate) counter: u64,
    pub(crate) operation: u64,
    pub(crate) value: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Want {
    Read,
    Write(u64),
}

#[derive(Clone, Debug)]
pub(crate) enum Message {
    Query { operation: u64 },
    Tell { operation: u64, version: Version },
    Store { operation: u64, version: Version },
    Stored { operation: u64 },
}

pub(crate) enum Input {
    Client { operation: u64, want: Want },
    Message { from: PeerId, message: Message },
    Synced { succeeded: bool },
}

pub(crate) enum Effect {
    Send { to: PeerId, message: Message },
    Persist { slot: usize, version: Version },
    Sync,
    Answer { operation: u64, value: Option<u64> },
}

const REPEAT: Duration = Duration::from_millis(30);
const GIVE_UP: Duration = Duration::from_secs(1);

pub(crate) struct Register {
    peers: u32,
    bug: Bug,
    version: Version,
    /// The slot that holds the last version known to be durable.
    durable_slot: Option<usize>,
    dirty: bool,
    /// Who waits for the sync that runs now, if one does, and who for the next.
    syncing: Option<Vec<(PeerId, u64)>>,
    waiting: Vec<(PeerId, u64)>,
    running: BTreeMap<u64, Running>,
}

struct Running {
    want: Want,
    storing: bool,
    best: Version,
    heard: BTreeSet<PeerId>,
    repeat_at: Tick,
    give_up_at: Tick,
}

impl Register {
    pub(crate) fn new(peers: u32, bug: Bug, found: Option<(usize, Version)>) -> Register {
        Register {
            peers,
            bug,
            version: found.map(|(_, version)| version).unwrap_or_default(),
            durable_slot: found.map(|(slot, _)| slot),
            dirty: false,
            syncing: None,
            waiting: Vec::new(),
            running: BTreeMap::new(),
        }
    }

    fn quorum(&self) -> usize {
        let half = self.peers as usize / 2;
        if self.bug == Bug::SmallQuorum { half } else { half + 1 }
    }

    fn message(&mut self, now: Tick, from: PeerId, message: Message, out: &mut Vec<Effect>) {
        match message {
            Message::Query { operation } => {
                let tell = Message::Tell { operation, version: self.version };
                out.push(Effect::Send { to: from, message: tell });
            }
            Message::Store { operation, version } => {
                if version > self.version {
                    self.version = version;
                    self.dirty = true;
                }
                if self.bug == Bug::AckBeforeSync {
                    out.push(Effect::Send { to: from, message: Message::Stored { operation } });
                } else {
                    self.waiting.push((from, operation));
                }
                self.flush(out);
            }
            Message::Tell { operation, version } => {
                let quorum = self.quorum();
                let Some(running) = self.running.get_mut(&operation).filter(|running| !running.storing)
                else {
                    return;
                };
                running.best = running.best.max(version);
                running.heard.insert(from);
                if running.heard.len() >= quorum {
                    self.asked(now, operation, out);
                }
            }
            Message::Stored { operation } => {
                let quorum = self.quorum();
                let Some(running) = self.running.get_mut(&operation).filter(|running| running.storing) else {
                    return;
                };
                running.heard.insert(from);
                if running.heard.len() >= quorum {
                    let value = running.best.value;
                    self.running.remove(&operation);
                    out.push(Effect::Answer { operation, value });
                }
            }
        }
    }

    /// A majority has told its version.
    fn asked(&mut self, now: Tick, operation: u64, out: &mut Vec<Effect>) {
        let bug = self.bug;
        let Some(running) = self.running.get_mut(&operation) else { return };
        if let Want::Write(value) = running.want {
            running.best = Version { counter: running.best.counter + 1, operation, value: Some(value) };
        } else if bug == Bug::NoWriteBack {
            let value = running.best.value;
            self.running.remove(&operation);
            out.push(Effect::Answer { operation, value });
            return;
        }
        running.storing = true;
        running.heard.clear();
        self.broadcast(now, operation, out);
    }

    fn broadcast(&mut self, now: Tick, operation: u64, out: &mut Vec<Effect>) {
        let Some(running) = self.running.get_mut(&operation) else { return };
        running.repeat_at = now + REPEAT;
        let missing = (0..self.peers).filter(|peer| !running.heard.contains(peer));
        out.extend(missing.map(|to| {
            let message = match running.storing {
                true => Message::Store { operation, version: running.best },
                false => Message::Query { operation },
            };
            Effect::Send { to, message }
        }));
    }

    /// Starts a sync if none runs and something waits for one.
    fn flush(&mut self, out: &mut Vec<Effect>) {
        if self.syncing.is_some() {
            return;
        }
        let waiting = std::mem::take(&mut self.waiting);
        if self.dirty {
            let slot = self.next_slot();
            out.push(Effect::Persist { slot, version: self.version });
            out.push(Effect::Sync);
            self.dirty = false;
            self.syncing = Some(waiting);
        } else {
            acknowledge(waiting, out);
        }
    }

    fn next_slot(&self) -> usize {
        if self.bug == Bug::OneSlot { 0 } else { self.durable_slot.map_or(0, |slot| 1 - slot) }
    }

    fn synced(&mut self, succeeded: bool, out: &mut Vec<Effect>) {
        let Some(waiting) = self.syncing.take() else { return };
        if succeeded || self.bug == Bug::IgnoresFailedSync {
            self.durable_slot = Some(self.next_slot());
            acknowledge(waiting, out);
        } else {
            self.dirty = true;
            self.waiting.splice(0..0, waiting);
        }
        self.flush(out);
    }
}

fn acknowledge(waiting: Vec<(PeerId, u64)>, out: &mut Vec<Effect>) {
    out.extend(
        waiting
            .into_iter()
            .map(|(to, operation)| Effect::Send { to, message: Message::Stored { operation } }),
    );
}

impl Core for Register {
    type Input = Input;
    type Effect = Effect;

    fn step(&mut self, now: Tick, input: Input, out: &mut Vec<Effect>) {
        match input {
            Input::Client { operation, want } => {
                let running = Running {
                    want,
                    storing: false,
                    best: Version::default(),
                    heard: BTreeSet::new(),
                    repeat_at: now,
                    give_up_at: now + GIVE_UP,
                };
                self.running.insert(operation, running);
                self.broadcast(now, operation, out);
            }
            Input::Message { from, message } => self.message(now, from, message, out),
            Input::Synced { succeeded } => self.synced(succeeded, out),
        }
    }

    fn deadline(&self) -> Option<Tick> {
        self.running.values().map(|running| running.repeat_at.min(running.give_up_at)).min()
    }

    fn expire(&mut self, now: Tick, out: &mut Vec<Effect>) {
        self.running.retain(|_, running| running.give_up_at > now);
        let due: Vec<u64> = self
            .running
            .iter()
            .filter(|(_, running)| running.repeat_at <= now)
            .map(|(operation, _)| *operation)
            .collect();
        due.into_iter().for_each(|operation| self.broadcast(now, operation, out));
    }
}
