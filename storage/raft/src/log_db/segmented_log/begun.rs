//! [`Begun`]: how a segment file comes into being, so that a power cut never leaves half of one under its name.

use std::path::Path;
use std::sync::Arc;

use super::names::{segment_path, temporary_path};
use super::to_u32;
use crate::disk::{Disk, DiskFile};
use crate::log_db::LogError;
use crate::log_db::record::{Kind, Place, encode};
use crate::log_db::segment::LogTable;

/// A new segment file under its temporary name.
pub(super) struct Begun {
    pub(super) file: Arc<dyn DiskFile>,
    pub(super) segment: u64,
    pub(super) base: u64,
    pub(super) size: u32,
    pub(super) end: u32,
    pub(super) prev: u32,
}

impl Begun {
    /// Allocates the file and writes its checkpoint, synced, under a temporary name.
    pub(super) fn prepare(
        disk: &dyn Disk,
        dir: &Path,
        segment: u64,
        table: &LogTable,
        size: u32,
    ) -> Result<Self, LogError> {
        let path = temporary_path(dir);
        let base = table.span().next;
        let mut head = Vec::new();
        let place = Place { segment, prev: 0, synced: 0 };
        let prev = encode(&mut head, place, Kind::Checkpoint, base, &table.encode_checkpoint());
        let made = (|| {
            if disk.exists(&path)? {
                disk.remove(&path)?;
            }
            let file: Arc<dyn DiskFile> = disk.open(&path, true)?.into();
            file.allocate(u64::from(size))?;
            file.write_all_at(&head, 0)?;
            file.sync_all()?;
            Ok(file)
        })();
        let file = made.map_err(|e| {
            let error = LogError::io("creating a segment", &path, e);
            if disk.remove(&path).is_err() {
                tracing::debug!(path = %path.display(), "the unfinished segment stays until the next one");
            }
            error
        })?;
        Ok(Self { file, segment, base, size, end: to_u32(head.len()), prev })
    }

    /// Gives the file its final name, durably.
    pub(super) fn publish(&self, disk: &dyn Disk, dir: &Path) -> Result<(), LogError> {
        let path = segment_path(dir, self.segment);
        disk.rename(&temporary_path(dir), &path).map_err(|e| LogError::io("naming", &path, e))?;
        disk.sync_dir(dir).map_err(|e| LogError::io("syncing the directory of", &path, e))
    }
}
