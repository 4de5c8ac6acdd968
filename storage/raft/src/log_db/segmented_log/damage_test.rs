//! What a [`SegmentedLog`] does about damage and power cuts, on a simulated disk.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;

use crate::disk::{Disk, FaultDisk, SimDisk, read_to_limit};
use crate::log_db::record::HEADER_BYTES;
use crate::log_db::{LogDb, LogEntry, LogError, Mark, SegmentedLog, SegmentedOptions};
use crate::sentinel::SentinelSync;

const DIR: &str = "/data/log";

fn options() -> SegmentedOptions {
    SegmentedOptions { segment_bytes: 4096, sentinel: SentinelSync::Every(1000) }
}

fn entry(index: u64, bytes: usize, salt: u8) -> LogEntry {
    LogEntry { index, payload: Bytes::from(vec![u8::try_from(index % 251).unwrap() ^ salt; bytes]) }
}

fn open(disk: &SimDisk) -> Result<SegmentedLog, LogError> {
    SegmentedLog::open(Arc::new(disk.clone()), Path::new(DIR), options())
}

fn create(disk: &SimDisk) -> SegmentedLog {
    SegmentedLog::create(Arc::new(disk.clone()), Path::new(DIR), options()).unwrap()
}

fn refused(disk: &SimDisk) -> LogError {
    open(disk).map(|_| ()).unwrap_err()
}

fn segment(number: u64) -> std::path::PathBuf {
    Path::new(DIR).join(format!("log-{number:016x}.seg"))
}

/// A log with `count` synced entries of 100 bytes, each in a sync of its own; dropped.
fn synced_log(count: u64) -> SimDisk {
    let disk = SimDisk::new();
    let log = create(&disk);
    for index in 1..=count {
        log.append(&[entry(index, 100, 0)]).unwrap();
        log.sync().unwrap();
    }
    disk
}

fn overwrite(disk: &SimDisk, path: &Path, offset: u64, bytes: &[u8]) {
    let file = disk.open(path, false).unwrap();
    file.write_all_at(bytes, offset).unwrap();
    file.sync_all().unwrap();
}

#[test]
fn a_flipped_byte_in_any_record_is_corruption() {
    let pristine = synced_log(60);
    assert!(open(&pristine).is_ok());
    for number in [1, 2] {
        for offset in (0..4096).step_by(97) {
            let disk = synced_log(60);
            disk.corrupt(&segment(number), offset, 0x40);
            match open(&disk) {
                Err(LogError::Corrupt { .. } | LogError::BehindSentinel { .. }) => {}
                Err(other) => panic!("segment {number} byte {offset}: {other}"),
                // Padding and the unused end of a sealed file carry no data.
                Ok(log) => assert_eq!(log.read(0..100, usize::MAX).unwrap().len(), 60),
            }
        }
    }
}

#[test]
fn damage_below_a_later_record_is_corruption_without_the_sentinels_help() {
    // The sentinel is put back to where it stood at creation: only the marks inside the records can tell.
    let fresh = SimDisk::new();
    drop(create(&fresh));
    let sentinel = Path::new(DIR).join("sentinel");
    let old = read_to_limit(fresh.open(&sentinel, false).unwrap().as_ref(), 1 << 20).unwrap();
    let disk = synced_log(10);
    overwrite(&disk, &sentinel, 0, &old);
    let checkpoint_and_first = 64 + HEADER_BYTES + 20;
    disk.corrupt(&segment(1), checkpoint_and_first, 1);
    let refused = refused(&disk);
    let LogError::Corrupt { what, .. } = &refused else { panic!("{refused}") };
    assert!(what.contains("proves that it was synced"), "{what}");
}

#[test]
fn a_torn_tail_that_was_never_synced_is_cut_and_overwritten() {
    let disk = synced_log(5);
    let log = open(&disk).unwrap();
    log.append(&[entry(6, 100, 0), entry(7, 100, 0)]).unwrap();
    drop(log);
    // The first of the two new records is torn, the second whole.
    let first = 64 + 5 * 144;
    overwrite(&disk, &segment(1), first + 60, &[0xff; 30]);
    let log = open(&disk).unwrap();
    assert_eq!(log.span().last(), Some(5));
    log.append(&[entry(6, 100, 9)]).unwrap();
    log.sync().unwrap();
    drop(log);
    let log = open(&disk).unwrap();
    assert_eq!(log.span().last(), Some(6), "the whole record behind the cut does not come back");
    assert_eq!(log.read(6..7, 1000).unwrap(), vec![entry(6, 100, 9)]);
}

