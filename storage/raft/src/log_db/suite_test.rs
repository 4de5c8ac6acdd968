//! One suite for every [`LogDb`]: the laws of the trait, on each implementation.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use tempfile::TempDir;

use super::{ENTRY_LIMIT_BYTES, LogDb, LogEntry, LogError, LogRetry, Mark};
use super::{SegmentedLog, SegmentedOptions, SledLog};
use crate::disk::{Disk, DiskFaults, FaultDisk, RealDisk};

/// Opens or (with `true`) creates a log.
type Open = fn(Arc<dyn Disk>, &Path, bool) -> Result<Box<dyn LogDb>, LogError>;

/// One way to keep a log in a directory, on a disk whose faults can be switched.
struct Bench {
    dir: TempDir,
    disk: FaultDisk<RealDisk>,
    open: Open,
}

impl Bench {
    fn all() -> Vec<Self> {
        let segmented: Open = |disk, dir, create| {
            // Small files, so that the suite rolls often.
            let options = SegmentedOptions { segment_bytes: 4096, ..SegmentedOptions::default() };
            let log = if create {
                SegmentedLog::create(disk, dir, options)
            } else {
                SegmentedLog::open(disk, dir, options)
            };
            log.map(|log| Box::new(log) as Box<dyn LogDb>)
        };
        let sled: Open = |disk, dir, create| {
            let log = if create { SledLog::create(disk, dir) } else { SledLog::open(disk, dir) };
            log.map(|log| Box::new(log) as Box<dyn LogDb>)
        };
        let bench = |open| Self { dir: TempDir::new().unwrap(), disk: FaultDisk::new(RealDisk), open };
        vec![bench(segmented), bench(sled)]
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("log")
    }

    fn create(&self) -> Box<dyn LogDb> {
        (self.open)(Arc::new(self.disk.clone()), &self.path(), true).unwrap()
    }

    fn try_open(&self) -> Result<Box<dyn LogDb>, LogError> {
        (self.open)(Arc::new(self.disk.clone()), &self.path(), false)
    }

    fn reopen(&self, log: Box<dyn LogDb>) -> Box<dyn LogDb> {
        drop(log);
        self.try_open().unwrap()
    }

    fn faults(&self) -> Arc<DiskFaults> {
        self.disk.faults()
    }
}

fn payload(index: u64, bytes: usize) -> Bytes {
    index.to_le_bytes().into_iter().cycle().take(bytes).collect()
}

fn entries(range: std::ops::Range<u64>, bytes: usize) -> Vec<LogEntry> {
    range.map(|index| LogEntry { index, payload: payload(index, bytes) }).collect()
}

fn indexes(log: &dyn LogDb) -> Vec<u64> {
    log.read(0..u64::MAX, usize::MAX).unwrap().into_iter().map(|e| e.index).collect()
}

#[test]
fn what_was_synced_is_there_after_reopening() {
    for bench in Bench::all() {
        let log = bench.create();
        assert!(log.span().is_empty() && !log.span().started);
        let mut expected = Vec::new();
        for (n, bytes) in [0, 1, 7, 100, 4000, 5000, 70_000, 200_000].into_iter().enumerate() {
            let n = n as u64;
            let batch = entries(n * 3..n * 3 + 3, bytes);
            log.append(&batch).unwrap();
            assert_eq!(log.sync().unwrap(), Some(n * 3 + 2));
            expected.extend(batch);
        }
        assert_eq!(log.read(0..100, usize::MAX).unwrap(), expected);
        let log = bench.reopen(log);
        assert_eq!(log.read(0..100, usize::MAX).unwrap(), expected);
        assert_eq!((log.span().first, log.span().next), (0, 24));
    }
}

#[test]
fn reads_respect_range_and_byte_limit_but_give_at_least_one() {
    for bench in Bench::all() {
        let log = bench.create();
        log.append(&entries(1..11, 100)).unwrap();
        let read = |range, limit| log.read(range, limit).unwrap().len();
        assert_eq!(read(0..100, usize::MAX), 10);
        assert_eq!(read(3..5, usize::MAX), 2);
        assert_eq!(read(1..11, 250), 2);
        assert_eq!(read(1..11, 1), 1);
        assert_eq!(read(11..20, usize::MAX), 0);
    }
}

