//! The state survives restarts, snapshots and any batching with an equal hash, and damage is noticed.
#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test may panic; its numbers are small"
)]

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;

use support::Run;
use trireme_mvcc::*;

const SEQUENCES: u64 = 1500;

type Records = BTreeMap<Vec<u8>, Vec<u8>>;

fn persist(delta: &Delta, records: &mut Records) {
    delta.for_each_record(|name, value| match value {
        Some(value) => drop(records.insert(name.to_vec(), value.to_vec())),
        None => drop(records.remove(name)),
    });
}

fn dump(state: &State) -> Records {
    let mut records = Records::new();
    state.snapshot().for_each_record(|name, value| drop(records.insert(name.to_vec(), value.to_vec())));
    records
}

fn load(records: &Records) -> Result<State, LoadError> {
    let mut loader = Loader::new();
    for (name, value) in records {
        loader.record(name, value)?;
    }
    loader.finish()
}

fn carry_over(state: &State, chunk_bytes: usize) -> State {
    let snapshot = Arc::new(state.snapshot());
    let mut restore = Restore::new();
    for chunk in snapshot.chunks(chunk_bytes) {
        restore.chunk(&chunk).expect("a good chunk");
    }
    restore.finish().expect("a whole snapshot")
}

/// One replica applies entry by entry and persists each; one applies in batches, restarts from its records; one
/// is rebuilt from snapshots in between. All end with the same hash, and the records name exactly the state.
#[test]
fn replicas_agree_whatever_happens_in_between() {
    for seed in 0..SEQUENCES {
        let mut run = Run::new(seed);
        let (mut restarted, mut installed) = (replay(&run), replay(&run));
        let mut records = dump(&run.state);
        let mut other = Delta::new();
        for _ in 0..60 {
            let mut step_delta = Delta::new();
            run.advance(&mut step_delta);
            persist(&step_delta, &mut records);
            let (index, (term, proposal)) = (run.log.len() as u64, run.log.last().unwrap());
            let _ = restarted.apply(index, *term, proposal, &mut other).unwrap();
            let _ = installed.apply(index, *term, proposal, &mut Delta::new()).unwrap();
            if run.rng.chance(10) {
                restarted = load(&records).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
            }
            if run.rng.chance(10) {
                installed = carry_over(&installed, 1024);
            }
            let wanted = run.state.hash();
            assert_eq!(restarted.hash().difference(&wanted), None, "restarted, seed {seed}, index {index}");
            assert_eq!(installed.hash().difference(&wanted), None, "installed, seed {seed}, index {index}");
            assert_eq!(restarted.sizes(), run.state.sizes(), "seed {seed}, index {index}");
            assert_eq!(installed.sizes(), run.state.sizes(), "seed {seed}, index {index}");
        }
        let whole = dump(&run.state);
        let names = |records: &Records| records.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&records), names(&whole), "no record is left over or missing, seed {seed}");
    }
}

fn replay(run: &Run) -> State {
    let mut state = State::new();
    for (index, (term, proposal)) in (1..).zip(&run.log) {
        let _ = state.apply(index, *term, proposal, &mut Delta::new()).unwrap();
    }
    state
}

#[test]
fn one_delta_for_many_entries_equals_a_delta_each() {
    for seed in 0..300 {
        let mut run = Run::new(seed);
        let (mut each, mut batched) = (dump(&run.state), dump(&run.state));
        let mut twin = replay(&run);
        let mut batch = Delta::new();
        for _ in 0..60 {
            let mut delta = Delta::new();
            run.advance(&mut delta);
            persist(&delta, &mut each);
            let (term, proposal) = run.log.last().unwrap();
            let _ = twin.apply(run.log.len() as u64, *term, proposal, &mut batch).unwrap();
        }
        persist(&batch, &mut batched);
        assert_eq!(each, batched, "seed {seed}");
    }
}

#[test]
fn a_lost_extra_or_changed_record_does_not_load() {
    let mut run = Run::new(7);
    (0..120).for_each(|_| run.advance(&mut Delta::new()));
    let records = dump(&run.state);
    assert!(load(&records).is_ok());
    assert!(records.len() > 10);
    let names: Vec<_> = records.keys().cloned().collect();
    for name in &names {
        let mut damaged = records.clone();
        damaged.remove(name);
        assert!(load(&damaged).is_err(), "record {name:?} was removed unnoticed");
        for byte in 0..records[name].len() {
            let mut damaged = records.clone();
            damaged.get_mut(name).unwrap()[byte] ^= 0x20;
            // Bytes that no longer mean anything (links of a forgotten change) may differ without effect.
            let harmless = load(&damaged).map(|state| dump(&state) == records);
            assert!(harmless.unwrap_or(true), "byte {byte} of record {name:?} was changed unnoticed");
        }
    }
    let mut future = records.clone();
    future.get_mut(&b"m"[..]).unwrap()[0] += 1;
    let error = load(&future).err().unwrap();
    assert!(matches!(error, LoadError::Record(RecordError::Schema { found: 2 })), "{error}");
    assert!(matches!(load(&Records::new()), Err(LoadError::NoMeta)));
}

