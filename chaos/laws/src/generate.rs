//! Correct histories by seed, to prove checkers: what comes from here must pass, and one planted change must not.
//!
//! A history is made by running clients against a perfect object in virtual time: each operation takes effect at
//! one moment between its call and its return, and some answers are lost (whether or not the operation took
//! effect). The same arguments give the same history.

use std::collections::BTreeMap;

use crate::watch::{Change, LoggedWrite, Start, WatchEvent, WatchRecord};
use crate::{Action, Answer, Guard, Operation, Outcome, Step};

/// One answer in this many is lost.
const LOST_ANSWER_ONE_IN: u64 = 12;

/// Scrambles a number into one that looks random (the finalizer of splitmix64).
pub(crate) fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Numbers by seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(1);
        mix(self.0) % bound
    }

    fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }
}

/// A client's time line: when its next operation is called, takes effect and returns.
struct Clients {
    dice: Dice,
    free_at: Vec<u64>,
    moment: u64,
}

/// When one operation happens.
struct Slot {
    process: u64,
    call: u64,
    returned: u64,
    lost: bool,
    /// Whether it takes effect; false only if the answer is lost.
    effective: bool,
}

impl Clients {
    fn new(seed: u64, processes: usize) -> Clients {
        Clients { dice: Dice(mix(seed)), free_at: vec![0; processes.max(1)], moment: 1_000 }
    }

    /// The next operation; effects happen in the order of these calls, at strictly increasing moments.
    fn next(&mut self) -> Slot {
        self.moment += 1 + self.dice.below(20);
        let mut at = self.dice.below(self.free_at.len() as u64);
        for _ in 0..self.free_at.len() {
            let index = usize::try_from(at).expect("fewer processes than the address space");
            if self.free_at[index] < self.moment {
                break;
            }
            at = (at + 1) % self.free_at.len() as u64;
        }
        let index = usize::try_from(at).expect("fewer processes than the address space");
        self.moment = self.moment.max(self.free_at[index] + 1);
        let earliest = self.free_at[index].max(self.moment.saturating_sub(60));
        let call = self.moment - self.dice.below(self.moment - earliest);
        let returned = self.moment + self.dice.below(60);
        self.free_at[index] = returned + 1;
        let lost = self.dice.one_in(LOST_ANSWER_ONE_IN);
        Slot { process: at, call, returned, lost, effective: !lost || self.dice.one_in(2) }
    }
}

impl Slot {
    fn operation(&self, key: String, action: Action, outcome: Outcome) -> Operation {
        let outcome = if self.lost { Outcome::Unknown } else { outcome };
        Operation {
            process: self.process,
            call: self.call,
            returned: Some(self.returned),
            key,
            action,
            outcome,
        }
    }
}

/// Reads, writes, guarded writes and deletes of registers.
pub fn register(seed: u64, operations: usize, processes: usize, keys: usize) -> Vec<Operation> {
    let mut clients = Clients::new(seed, processes);
    let mut state: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
    let mut seen: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
    let (mut revision, mut history) = (0, Vec::with_capacity(operations));
    for number in 0..operations as u64 {
        let slot = clients.next();
        let key = clients.dice.below(keys.max(1) as u64);
        let current = state.get(&key).copied();
        let known = seen.get(&key).copied();
        let value = 1_000 + number;
        let action = register_action(&mut clients.dice, value, known);
        let allowed = match &action {
            Action::Cas { guard, .. } | Action::Delete { guard: Some(guard) } => holds(*guard, current),
            Action::Delete { guard: None } => current.is_some(),
            _ => true,
        };
        let outcome = if let Action::Read = action {
            // What nobody was told cannot become a guard.
            seen.extend(current.filter(|_| !slot.lost).map(|current| (key, current)));
            ok(Answer::Value(current.map(|(value, _)| value)), current.map(|(_, revision)| revision))
        } else if allowed {
            revision += 1;
            if slot.effective {
                match action {
                    Action::Delete { .. } => state.remove(&key),
                    _ => state.insert(key, (value, revision)),
                };
            }
            ok(Answer::Done, Some(revision))
        } else {
            Outcome::Refused
        };
        history.push(slot.operation(format!("r{key}"), action, outcome));
    }
    history
}

fn register_action(dice: &mut Dice, value: u64, known: Option<(u64, u64)>) -> Action {
    match (dice.below(20), known) {
        (0..8, _) => Action::Read,
        (8..13, _) => Action::Write { value },
        (13, _) => Action::Delete { guard: None },
        (14, Some((_, revision))) => Action::Delete { guard: Some(Guard::Revision(revision)) },
        (15 | 16, Some((held, _))) => Action::Cas { guard: Guard::Value(held), value },
        (17 | 18, Some((_, revision))) => Action::Cas { guard: Guard::Revision(revision), value },
        (_, _) => Action::Cas { guard: Guard::Absent, value },
    }
}

