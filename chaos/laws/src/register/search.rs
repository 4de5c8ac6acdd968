//! The search for an order (after Wing and Gong, with Lowe's memoisation).
//!
//! Depth first: place an operation that no unplaced operation precedes in real time, until all known ones are
//! placed. What keeps it fast on long histories:
//! - a read or a refusal that can be placed without changing the state is placed at once, without alternatives;
//! - revisions, then return times, order the alternatives, so that a correct history is walked almost straight;
//! - a value is not overwritten while operations still need it and nothing else can write it again;
//! - a write with an unknown outcome is tried last, and only while it would let a known operation go on;
//! - configurations (which operations are placed, and the state) are remembered by a 128-bit fingerprint. Two
//!   configurations share one with a chance of about 1e-23 at the largest memory limit.

use std::hash::{BuildHasherDefault, Hasher};

use hashbrown::HashSet;

use super::model::{ABSENT, Candidate, Lacks, Prepared, State};
use crate::Limits;
use crate::generate::mix;

/// The outcome of a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// There is an order.
    Order,
    /// There is none.
    Nothing {
        /// The operation (by its place in the history) before which the furthest attempt was stuck.
        blocked: Option<usize>,
    },
    /// The limits were reached first.
    BudgetExceeded,
}

/// Looks for an order of the operations that the register allows.
pub(super) fn find_order(prepared: &Prepared, limits: &Limits) -> Found {
    match impossible(prepared) {
        Some(blocked) => Found::Nothing { blocked: Some(blocked) },
        None => Search::new(prepared).run(limits),
    }
}

/// An operation that needs a value which nothing can have written by then.
fn impossible(prepared: &Prepared) -> Option<usize> {
    let mut earliest = vec![u64::MAX; prepared.values];
    earliest[ABSENT as usize] = 0;
    for candidate in prepared.known.iter().chain(&prepared.unknown) {
        if let Some(value) = candidate.effect.supplies() {
            let call = &mut earliest[value as usize];
            *call = candidate.call.min(*call);
        }
    }
    let needy = prepared.known.iter().find(|candidate| {
        let needs = candidate.effect.needs().map(|value| earliest[value as usize]);
        needs.is_some_and(|call| call == u64::MAX || call > candidate.answered)
    });
    needy.map(|candidate| candidate.source)
}

/// The end of a chain of unplaced operations.
const END: usize = usize::MAX;

struct Search<'a> {
    prepared: &'a Prepared,
    known: Chain,
    unknown: Chain,
    /// Per value: unplaced known operations that must find it.
    needed: Vec<u32>,
    /// Per value: unplaced unknown operations that would have to find it.
    wanted: Vec<u32>,
    /// Per value: unplaced operations that write it.
    supply: Vec<u32>,
    unplaced: usize,
    fingerprint: u128,
    seen: HashSet<(u128, State), BuildHasherDefault<FingerprintHasher>>,
    /// Alternatives of all frames, one after another.
    alternatives: Vec<Choice>,
    furthest: (u64, Option<usize>),
}

/// An operation to place: from the known or the unknown ones.
#[derive(Clone, Copy)]
struct Choice {
    unknown: bool,
    index: usize,
}

struct Frame {
    /// The operation whose placing opened this frame.
    placed: Option<Choice>,
    state: State,
    first: usize,
    next: usize,
}

impl<'a> Search<'a> {
    fn new(prepared: &'a Prepared) -> Self {
        let mut counts = [vec![0_u32; prepared.values], vec![0; prepared.values], vec![0; prepared.values]];
        for (unknown, list) in [(0, &prepared.known), (1, &prepared.unknown)] {
            for candidate in list {
                if let Some(value) = candidate.effect.needs() {
                    counts[unknown][value as usize] += 1;
                }
                if let Some(value) = candidate.effect.supplies() {
                    counts[2][value as usize] += 1;
                }
            }
        }
        let [needed, wanted, supply] = counts;
        Search {
            prepared,
            known: Chain::new(prepared.known.len()),
            unknown: Chain::new(prepared.unknown.len()),
            needed,
            wanted,
            supply,
            unplaced: prepared.known.len(),
            fingerprint: 0,
            seen: HashSet::default(),
            alternatives: Vec::new(),
            furthest: (0, None),
        }
    }