#[test]
fn a_torn_tail_below_the_sentinel_is_refused() {
    let disk = SimDisk::new();
    let strict = SegmentedOptions { sentinel: SentinelSync::Always, ..options() };
    let log = SegmentedLog::create(Arc::new(disk.clone()), Path::new(DIR), strict).unwrap();
    log.append(&[entry(1, 100, 0)]).unwrap();
    log.sync().unwrap();
    drop(log);
    // Only the last batch: no later record could prove anything.
    disk.corrupt(&segment(1), 64 + 60, 1);
    let refused = refused(&disk);
    assert!(matches!(refused, LogError::Corrupt { .. }), "{refused}");
    assert!(refused.to_string().contains("was synced"), "{refused}");
}

#[test]
fn an_end_that_vanished_below_the_sentinel_is_refused() {
    let disk = synced_log(1);
    drop(open(&disk).unwrap());
    overwrite(&disk, &segment(1), 64, &[0; 144]);
    assert!(matches!(refused(&disk), LogError::BehindSentinel { .. }));
}

#[test]
fn missing_segments_are_named() {
    let count = synced_log(120).list(Path::new(DIR)).unwrap().len() as u64 - 1;
    assert!(count >= 4, "{count} files");
    for number in 1..=count {
        let disk = synced_log(120);
        disk.remove(&segment(number)).unwrap();
        let refused = refused(&disk);
        assert!(matches!(refused, LogError::MissingSegment { .. }), "{number}: {refused}");
        assert!(refused.to_string().contains(&format!("log-{number:016x}.seg")), "{refused}");
    }
    let disk = synced_log(120);
    (1..=count).for_each(|number| disk.remove(&segment(number)).unwrap());
    assert!(matches!(refused(&disk), LogError::MissingSegment { .. }));
}

#[test]
fn purged_files_are_deleted_and_the_rest_opens() {
    let disk = synced_log(120);
    let log = open(&disk).unwrap();
    let before = disk.list(Path::new(DIR)).unwrap().len();
    log.purge(100, b"at 100").unwrap();
    assert_eq!(disk.list(Path::new(DIR)).unwrap().len(), before, "nothing goes before the purge is durable");
    log.sync().unwrap();
    log.tidy().unwrap();
    assert!(disk.list(Path::new(DIR)).unwrap().len() < before);
    drop(log);
    let log = open(&disk).unwrap();
    assert_eq!((log.span().first, log.span().next), (101, 121));
}

#[test]
fn a_torn_write_closes_the_log_and_loses_nothing_acknowledged() {
    let disk = FaultDisk::new(SimDisk::new());
    let log = SegmentedLog::create(Arc::new(disk.clone()), Path::new(DIR), options()).unwrap();
    log.append(&[entry(1, 100, 0)]).unwrap();
    log.sync().unwrap();
    disk.faults().tear_next_write(50);
    assert!(matches!(log.append(&[entry(2, 100, 0)]), Err(LogError::Io { .. })));
    assert!(matches!(log.append(&[entry(2, 100, 0)]), Err(LogError::Closed { .. })));
    drop(log);
    let log = SegmentedLog::open(Arc::new(disk), Path::new(DIR), options()).unwrap();
    assert_eq!(log.span().last(), Some(1));
    log.append(&[entry(2, 100, 0)]).unwrap();
}

#[derive(Debug, Clone)]
enum Step {
    Append(u8, u16),
    Sync,
    Vote(u8),
    Truncate(u8),
    Purge(u8),
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1..6_u8, 0..3000_u16).prop_map(|(count, bytes)| Step::Append(count, bytes)),
        4 => Just(Step::Sync),
        1 => any::<u8>().prop_map(Step::Vote),
        1 => (1..8_u8).prop_map(Step::Truncate),
        1 => (1..8_u8).prop_map(Step::Purge),
        1 => Just(Step::Reopen),
    ]
}

