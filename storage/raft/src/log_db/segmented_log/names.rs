//! The names of a log's files.

use std::path::{Path, PathBuf};

pub(super) fn sentinel_path(dir: &Path) -> PathBuf {
    dir.join("sentinel")
}

pub(super) fn temporary_path(dir: &Path) -> PathBuf {
    dir.join("next.tmp")
}

pub(super) fn segment_path(dir: &Path, number: u64) -> PathBuf {
    dir.join(segment_name(number))
}

pub(super) fn segment_name(number: u64) -> String {
    format!("log-{number:016x}.seg")
}

pub(super) fn segment_number(path: &Path) -> Option<u64> {
    let name = path.file_name()?.to_str()?;
    u64::from_str_radix(name.strip_prefix("log-")?.strip_suffix(".seg")?, 16).ok()
}