#[test]
fn votes_and_marks_survive() {
    for bench in Bench::all() {
        let log = bench.create();
        assert_eq!(log.mark(Mark::Vote), None);
        log.save_vote(b"term 1").unwrap();
        log.save_vote(b"term 2").unwrap();
        log.append(&entries(1..4, 10)).unwrap();
        log.save_committed(b"at 3").unwrap();
        log.sync().unwrap();
        let log = bench.reopen(log);
        assert_eq!(log.mark(Mark::Vote).as_deref(), Some(&b"term 2"[..]));
        assert_eq!(log.mark(Mark::Committed).as_deref(), Some(&b"at 3"[..]));
        assert_eq!(log.mark(Mark::Purged), None);
    }
}

#[test]
fn truncation_takes_the_end_and_the_log_goes_on_from_there() {
    for bench in Bench::all() {
        let log = bench.create();
        log.append(&entries(1..101, 300)).unwrap();
        log.sync().unwrap();
        log.truncate_from(41).unwrap();
        assert_eq!(log.span().last(), Some(40));
        assert!(matches!(log.append(&entries(42..43, 1)), Err(LogError::Gap { expected: 41, got: 42 })));
        log.append(&entries(41..44, 9)).unwrap();
        log.sync().unwrap();
        let log = bench.reopen(log);
        assert_eq!(indexes(log.as_ref()), (1..44).collect::<Vec<_>>());
        assert_eq!(log.read(41..42, 100).unwrap()[0].payload, payload(41, 9));
        log.truncate_from(1).unwrap();
        assert!(log.span().is_empty());
        log.append(&entries(1..3, 5)).unwrap();
        log.sync().unwrap();
        assert_eq!(indexes(bench.reopen(log).as_ref()), vec![1, 2]);
    }
}

#[test]
fn purging_forgets_the_start_also_beyond_the_end() {
    for bench in Bench::all() {
        let log = bench.create();
        log.append(&entries(1..101, 300)).unwrap();
        log.purge(60, b"at 60").unwrap();
        log.sync().unwrap();
        assert_eq!(log.span().first, 61);
        let log = bench.reopen(log);
        assert_eq!(indexes(log.as_ref()), (61..101).collect::<Vec<_>>());
        assert_eq!(log.mark(Mark::Purged).as_deref(), Some(&b"at 60"[..]));
        assert!(matches!(log.truncate_from(50), Err(LogError::Gap { .. })));
        log.purge(500, b"at 500").unwrap();
        log.sync().unwrap();
        log.tidy().unwrap();
        let log = bench.reopen(log);
        assert!(log.span().is_empty());
        assert!(matches!(log.append(&entries(101..102, 1)), Err(LogError::Gap { expected: 501, .. })));
        log.append(&entries(501..503, 1)).unwrap();
        log.sync().unwrap();
        assert_eq!(indexes(bench.reopen(log).as_ref()), vec![501, 502]);
    }
}

#[test]
fn truncation_then_purge_across_files_reopens() {
    for bench in Bench::all() {
        let log = bench.create();
        log.append(&entries(1..11, 300)).unwrap();
        log.append(&entries(11..20, 300)).unwrap();
        log.truncate_from(8).unwrap();
        log.append(&entries(8..40, 300)).unwrap();
        log.purge(12, b"p").unwrap();
        log.sync().unwrap();
        let log = bench.reopen(log);
        assert_eq!(indexes(log.as_ref()), (13..40).collect::<Vec<_>>());
    }
}

#[test]
fn gaps_and_oversize_are_refused_and_change_nothing() {
    for bench in Bench::all() {
        let log = bench.create();
        log.append(&entries(5..7, 1)).unwrap();
        assert!(matches!(log.append(&entries(8..9, 1)), Err(LogError::Gap { expected: 7, got: 8 })));
        let mut holed = entries(7..10, 1);
        holed.remove(1);
        assert!(matches!(log.append(&holed), Err(LogError::Gap { expected: 8, got: 9 })));
        let huge = LogEntry { index: 7, payload: vec![0; ENTRY_LIMIT_BYTES + 1].into() };
        assert!(matches!(log.append(&[huge]), Err(LogError::TooLarge { index: 7, .. })));
        assert_eq!(indexes(log.as_ref()), vec![5, 6]);
        log.append(&entries(7..8, 1)).unwrap();
    }
}