#[test]
fn a_snapshot_stays_as_it_was_while_the_state_moves_on() {
    for seed in 0..100 {
        let mut run = Run::new(seed);
        (0..50).for_each(|_| run.advance(&mut Delta::new()));
        let frozen_hash = run.state.hash();
        let snapshot = Arc::new(run.state.snapshot());
        let before: Vec<_> = snapshot.chunks(1024).collect();
        (0..50).for_each(|_| run.advance(&mut Delta::new()));
        let after: Vec<_> = snapshot.chunks(1024).collect();
        assert_eq!(before, after, "seed {seed}");
        let mut restore = Restore::new();
        after.iter().for_each(|chunk| restore.chunk(chunk).unwrap());
        assert_eq!(restore.finish().unwrap().hash(), frozen_hash, "seed {seed}");
    }
}

#[test]
fn a_broken_transfer_continues_at_the_chunk_that_is_due() {
    let mut run = Run::new(3);
    (0..150).for_each(|_| run.advance(&mut Delta::new()));
    let snapshot = Arc::new(run.state.snapshot());
    let chunks: Vec<_> = snapshot.chunks(1024).collect();
    assert!(chunks.len() >= 3, "{} chunks", chunks.len());
    assert!(chunks.iter().all(|chunk| chunk.len() <= 1024 + 32));
    let mut restore = Restore::new();
    restore.chunk(&chunks[0]).unwrap();
    let found = restore.chunk(&chunks[2]);
    assert_eq!(found, Err(SnapshotError::OutOfOrder { expected: 1, found: 2 }));
    assert_eq!(restore.chunk(&chunks[0]), Err(SnapshotError::OutOfOrder { expected: 1, found: 0 }));
    for byte in 0..chunks[1].len() {
        let mut damaged = chunks[1].to_vec();
        damaged[byte] ^= 1;
        assert!(restore.chunk(&damaged).is_err(), "byte {byte} was changed unnoticed");
        assert_eq!(restore.next_index(), 1);
    }
    assert_eq!(restore.chunk(&chunks[1][..100]), Err(SnapshotError::Damaged { index: 1 }));
    assert_eq!(restore.chunk(b"short"), Err(SnapshotError::NotAChunk));
    let rest: Vec<_> = snapshot.chunks_from(1024, restore.next_index()).collect();
    assert_eq!(rest, chunks[1..], "the same chunks are made again");
    rest.iter().for_each(|chunk| restore.chunk(chunk).unwrap());
    assert!(restore.is_complete());
    assert_eq!(restore.finish().unwrap().hash(), run.state.hash());

    let mut early = Restore::new();
    early.chunk(&chunks[0]).unwrap();
    assert_eq!(early.finish().err(), Some(SnapshotError::Incomplete { received: 1 }));
    run.advance(&mut Delta::new());
    let mut mixed = Restore::new();
    mixed.chunk(&chunks[0]).unwrap();
    let other = Arc::new(run.state.snapshot()).chunks(1024).nth(1).unwrap();
    assert_eq!(mixed.chunk(&other), Err(SnapshotError::OtherSnapshot { index: 1 }));
}

/// Damage that a checksum would find must not get so far as to panic where there is none.
#[test]
fn random_damage_is_refused_without_a_panic() {
    let mut run = Run::new(11);
    (0..100).for_each(|_| run.advance(&mut Delta::new()));
    let records = dump(&run.state);
    let names: Vec<_> = records.keys().cloned().collect();
    for _ in 0..20_000 {
        let mut damaged = records.clone();
        for _ in 0..1 + run.rng.below(4) {
            let name = &names[run.rng.below(names.len() as u64) as usize];
            let Some(value) = damaged.get_mut(name) else { continue };
            match run.rng.below(4) {
                0 => drop(damaged.remove(name)),
                1 => value.truncate(run.rng.below(value.len() as u64 + 1) as usize),
                2 => value.push(run.rng.next() as u8),
                _ if value.is_empty() => {}
                _ => {
                    let at = run.rng.below(value.len() as u64) as usize;
                    value[at] = run.rng.next() as u8;
                }
            }
        }
        if let Ok(state) = load(&damaged) {
            assert_eq!(dump(&state), records, "damage was taken for truth");
        }
    }
}
