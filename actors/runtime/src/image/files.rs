//! Files and folders of the runtime: replaced whole, listed, removed.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::fail::{OrFail, Outcome};

/// A name that no one else uses in this folder.
pub(crate) fn unique() -> String {
    let mut bytes = [0_u8; 8];
    // An empty pool leaves zeros; the process id and a counter still tell names apart.
    let _ = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
    static COUNT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    let count = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    format!("{}-{count}-{:016x}", std::process::id(), u64::from_ne_bytes(bytes))
}

/// Replaces a file whole: a reader sees the old or the new one, also after a crash.
pub(crate) fn write_atomically(path: &Path, bytes: &[u8]) -> Outcome<()> {
    let scratch = path.with_extension(format!("tmp-{}", unique()));
    let write = || {
        let mut file = File::create(&scratch)?;
        std::io::Write::write_all(&mut file, bytes)?;
        file.sync_all()?;
        fs::rename(&scratch, path)
    };
    write()
        .inspect_err(|_| drop(fs::remove_file(&scratch)))
        .or_fail(|| format!("cannot write {}", path.display()))
}

/// The same error with what was tried in front.
pub(crate) fn prefix(error: trireme_node::RuntimeError, what: &str) -> trireme_node::RuntimeError {
    trireme_node::RuntimeError::new(error.kind, format!("{what}: {}", error.message))
}

/// Entries of a folder, path and name.
pub(crate) fn listing(folder: &Path) -> Vec<(PathBuf, String)> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| (entry.path(), entry.file_name().to_string_lossy().into_owned())).collect()
}

/// Empties a folder of scratch; what is worth resuming stays for a while.
pub(crate) fn clear_folder(folder: &Path) {
    for (path, name) in listing(folder) {
        if !name.starts_with("partial-") || is_stale(&path) {
            clear_and_remove(&path);
        }
    }
}

/// Half-fetched content is worth resuming for a day.
fn is_stale(path: &Path) -> bool {
    const STALE_SECONDS: i64 = 86_400;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now = now.map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX));
    fs::symlink_metadata(path).is_ok_and(|about| about.mtime() + STALE_SECONDS < now)
}

/// Removes a file or a whole folder; what cannot be removed is logged.
pub(crate) fn clear_and_remove(path: &Path) {
    let about = match fs::symlink_metadata(path) {
        Ok(about) => about,
        Err(_) => return,
    };
    let done = if about.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    if let Err(error) = done {
        tracing::warn!(path = %path.display(), %error, "cannot remove");
    }
}