    fn run(mut self, limits: &Limits) -> Found {
        let mut steps = 0;
        let mut frames = vec![self.open(None, State::INITIAL)];
        while self.unplaced > 0 {
            let Some(frame) = frames.last_mut() else {
                return Found::Nothing { blocked: self.furthest.1 };
            };
            if frame.next == self.alternatives.len() {
                self.alternatives.truncate(frame.first);
                let placed = frame.placed;
                frames.pop();
                if let Some(choice) = placed {
                    self.unplace(choice);
                }
                continue;
            }
            let choice = self.alternatives[frame.next];
            frame.next += 1;
            steps += 1;
            if steps > limits.search_steps || self.seen.len() >= limits.search_memory_entries {
                return Found::BudgetExceeded;
            }
            let before = frame.state;
            let Some(state) = self.candidate(choice).effect.apply(before) else { continue };
            if let Some(frame) = self.place(choice, before, state) {
                frames.push(frame);
            }
        }
        Found::Order
    }

    /// Places an operation and opens what follows; none if that leads nowhere or was tried before.
    fn place(&mut self, choice: Choice, before: State, state: State) -> Option<Frame> {
        self.count(choice, false);
        let lost = before.value as usize;
        let starves = state.value != before.value && self.needed[lost] > 0 && self.supply[lost] == 0;
        if starves || !self.seen.insert((self.fingerprint, state)) {
            self.count(choice, true);
            return None;
        }
        self.chain(choice.unknown).remove(choice.index);
        Some(self.open(Some(choice), state))
    }

    fn unplace(&mut self, choice: Choice) {
        self.chain(choice.unknown).restore(choice.index);
        self.count(choice, true);
    }

    /// Keeps the counts in step with one operation becoming unplaced (`back`) or placed.
    fn count(&mut self, choice: Choice, back: bool) {
        let effect = self.candidate(choice).effect;
        let adjust = |count: &mut u32| if back { *count += 1 } else { *count -= 1 };
        if let Some(value) = effect.needs() {
            adjust(&mut if choice.unknown { &mut self.wanted } else { &mut self.needed }[value as usize]);
        }
        if let Some(value) = effect.supplies() {
            adjust(&mut self.supply[value as usize]);
        }
        if !choice.unknown {
            self.unplaced = if back { self.unplaced + 1 } else { self.unplaced - 1 };
        }
        let name = (choice.index as u64) << 1 | u64::from(choice.unknown);
        self.fingerprint ^= u128::from(mix(name)) << 64 | u128::from(mix(name ^ 0x5bd1_e995_9d1b_a3f7));
    }

    /// Opens a frame with the operations that can be placed next, the most promising first.
    fn open(&mut self, placed: Option<Choice>, state: State) -> Frame {
        let first = self.alternatives.len();
        let mut lacking: Vec<Lacks> = Vec::new();
        let mut horizon = u64::MAX;
        let mut blocked = None;
        let mut index = self.known.first();
        while index != END {
            let candidate = &self.prepared.known[index];
            if candidate.call > horizon {
                break;
            }
            if candidate.answered < horizon {
                (horizon, blocked) = (candidate.answered, Some(candidate.source));
            }
            let choice = Choice { unknown: false, index };
            match candidate.effect.apply(state) {
                Some(after) if after == state && candidate.effect.supplies().is_none() => {
                    self.alternatives.truncate(first);
                    self.alternatives.push(choice);
                    return Frame { placed, state, first, next: first };
                }
                Some(_) => self.alternatives.push(choice),
                None => lacking.push(self.prepared.lacks(&candidate.effect)),
            }
            index = self.known.after(index);
        }
        if blocked.is_some() && horizon >= self.furthest.0 {
            self.furthest = (horizon, blocked);
        }
        let known = &self.prepared.known;
        self.alternatives[first..].sort_by_key(|choice| {
            let candidate = &known[choice.index];
            (candidate.effect.revision().unwrap_or(u64::MAX), candidate.answered, candidate.call)
        });
        self.add_unknown(state, horizon, &lacking);
        Frame { placed, state, first, next: first }
    }

