//! Tearing what a dead process had written to its log and not synced, as a power cut may.
//!
//! The page cache outlives a killed process, so everything that it wrote is there. What was synced is what the sentinel
//! says, and is left alone: it may have been acknowledged. What stands behind it is cut off somewhere, or replaced by
//! noise from there on; where nothing stands, the beginning of a record that never got further is put there.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use trireme_core::Rng;
use trireme_raft::disk::RealDisk;
use trireme_raft::{Sentinel, SentinelSync};

/// Most bytes of noise behind the synced end.
const NOISE_BYTES: u64 = 4_096;

/// What was done to the log.
pub(crate) struct Torn {
    synced: u64,
    from: u64,
    bytes: u64,
    noise: bool,
}

impl fmt::Display for Torn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { synced, from, bytes, noise } = self;
        let how = if *noise { "turned into noise" } else { "cut off" };
        write!(f, "synced to byte {synced} of its last segment; {bytes} bytes from {from} on {how}")
    }
}

/// Tears the log in this folder. The process that wrote it must be dead.
pub(super) fn tear(log: &Path, rng: &mut Rng) -> io::Result<Torn> {
    let sentinel = Sentinel::open(&RealDisk, &log.join("sentinel"), SentinelSync::Always);
    let position = sentinel.map_err(io::Error::other)?.position();
    let segment = log.join(format!("log-{:016x}.seg", position.major));
    let file = File::options().read(true).write(true).open(&segment)?;
    let size = file.metadata()?.len();
    let synced = position.minor.min(size);
    let mut tail = vec![0; usize::try_from(size - synced).map_err(io::Error::other)?];
    file.read_exact_at(&mut tail, synced)?;
    let dirty = tail.iter().rposition(|byte| *byte != 0).map_or(0, |last| last as u64 + 1);
    let (from, bytes, noise) = match dirty {
        0 => (synced, rng.between(1, NOISE_BYTES).min(size - synced), true),
        dirty => {
            let kept = rng.below(dirty);
            (synced + kept, dirty - kept, rng.chance(1, 2))
        }
    };
    let torn: Vec<u8> = (0..bytes).map(|_| if noise { rng.next_u64().to_le_bytes()[0] } else { 0 }).collect();
    file.write_all_at(&torn, from)?;
    file.sync_all()?;
    Ok(Torn { synced, from, bytes, noise })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use trireme_raft::log_db::{LogDb, LogEntry, SegmentedLog, SegmentedOptions};

    use super::*;

    /// Entries that were synced are there after any tear, and nothing that was not is refused.
    #[test]
    fn what_was_synced_survives_and_the_log_opens() {
        let options = SegmentedOptions { segment_bytes: 64 * 1024, ..SegmentedOptions::default() };
        let mut seen = [false; 2];
        for seed in 0..24 {
            let folder = tempfile::tempdir().unwrap();
            let mut rng = Rng::new(seed);
            let disk = Arc::new(RealDisk);
            let log = SegmentedLog::create(disk.clone(), folder.path(), options).unwrap();
            let entry = |index: u64| LogEntry { index, payload: Bytes::from(vec![7; 300]) };
            let synced = rng.between(1, 20);
            log.append(&(0..synced).map(entry).collect::<Vec<_>>()).unwrap();
            log.sync().unwrap();
            let further = rng.below(5);
            if further > 0 {
                log.append(&(synced..synced + further).map(entry).collect::<Vec<_>>()).unwrap();
            }
            drop(log);
            let torn = tear(folder.path(), &mut rng).unwrap();
            seen[usize::from(torn.noise)] = true;
            let log = SegmentedLog::open(disk, folder.path(), options);
            let log = log.unwrap_or_else(|error| panic!("seed {seed}: {torn}: {error}"));
            let next = log.span().next;
            assert!((synced..=synced + further).contains(&next), "seed {seed}: {torn}: {next}");
        }
        assert_eq!(seen, [true; 2], "both kinds of tear");
    }
}