fn holds(guard: Guard, current: Option<(u64, u64)>) -> bool {
    match guard {
        Guard::Absent => current.is_none(),
        Guard::Value(value) => current.is_some_and(|(held, _)| held == value),
        Guard::Revision(revision) => current.is_some_and(|(_, at)| at == revision),
    }
}

fn ok(answer: Answer, revision: Option<u64>) -> Outcome {
    Outcome::Ok { answer, revision }
}

/// Transactions of appends and list reads, single appends and single reads.
pub fn lists(seed: u64, operations: usize, processes: usize, keys: usize) -> Vec<Operation> {
    let mut clients = Clients::new(seed, processes);
    let mut state: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    let mut history = Vec::with_capacity(operations);
    let mut value = 0;
    for _ in 0..operations {
        let slot = clients.next();
        let mut steps = Vec::new();
        for _ in 0..=clients.dice.below(3) {
            let key = format!("l{}", clients.dice.below(keys.max(1) as u64));
            value += 1;
            let append = clients.dice.one_in(2);
            steps.push(if append { Step::Append { key, value } } else { Step::Read { key } });
        }
        let mut working = state.clone();
        let mut reads = Vec::new();
        for step in &steps {
            match step {
                Step::Append { key, value } => working.entry(key.clone()).or_default().push(*value),
                Step::Read { key } => reads.push(working.get(key).cloned().unwrap_or_default()),
            }
        }
        if slot.effective {
            state = working;
        }
        history.push(match &steps[..] {
            [Step::Append { key, value }] => {
                slot.operation(key.clone(), Action::Append { value: *value }, ok(Answer::Done, None))
            }
            [Step::Read { key }] => {
                slot.operation(key.clone(), Action::ReadList, ok(Answer::List(reads.remove(0)), None))
            }
            _ => slot.operation(String::new(), Action::Transaction { steps }, ok(Answer::Lists(reads), None)),
        });
    }
    history
}

/// Adds to and reads of one set.
pub fn set(seed: u64, operations: usize, processes: usize) -> Vec<Operation> {
    let mut clients = Clients::new(seed, processes);
    let mut state = Vec::new();
    let mut history = Vec::with_capacity(operations);
    for value in 0..operations as u64 {
        let slot = clients.next();
        let (action, answer) = if clients.dice.one_in(3) {
            (Action::ReadSet, Answer::List(state.clone()))
        } else {
            if slot.effective {
                state.push(value);
            }
            (Action::Add { value }, Answer::Done)
        };
        history.push(slot.operation("s".to_owned(), action, ok(answer, None)));
    }
    history
}

/// A log of transactions, and watchers that follow it, break and resume.
pub fn watch(seed: u64, transactions: u64) -> (Vec<WatchRecord>, Vec<LoggedWrite>) {
    let mut dice = Dice(mix(seed));
    let mut log = Vec::new();
    let mut revision = 0;
    for transaction in 1..=transactions {
        for _ in 0..=dice.below(3) {
            revision += 1;
            let key = format!("{}/{}", if dice.one_in(2) { "a" } else { "b" }, dice.below(5));
            let change = if dice.one_in(5) { Change::Delete } else { Change::Put(revision * 10) };
            log.push(LoggedWrite { revision, transaction, key, change });
        }
    }
    let mut records = Vec::new();
    for watcher in 0..3 {
        follow(&mut dice, &mut records, watcher, &log);
    }
    (records, log)
}

/// One watcher's way through the log.
fn follow(dice: &mut Dice, records: &mut Vec<WatchRecord>, watcher: u64, log: &[LoggedWrite]) {
    let prefix = ["", "a/", "b/"][usize::try_from(watcher % 3).expect("below 3")].to_owned();
    let (mut stream, mut at, mut last) = (watcher * 1_000, 0, 0);
    let opened =
        |stream, at, start| WatchRecord::Opened { watcher, stream, at, prefix: prefix.clone(), start };
    records.push(opened(stream, at, Start::Fresh { after: 0 }));
    let mut position = 0;
    while position < log.len() {
        let transaction = log[position].transaction;
        let end =
            position + log[position..].iter().take_while(|write| write.transaction == transaction).count();
        let events: Vec<WatchEvent> = log[position..end]
            .iter()
            .filter(|write| write.key.starts_with(&prefix))
            .map(|write| WatchEvent {
                revision: write.revision,
                key: write.key.clone(),
                change: write.change,
            })
            .collect();
        at += 1;
        if let Some(event) = events.last() {
            last = event.revision;
            records.push(WatchRecord::Delivered { stream, at, events });
        }
        if dice.one_in(6) {
            last = log[end - 1].revision;
            records.push(WatchRecord::Bookmark { stream, at, revision: last });
        }
        if dice.one_in(9) {
            records.push(WatchRecord::Closed { stream, at });
            stream += 1;
            records.push(opened(stream, at + 1, Start::Resumed { after: last }));
        }
        position = end;
    }
    let revision = log.last().map_or(0, |write| write.revision);
    records.push(WatchRecord::Settled { stream, at: at + 2, revision });
}
