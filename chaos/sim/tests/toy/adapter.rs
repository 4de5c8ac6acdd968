//! Hosts the toy register, plays its clients, records their history and judges it.

use std::collections::BTreeMap;
use std::time::Duration;

use trireme_core::Tick;
use trireme_laws::{Action, Answer, Limits, Operation, Outcome, Verdict, register};
use trireme_sim::{Adapter, DiskError, Outside, PeerId, Peers, Shell, TraceHash};

use crate::core::{Bug, Effect, Input, Message, Register, Version, Want};

const CLIENTS: u64 = 4;
const FILE: &str = "register";
const RECORD_BYTES: usize = 32;
const PATIENCE: Duration = Duration::from_millis(1_500);

pub(crate) struct Toy {
    bug: Bug,
    peers: u32,
    next: u64,
    /// The operation that each client waits for.
    pending: BTreeMap<u64, (u64, Operation)>,
    pub(crate) history: Vec<Operation>,
}

impl Toy {
    pub(crate) fn new(bug: Bug, peers: u32) -> Toy {
        Toy { bug, peers, next: 1, pending: BTreeMap::new(), history: Vec::new() }
    }

    fn end(&mut self, client: u64, now: Tick, outcome: Outcome) {
        if let Some((_, mut operation)) = self.pending.remove(&client) {
            operation.returned = (outcome != Outcome::Unknown).then(|| now.as_nanos());
            operation.outcome = outcome;
            self.history.push(operation);
        }
    }

    fn call(&mut self, client: u64, outside: &mut Outside<'_, Input>) {
        let number = self.next;
        self.next += 1;
        let want = if outside.rng().chance(1, 2) { Want::Read } else { Want::Write(number) };
        let action = match want {
            Want::Read => Action::Read,
            Want::Write(value) => Action::Write { value },
        };
        let operation = Operation {
            process: client,
            call: outside.now().as_nanos(),
            returned: None,
            key: "x".to_owned(),
            action,
            outcome: Outcome::Unknown,
        };
        self.pending.insert(client, (number, operation));
        let peers = u64::from(outside.peers());
        let peer = PeerId::try_from(outside.rng().below(peers)).expect("a peer");
        let delay = Duration::from_micros(outside.rng().between(50, 1_000));
        outside.input(peer, delay, Input::Client { operation: number, want });
        outside.wake(PATIENCE, number << 8 | client);
    }
}

impl Adapter for Toy {
    type Core = Register;
    type Message = Message;

    fn start(&mut self, _: PeerId, _: Tick, shell: &mut Shell<'_, Message>) -> Result<Register, String> {
        let bytes = shell.disk().read(FILE).unwrap_or_default();
        let slots = [decode(bytes, 0), decode(bytes, 1)];
        let newest = (0..2).filter_map(|slot| Some((slot, slots[slot]?))).max_by_key(|(_, version)| *version);
        if newest.is_none() && bytes.len() > RECORD_BYTES {
            return Err("both slots are torn".to_owned());
        }
        Ok(Register::new(self.peers, self.bug, newest))
    }

    fn perform(&mut self, effect: Effect, shell: &mut Shell<'_, Message>) {
        match effect {
            Effect::Send { to, message } => shell.send(to, message),
            Effect::Persist { slot, version } => {
                shell
                    .disk()
                    .write(FILE, slot * RECORD_BYTES, &encode(version))
                    .expect("64 bytes fit on the disk");
            }
            Effect::Sync => shell.sync(0),
            Effect::Answer { operation, value } => {
                let waits = |(client, (number, op)): (&u64, &(u64, Operation))| {
                    (*number == operation).then(|| (*client, op.action == Action::Read))
                };
                let Some((client, is_read)) = self.pending.iter().find_map(waits) else { return };
                let answer = if is_read { Answer::Value(value) } else { Answer::Done };
                self.end(client, shell.world_now(), Outcome::Ok { answer, revision: None });
                shell.wake_outside(Duration::from_millis(operation * 7_919 % 20), client);
            }
        }
    }

    fn received(&mut self, from: PeerId, message: Message) -> Option<Input> {
        Some(Input::Message { from, message })
    }

    fn synced(&mut self, _ticket: u64, result: Result<(), DiskError>) -> Option<Input> {
        Some(Input::Synced { succeeded: result.is_ok() })
    }

    fn outside(&mut self, token: u64, outside: &mut Outside<'_, Input>) {
        let (number, client) = (token >> 8, token & 0xff);
        if token == 0 {
            (1..=CLIENTS).for_each(|client| outside.wake(Duration::from_millis(client), client));
        } else if number == 0 {
            self.call(client, outside);
        } else if self.pending.get(&client).is_some_and(|(pending, _)| *pending == number) {
            self.end(client, outside.now(), Outcome::Unknown);
            self.call(client, outside);
        }
    }

    fn trace(&self, message: &Message, trace: &mut TraceHash) {
        let (kind, operation, version) = match message {
            Message::Query { operation } => (0, operation, Version::default()),
            Message::Tell { operation, version } => (1, operation, *version),
            Message::Store { operation, version } => (2, operation, *version),
            Message::Stored { operation } => (3, operation, Version::default()),
        };
        [kind, *operation, version.counter, version.operation].into_iter().for_each(|word| trace.add(word));
    }

    fn finish(&mut self, peers: &Peers<'_, Register>) -> Result<(), String> {
        for client in 1..=CLIENTS {
            self.end(client, peers.now(), Outcome::Unknown);
        }
        match register::check(&self.history, &Limits::default()) {
            Verdict::Ok => {}
            Verdict::Violation(violation) => return Err(violation.to_string()),
            Verdict::Undecided { reason, .. } => return Err(reason),
        }
        let calm = peers.now().as_nanos() - 1_000_000_000;
        let lively = self.history.iter().any(|op| op.call > calm && op.is_acknowledged());
        if lively { Ok(()) } else { Err("no operation succeeded in the calm at the end".to_owned()) }
    }
}

fn encode(version: Version) -> [u8; RECORD_BYTES] {
    let mut words = [version.counter, version.operation, version.value.map_or(0, |value| value + 1), 0];
    words[3] = checksum(&words[..3]);
    let mut bytes = [0; RECORD_BYTES];
    for (chunk, word) in bytes.chunks_mut(8).zip(words) {
        chunk.copy_from_slice(&word.to_le_bytes());
    }
    bytes
}

fn decode(bytes: &[u8], slot: usize) -> Option<Version> {
    let record = bytes.get(slot * RECORD_BYTES..(slot + 1) * RECORD_BYTES)?;
    let word = |at: usize| u64::from_le_bytes(record[at * 8..(at + 1) * 8].try_into().expect("eight bytes"));
    let words = [word(0), word(1), word(2)];
    (word(3) == checksum(&words)).then(|| Version {
        counter: words[0],
        operation: words[1],
        value: words[2].checked_sub(1),
    })
}

fn checksum(words: &[u64]) -> u64 {
    words.iter().fold(0xcbf2_9ce4_8422_2325, |hash, word| {
        (hash ^ word).wrapping_mul(0x0100_0000_01b3).rotate_left(31)
    })
}