#[test]
fn a_failed_sync_closes_the_log_and_is_never_tried_again() {
    for bench in Bench::all() {
        let log = bench.create();
        log.append(&entries(1..2, 10)).unwrap();
        bench.faults().fail_sync(true);
        assert_eq!(log.sync().unwrap_err().retry(), LogRetry::AfterRestart);
        bench.faults().fail_sync(false);
        assert!(matches!(log.sync(), Err(LogError::Closed { .. })));
        assert!(matches!(log.append(&entries(2..3, 1)), Err(LogError::Closed { .. })));
        assert!(matches!(log.save_vote(b"v"), Err(LogError::Closed { .. })));
        let log = bench.reopen(log);
        log.append(&entries(2..3, 1)).unwrap();
        log.sync().unwrap();
    }
}

#[test]
fn a_full_disk_is_a_typed_error_and_the_log_goes_on_when_there_is_room() {
    for bench in Bench::all() {
        let log = bench.create();
        log.append(&entries(1..3, 100)).unwrap();
        bench.faults().limit_room(Some(2000));
        let refused = log.append(&entries(3..9, 3000)).unwrap_err();
        assert!(matches!(refused, LogError::NoSpace { .. }), "{refused}");
        assert_eq!(refused.retry(), LogRetry::AfterReclaim);
        assert_eq!(log.span().last(), Some(2));
        log.sync().unwrap();
        bench.faults().limit_room(None);
        log.append(&entries(3..9, 3000)).unwrap();
        log.sync().unwrap();
        assert_eq!(indexes(bench.reopen(log).as_ref()), (1..9).collect::<Vec<_>>());
    }
}

#[test]
fn every_acknowledgement_costs_a_sync() {
    for bench in Bench::all() {
        let log = bench.create();
        for index in 1..10 {
            log.append(&entries(index..index + 1, 50)).unwrap();
            let before = bench.faults().syncs();
            log.sync().unwrap();
            assert!(bench.faults().syncs() > before, "an append was acknowledged without a sync");
        }
        let before = bench.faults().syncs();
        log.save_vote(b"v").unwrap();
        assert!(bench.faults().syncs() > before, "a vote was given without a sync");
        let before = bench.faults().syncs();
        log.truncate_from(5).unwrap();
        assert!(bench.faults().syncs() > before, "a truncation returned without a sync");
    }
}

#[test]
fn a_log_that_comes_back_empty_is_refused() {
    for bench in Bench::all() {
        let log = bench.create();
        log.append(&entries(1..4, 100)).unwrap();
        log.sync().unwrap();
        drop(log);
        let sentinel = bench.path().join("sentinel");
        let saved = std::fs::read(&sentinel).unwrap();
        std::fs::remove_dir_all(bench.path()).unwrap();
        drop(bench.create());
        std::fs::write(&sentinel, saved).unwrap();
        let refused = bench.try_open().map(|_| ()).unwrap_err();
        assert!(matches!(refused, LogError::BehindSentinel { .. }), "{refused}");
        assert_eq!(refused.retry(), LogRetry::Never);
        assert!(refused.to_string().contains("add it again under a new id"));
    }
}

#[test]
fn a_missing_sentinel_is_refused() {
    for bench in Bench::all() {
        drop(bench.create());
        std::fs::remove_file(bench.path().join("sentinel")).unwrap();
        assert!(matches!(bench.try_open().map(|_| ()), Err(LogError::Sentinel(_))));
    }
}

#[test]
fn readers_run_beside_the_writer() {
    for bench in Bench::all() {
        let log: Arc<dyn LogDb> = bench.create().into();
        log.append(&entries(1..3, 100)).unwrap();
        let reader = log.clone();
        let read = std::thread::spawn(move || {
            let mut most = 0;
            while most < 100 {
                let found = reader.read(0..1000, usize::MAX).unwrap();
                let first = found.first().map_or(0, |e| e.index);
                for (expected, entry) in (first..).zip(&found) {
                    assert_eq!((entry.index, &entry.payload), (expected, &payload(expected, 100)));
                }
                most = found.last().map_or(most, |e| e.index);
            }
        });
        for index in 3..101 {
            log.append(&entries(index..index + 1, 100)).unwrap();
            if index % 10 == 0 {
                log.purge(index / 2, b"p").unwrap();
                log.sync().unwrap();
                log.tidy().unwrap();
            }
        }
        read.join().unwrap();
    }
}