/// What must be there after a power cut: everything up to the last sync, and nothing that was never written.
#[derive(Default)]
struct Model {
    written: BTreeMap<u64, LogEntry>,
    synced: BTreeMap<u64, LogEntry>,
    vote: Option<u8>,
    purged: u64,
}

impl Model {
    fn sync(&mut self) {
        self.synced = self.written.clone();
    }

    fn check(&self, log: &SegmentedLog, seed: u64) {
        let held = log.read(0..u64::MAX, usize::MAX).unwrap();
        let vote = log.mark(Mark::Vote).map(|vote| vote[0]);
        assert_eq!(vote, self.vote, "seed {seed}: the vote");
        let next = log.span().next;
        let lost: Vec<_> = self.synced.range(log.span().first.max(self.purged + 1)..).collect();
        if let Some((last, _)) = lost.last() {
            assert!(next > **last, "seed {seed}: acknowledged up to {last}, found up to {next}");
        }
        assert!(
            log.span().first <= self.purged + 1 || log.span().is_empty(),
            "seed {seed}: the start is lost"
        );
        for entry in held {
            let known = self.written.get(&entry.index).or_else(|| self.synced.get(&entry.index));
            assert_eq!(known, Some(&entry), "seed {seed}: entry {} was never written so", entry.index);
        }
    }
}

fn run(steps: &[Step], seed: u64) {
    let disk = SimDisk::new();
    let mut log = create(&disk);
    let mut model = Model::default();
    for (salt, step) in (0_u8..).zip(steps) {
        let span = log.span();
        match step {
            Step::Append(count, bytes) => {
                let start = span.next.max(1);
                let batch: Vec<_> =
                    (start..start + u64::from(*count)).map(|n| entry(n, usize::from(*bytes), salt)).collect();
                log.append(&batch).unwrap();
                model.written.extend(batch.into_iter().map(|e| (e.index, e)));
            }
            Step::Sync => {
                log.sync().unwrap();
                log.tidy().unwrap();
                model.sync();
            }
            Step::Vote(vote) => {
                log.save_vote(&[*vote]).unwrap();
                model.vote = Some(*vote);
                model.sync();
            }
            Step::Truncate(back) => {
                let from = span.next.saturating_sub(u64::from(*back)).max(span.first);
                if from < span.next {
                    log.truncate_from(from).unwrap();
                    model.written.split_off(&from);
                    model.sync();
                }
            }
            Step::Purge(ahead) => {
                let upto = (span.first + u64::from(*ahead)).min(span.next.saturating_sub(1));
                if upto >= span.first && !span.is_empty() {
                    log.purge(upto, b"p").unwrap();
                    model.purged = upto;
                }
            }
            Step::Reopen => {
                drop(log);
                log = open(&disk).unwrap();
                model.sync();
            }
        }
    }
    drop(log);
    disk.power_cut(seed);
    let log = open(&disk).unwrap_or_else(|e| panic!("seed {seed}: does not open: {e}"));
    model.check(&log, seed);
    drop(log);
    disk.power_cut(seed + 1);
    let again = open(&disk).unwrap_or_else(|e| panic!("seed {seed}: does not open twice: {e}"));
    model.check(&again, seed);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]
    #[test]
    fn power_cuts_lose_nothing_acknowledged(steps in prop::collection::vec(step(), 1..40), seed in any::<u32>()) {
        run(&steps, u64::from(seed));
    }
}

#[test]
fn a_lying_device_is_noticed_by_this_very_model() {
    // Control: if the same cut loses nothing although syncs do nothing, the tests above prove nothing.
    let mut lost = 0;
    for seed in 0..40 {
        let sim = SimDisk::new();
        let disk = FaultDisk::new(sim.clone());
        let log = SegmentedLog::create(Arc::new(disk.clone()), Path::new(DIR), options()).unwrap();
        disk.faults().skip_sync(true);
        for index in 1..20 {
            log.append(&[entry(index, 300, 0)]).unwrap();
            log.sync().unwrap();
            log.tidy().unwrap();
        }
        drop(log);
        sim.power_cut(seed);
        lost += u32::from(open(&sim).map_or(true, |log| log.span().last() != Some(19)));
    }
    assert!(lost >= 30, "only {lost} of 40 cuts lost data without syncs");
}
