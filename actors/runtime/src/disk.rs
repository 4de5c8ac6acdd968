//! What folders use on disk.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Entries looked at per folder tree; above it the sum is a lower bound.
const WALK_LIMIT_ENTRIES: u64 = 2_000_000;

/// Use of a folder tree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// Bytes in blocks.
    pub(crate) bytes: u64,
    /// Files, folders and the like.
    pub(crate) inodes: u64,
}

/// Adds up a tree; hard links count once. What vanishes meanwhile does not count.
pub(crate) fn usage(root: &Path) -> Usage {
    let mut total = Usage::default();
    let mut linked = BTreeSet::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let Ok(about) = entry.metadata() else { continue };
            if about.nlink() > 1 && !about.is_dir() && !linked.insert((about.dev(), about.ino())) {
                continue;
            }
            total.bytes += about.blocks() * 512;
            total.inodes += 1;
            if total.inodes >= WALK_LIMIT_ENTRIES {
                return total;
            }
            if about.is_dir() {
                folders.push(entry.path());
            }
        }
    }
    total
}
