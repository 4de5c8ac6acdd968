//! What the log store promises beyond openraft's suite: an answer means durable.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use openraft::entry::RaftEntry;
use openraft::storage::{IOFlushed, RaftLogReader, RaftLogStorage};
use openraft::type_config::TypeConfigExt;

use super::codec;
use super::log_store::LogStore;
use super::types::{Entry, LogId, TypeConfig, Vote};
use crate::disk::{FaultDisk, SimDisk};
use crate::log_db::{LogDb, Mark, SegmentedLog, SegmentedOptions};

const DIR: &str = "/log";

fn options() -> SegmentedOptions {
    // Small files: the simulated disk copies them at each sync.
    SegmentedOptions { segment_bytes: 64 * 1024, ..SegmentedOptions::default() }
}

fn reopen(sim: &SimDisk) -> SegmentedLog {
    SegmentedLog::open(Arc::new(sim.clone()), Path::new(DIR), options()).unwrap()
}

fn blank(index: u64) -> Entry {
    Entry::new_blank(LogId::new_term_index(1, index))
}

#[tokio::test]
async fn an_append_is_answered_when_it_is_durable_not_before() {
    for seed in 0..20 {
        let sim = SimDisk::new();
        let disk = FaultDisk::new(sim.clone());
        let log = SegmentedLog::create(Arc::new(disk.clone()), Path::new(DIR), options()).unwrap();
        let mut store = LogStore::start(Arc::new(log), None, None).unwrap();
        disk.faults().slow_sync(Duration::from_millis(30));
        let (flushed, wait) = TypeConfig::oneshot();
        store.append((0..20).map(blank), IOFlushed::signal(flushed)).await.unwrap();
        assert_eq!(store.try_get_log_entries(0..100).await.unwrap().len(), 20, "readable at once");
        wait.await.unwrap().unwrap();
        sim.power_cut(seed);
        assert_eq!(reopen(&sim).span().last(), Some(19), "seed {seed}: answered and lost");
    }
}

#[tokio::test]
async fn a_vote_is_answered_when_it_is_durable_not_before() {
    for seed in 0..20 {
        let sim = SimDisk::new();
        let disk = FaultDisk::new(sim.clone());
        let log = SegmentedLog::create(Arc::new(disk.clone()), Path::new(DIR), options()).unwrap();
        let mut store = LogStore::start(Arc::new(log), None, None).unwrap();
        disk.faults().slow_sync(Duration::from_millis(10));
        store.save_vote(&Vote::new(5, 2)).await.unwrap();
        sim.power_cut(seed);
        assert!(reopen(&sim).mark(Mark::Vote).is_some(), "seed {seed}: the vote was given and lost");
    }
}

#[tokio::test]
async fn a_committed_mark_costs_no_sync_and_is_kept_with_what_comes_next() {
    let sim = SimDisk::new();
    let disk = FaultDisk::new(sim.clone());
    let log = SegmentedLog::create(Arc::new(disk.clone()), Path::new(DIR), options()).unwrap();
    let mut store = LogStore::start(Arc::new(log), None, None).unwrap();
    let before = disk.faults().syncs();
    for index in 0..=20 {
        if index == 20 {
            // Longer than the shortest time between two marks.
            tokio::time::sleep(Duration::from_millis(120)).await;
        }
        let (flushed, wait) = TypeConfig::oneshot();
        store.append([blank(index)], IOFlushed::signal(flushed)).await.unwrap();
        wait.await.unwrap().unwrap();
        store.save_committed(Some(blank(index).log_id)).await.unwrap();
        // Time for a writer that would sync the mark by itself.
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert_eq!(disk.faults().syncs() - before, 21, "one sync for each append");
    sim.power_cut(1);
    let mark = reopen(&sim).mark(Mark::Committed).expect("the mark before the last append");
    assert_eq!(codec::decode::<Option<LogId>>(&mark).unwrap(), Some(blank(19).log_id));
}

/// The others of a cluster may have an entry before this member has written it.
#[tokio::test]
async fn a_committed_mark_is_never_ahead_of_the_entries() {
    let log = Arc::new(SegmentedLog::create(Arc::new(SimDisk::new()), Path::new(DIR), options()).unwrap());
    let mut store = LogStore::start(log.clone(), None, None).unwrap();
    for (index, committed) in [(0, 1), (1, 5), (2, 2)] {
        store.save_committed(Some(blank(committed).log_id)).await.unwrap();
        let (flushed, wait) = TypeConfig::oneshot();
        store.append([blank(index)], IOFlushed::signal(flushed)).await.unwrap();
        wait.await.unwrap().unwrap();
        let mark = log.mark(Mark::Committed).and_then(|mark| codec::decode::<Option<LogId>>(&mark).unwrap());
        assert!(mark.is_none_or(|mark| mark.index <= index), "{mark:?} while the log ends at {index}");
    }
}

#[tokio::test]
async fn every_one_who_waits_for_an_append_is_told() {
    let sim = SimDisk::new();
    let disk = FaultDisk::new(sim.clone());
    let log = SegmentedLog::create(Arc::new(disk.clone()), Path::new(DIR), options()).unwrap();
    let mut store = LogStore::start(Arc::new(log), None, None).unwrap();
    // The first sync takes long enough that all others share the next one.
    disk.faults().slow_sync(Duration::from_millis(30));
    let before = disk.faults().syncs();
    let mut waits = Vec::new();
    for index in 0..10 {
        let (flushed, wait) = TypeConfig::oneshot();
        store.append([blank(index)], IOFlushed::signal(flushed)).await.unwrap();
        waits.push(wait);
    }
    for wait in waits {
        wait.await.expect("nobody is forgotten").unwrap();
    }
    assert!(disk.faults().syncs() - before < 10, "they share syncs");
}

#[tokio::test]
async fn a_failed_sync_reaches_whoever_waits() {
    let sim = SimDisk::new();
    let disk = FaultDisk::new(sim.clone());
    let log = SegmentedLog::create(Arc::new(disk.clone()), Path::new(DIR), options()).unwrap();
    let mut store = LogStore::start(Arc::new(log), None, None).unwrap();
    disk.faults().fail_sync(true);
    let (flushed, wait) = TypeConfig::oneshot();
    store.append([blank(0)], IOFlushed::signal(flushed)).await.unwrap();
    assert!(wait.await.unwrap().is_err());
    assert!(store.save_vote(&Vote::new(5, 2)).await.is_err());
}