    /// Adds the writes of unknown outcome that could let a known operation go on.
    ///
    /// Placing such a write can always be put off until just before the first operation that cannot do without
    /// it, so trying it anywhere else finds nothing new.
    fn add_unknown(&mut self, state: State, horizon: u64, lacking: &[Lacks]) {
        let lacking = self.with_unknown_lacks(state, horizon, lacking);
        let anything = lacking.contains(&Lacks::Anything);
        let mut nameless_added = false;
        let mut index = self.unknown.first();
        while index != END {
            let candidate = &self.prepared.unknown[index];
            if candidate.call > horizon {
                break;
            }
            let value = candidate.effect.supplies().unwrap_or(ABSENT);
            // Unconditional writes of values that nobody needs differ only in when they may start.
            let nameless = self.needed[value as usize] == 0
                && self.wanted[value as usize] == 0
                && candidate.effect.is_unconditional();
            let useful = anything || lacking.contains(&Lacks::Value(value));
            if useful && !(nameless && nameless_added) && candidate.effect.apply(state).is_some() {
                self.alternatives.push(Choice { unknown: true, index });
                nameless_added |= nameless;
            }
            index = self.unknown.after(index);
        }
    }

    /// Adds what unknown writes lack: one may have to take effect so that another can.
    fn with_unknown_lacks(&self, state: State, horizon: u64, lacking: &[Lacks]) -> Vec<Lacks> {
        let mut all = lacking.to_vec();
        if all.is_empty() {
            return all;
        }
        let mut index = self.unknown.first();
        while index != END && self.prepared.unknown[index].call <= horizon {
            let effect = &self.prepared.unknown[index].effect;
            if effect.apply(state).is_none() {
                all.push(self.prepared.lacks(effect));
            }
            index = self.unknown.after(index);
        }
        all
    }

    fn candidate(&self, choice: Choice) -> &'a Candidate {
        let prepared = self.prepared;
        if choice.unknown { &prepared.unknown[choice.index] } else { &prepared.known[choice.index] }
    }

    fn chain(&mut self, unknown: bool) -> &mut Chain {
        if unknown { &mut self.unknown } else { &mut self.known }
    }
}

/// Unplaced operations in call order; removing and restoring in stack order takes constant time.
struct Chain {
    /// Position 0 is the head; operation `i` stands at `i + 1`.
    next: Vec<usize>,
    previous: Vec<usize>,
}

impl Chain {
    fn new(length: usize) -> Chain {
        let next = (1..=length + 1).collect();
        let previous = (0..=length + 1).map(|position: usize| position.saturating_sub(1)).collect();
        Chain { next, previous }
    }

    fn first(&self) -> usize {
        self.index(self.next[0])
    }

    fn after(&self, index: usize) -> usize {
        self.index(self.next[index + 1])
    }

    fn index(&self, position: usize) -> usize {
        if position == self.next.len() { END } else { position - 1 }
    }

    fn remove(&mut self, index: usize) {
        let (previous, next) = (self.previous[index + 1], self.next[index + 1]);
        self.next[previous] = next;
        self.previous[next] = previous;
    }

    fn restore(&mut self, index: usize) {
        let (previous, next) = (self.previous[index + 1], self.next[index + 1]);
        self.next[previous] = index + 1;
        self.previous[next] = index + 1;
    }
}

/// Fingerprints are random already; folding them is hash enough.
#[derive(Default)]
struct FingerprintHasher(u64);

impl Hasher for FingerprintHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u8(&mut self, value: u8) {
        self.write_u64(u64::from(value));
    }

    fn write_u32(&mut self, value: u32) {
        self.write_u64(u64::from(value));
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = (self.0.rotate_left(23) ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    #[allow(clippy::cast_possible_truncation, reason = "both halves are folded in")]
    fn write_u128(&mut self, value: u128) {
        self.write_u64((value >> 64) as u64);
        self.write_u64(value as u64);
    }
}
