//! The layout of a machine's data folder, and the lock that keeps a second process out of it.
//!
//! ```text
//! DIR/lock            held while a process runs on this folder
//! DIR/machine.json    who this machine is and where it listens
//! DIR/pki/            the cluster's CA and this machine's key and certificate
//! DIR/ledger.json     members, tokens, revocations
//! DIR/store/          a server's copy of the replicated store
//! DIR/store.json      which member of the replicated store this server is
//! DIR/admin/          how an administrator reaches the cluster
//! ```

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use rustix::fs::{FlockOperation, flock};

/// Where state goes when nobody says otherwise: `/var/lib/trireme` for root, the user's own data folder for others.
pub(crate) fn default_root() -> PathBuf {
    if rustix::process::geteuid().is_root() {
        return PathBuf::from("/var/lib/trireme");
    }
    let base = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/share"));
    base.or_else(home).unwrap_or_else(std::env::temp_dir).join("trireme")
}

/// A machine's data folder, locked for this process.
#[derive(Debug)]
pub(crate) struct DataDir {
    root: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Makes the folder when it is not there (mode 0700) and takes its lock.
    ///
    /// # Errors
    /// The folder cannot be made or written, or another process runs on it.
    pub(crate) fn open(root: &Path) -> anyhow::Result<Self> {
        create(root)?;
        let path = root.join("lock");
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path)
            .with_context(|| format!("cannot write to the data folder {}", root.display()))?;
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            bail!(
                "the data folder {} is in use by another trireme process; stop that one or give this one its own --data-dir",
                root.display()
            );
        }
        Ok(Self { root: root.to_owned(), _lock: lock })
    }

    /// Keys and certificates.
    pub(crate) fn pki(&self) -> PathBuf {
        self.root.join("pki")
    }

    /// Members, tokens and revocations.
    pub(crate) fn ledger(&self) -> PathBuf {
        self.root.join("ledger.json")
    }

    /// Who this machine is.
    pub(crate) fn machine(&self) -> PathBuf {
        self.root.join("machine.json")
    }

    /// The replicated store.
    pub(crate) fn store(&self) -> PathBuf {
        self.root.join("store")
    }

    /// Which member this is.
    pub(crate) fn store_member(&self) -> PathBuf {
        self.root.join("store.json")
    }

    /// How an administrator reaches the cluster.
    pub(crate) fn admin(&self) -> PathBuf {
        admin_folder(&self.root)
    }
}

/// The administrator's folder in a data folder.
pub(crate) fn admin_folder(root: &Path) -> PathBuf {
    root.join("admin")
}

/// Makes a folder that only its owner can enter.
///
/// # Errors
/// Says which folder could not be made.
pub(crate) fn create(path: &Path) -> anyhow::Result<()> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .with_context(|| format!("cannot make the data folder {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_process_is_kept_out() {
        let folder = tempfile::tempdir().unwrap();
        let held = DataDir::open(folder.path()).unwrap();
        let refused = DataDir::open(folder.path()).unwrap_err().to_string();
        assert!(refused.contains("in use by another trireme process"), "{refused}");
        drop(held);
        DataDir::open(folder.path()).unwrap();
    }
}
