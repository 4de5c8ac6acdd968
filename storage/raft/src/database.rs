//! [`Database`]: the data directory of one member, as a whole.
//!
//! ```text
//! DIR/identity     whose data this is; written last at creation, so a directory without it was never used
//! DIR/lock         held while a process uses the directory
//! DIR/reserve      room that is given up on a full disk
//! DIR/log/         the Raft log, vote and sentinel
//! DIR/state/       the applied state
//! DIR/snapshot/    the newest snapshot
//! DIR/creating     only while creation is under way
//! ```
//!
//! Creating and opening are different acts: a member that finds its directory empty does not quietly start anew.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;

use crate::disk::{Disk, DiskLock, Reserve};
use crate::identity::{ClusterId, DatabaseId, Identity, IdentityError, LogKind, MemberId};
use crate::log_db::{LogDb, LogError, SegmentedLog, SegmentedOptions, SledLog};
use crate::state_db::{SledState, StateDb, StateError};

/// The files of one member, open and checked.
pub struct Database {
    /// Whose they are.
    pub identity: Identity,
    /// The Raft log.
    pub log: Arc<dyn LogDb>,
    /// The applied state. Empty when it had to be wiped: rebuild it.
    pub state: Arc<dyn StateDb>,
    /// The room set aside.
    pub reserve: Arc<Reserve>,
    /// The seam to the file system.
    pub disk: Arc<dyn Disk>,
    /// The data directory.
    pub dir: PathBuf,
    /// Keeps other processes out while the database is open.
    pub lock: Box<dyn DiskLock>,
}

/// Why a database could not be created or opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// Whose directory it is.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The Raft log.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The applied state, and wiping did not help.
    #[error(transparent)]
    State(#[from] StateError),
    /// Another process has it.
    #[error("{dir} is in use by another process: stop that one first")]
    Locked {
        /// The data directory.
        dir: PathBuf,
    },
    /// The file system failed.
    #[error("{what} in {dir} failed: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// The data directory.
        dir: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl Database {
    /// Creates the database of a member in an empty (or absent) directory, durably.
    pub fn create(disk: Arc<dyn Disk>, dir: &Path, identity: Identity) -> Result<Self, OpenError> {
        let fail = |what| move |source| OpenError::Io { what, dir: dir.to_owned(), source };
        disk.create_dir_all(dir).map_err(fail("creating"))?;
        let lock = take_lock(disk.as_ref(), dir)?;
        if let Some(found) = Identity::read(disk.as_ref(), dir)? {
            let (cluster, member) = (found.cluster, found.member);
            return Err(IdentityError::Exists { dir: dir.to_owned(), cluster, member }.into());
        }
        begin_creation(disk.as_ref(), dir)?;
        let log = create_log(disk.clone(), dir, identity.log)?;
        let state = open_state(&disk, dir)?;
        let reserve = Reserve::open(disk.clone(), dir).map_err(fail("setting room aside"))?;
        identity.write(disk.as_ref(), dir)?;
        disk.remove(&dir.join("creating")).map_err(fail("finishing creation"))?;
        if let Some(parent) = dir.parent() {
            disk.sync_dir(parent).map_err(fail("syncing the parent directory"))?;
        }
        let (reserve, dir) = (Arc::new(reserve), dir.to_owned());
        Ok(Self { identity, log, state, reserve, disk, dir, lock })
    }

    /// Opens the database of `member` of `cluster`; everything is checked before this returns.
    pub fn open(
        disk: Arc<dyn Disk>,
        dir: &Path,
        cluster: ClusterId,
        member: MemberId,
    ) -> Result<Self, OpenError> {
        let fail = |what| move |source| OpenError::Io { what, dir: dir.to_owned(), source };
        if !disk.exists(dir).map_err(fail("looking"))? {
            return Err(IdentityError::Absent { dir: dir.to_owned() }.into());
        }
        let lock = take_lock(disk.as_ref(), dir)?;
        let Some(identity) = Identity::read(disk.as_ref(), dir)? else {
            return Err(match strangers(disk.as_ref(), dir).map_err(fail("listing"))? {
                None => IdentityError::Absent { dir: dir.to_owned() },
                Some(why) => IdentityError::Unreadable { dir: dir.to_owned(), why },
            }
            .into());
        };
        identity.check(dir, cluster, member)?;
        let log: Arc<dyn LogDb> = match identity.log {
            LogKind::Segmented => {
                Arc::new(SegmentedLog::open(disk.clone(), &dir.join("log"), SegmentedOptions::default())?)
            }
            LogKind::Sled => Arc::new(SledLog::open(disk.clone(), &dir.join("log"))?),
        };
        let state = open_state(&disk, dir)?;
        let reserve = Arc::new(Reserve::open(disk.clone(), dir).map_err(fail("setting room aside"))?);
        Ok(Self { identity, log, state, reserve, disk, dir: dir.to_owned(), lock })
    }

    /// An identity for a new member, with a database id drawn from the operating system.
    pub fn new_identity(cluster: ClusterId, member: MemberId, log: LogKind) -> io::Result<Identity> {
        let mut id = [0; 16];
        let mut source = std::fs::File::open("/dev/urandom")?;
        io::Read::read_exact(&mut source, &mut id)?;
        Ok(Identity { cluster, member, database: DatabaseId(u128::from_le_bytes(id)), log })
    }
}

fn take_lock(disk: &dyn Disk, dir: &Path) -> Result<Box<dyn DiskLock>, OpenError> {
    disk.lock(&dir.join("lock")).map_err(|source| {
        if source.kind() == io::ErrorKind::WouldBlock {
            return OpenError::Locked { dir: dir.to_owned() };
        }
        OpenError::Io { what: "locking", dir: dir.to_owned(), source }
    })
}

/// What lies in a directory without identity, if it is not just the start of one.
fn strangers(disk: &dyn Disk, dir: &Path) -> io::Result<Option<String>> {
    let files = disk.list(dir)?;
    if disk.exists(&dir.join("creating"))? {
        return Ok(None);
    }
    let own = ["lock", "reserve", "identity.tmp"];
    let names = files.iter().filter_map(|path| path.file_name()).filter_map(|name| name.to_str());
    let found: Vec<&str> = names.filter(|name| !own.contains(name)).collect();
    Ok((!found.is_empty()).then(|| format!("found {} and no identity", found.join(", "))))
}

/// Marks that creation is under way and clears what an interrupted one left; refuses foreign files.
fn begin_creation(disk: &dyn Disk, dir: &Path) -> Result<(), OpenError> {
    let fail = |what| move |source| OpenError::Io { what, dir: dir.to_owned(), source };
    if let Some(why) = strangers(disk, dir).map_err(fail("listing"))? {
        return Err(IdentityError::Unreadable { dir: dir.to_owned(), why }.into());
    }
    let marker = disk.open(&dir.join("creating"), true).map_err(fail("beginning creation"))?;
    marker.sync_all().map_err(fail("beginning creation"))?;
    disk.sync_dir(dir).map_err(fail("beginning creation"))?;
    for left in ["log", "state", "snapshot"] {
        disk.remove_dir_all(&dir.join(left)).map_err(fail("clearing an interrupted creation"))?;
    }
    Ok(())
}

fn create_log(disk: Arc<dyn Disk>, dir: &Path, kind: LogKind) -> Result<Arc<dyn LogDb>, OpenError> {
    let dir = dir.join("log");
    Ok(match kind {
        LogKind::Segmented => Arc::new(SegmentedLog::create(disk, &dir, SegmentedOptions::default())?),
        LogKind::Sled => Arc::new(SledLog::create(disk, &dir)?),
    })
}

/// Opens the applied state; one that cannot be used is wiped, since it is rebuilt from the snapshot and the log.
fn open_state(disk: &Arc<dyn Disk>, dir: &Path) -> Result<Arc<dyn StateDb>, OpenError> {
    let dir = dir.join("state");
    match SledState::open(disk.clone(), &dir) {
        Ok(state) => Ok(Arc::new(state)),
        Err(error) => {
            tracing::warn!(%error, "wiping the applied state");
            SledState::wipe(disk.as_ref(), &dir)?;
            Ok(Arc::new(SledState::open(disk.clone(), &dir)?))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::RealDisk;
    use crate::log_db::LogEntry;

    const CLUSTER: ClusterId = ClusterId(11);

    fn create(dir: &Path, member: MemberId) -> Result<Database, OpenError> {
        let identity = Database::new_identity(CLUSTER, member, LogKind::Segmented).unwrap();
        Database::create(Arc::new(RealDisk), dir, identity)
    }

    fn open(dir: &Path, cluster: ClusterId, member: MemberId) -> Result<Database, OpenError> {
        Database::open(Arc::new(RealDisk), dir, cluster, member)
    }

    fn refused(result: Result<Database, OpenError>) -> IdentityError {
        match result.map(|_| ()) {
            Err(OpenError::Identity(error)) => error,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_database_opens_for_its_own_member_only() {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("m1");
        assert!(matches!(refused(open(&dir, CLUSTER, 1)), IdentityError::Absent { .. }));
        let made = create(&dir, 1).unwrap();
        made.log.append(&[LogEntry { index: 1, payload: vec![1].into() }]).unwrap();
        made.log.sync().unwrap();
        assert!(matches!(open(&dir, CLUSTER, 1).map(|_| ()), Err(OpenError::Locked { .. })));
        let database = made.identity.database;
        drop(made);
        let opened = open(&dir, CLUSTER, 1).unwrap();
        assert_eq!((opened.identity.database, opened.log.span().last()), (database, Some(1)));
        drop(opened);
        assert!(matches!(refused(open(&dir, ClusterId(12), 1)), IdentityError::OtherCluster { .. }));
        assert!(matches!(refused(open(&dir, CLUSTER, 2)), IdentityError::OtherMember { .. }));
        assert!(matches!(refused(create(&dir, 1)), IdentityError::Exists { .. }));
    }

    #[test]
    fn a_lost_identity_or_log_is_never_replaced_by_an_empty_one() {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("m1");
        drop(create(&dir, 1).unwrap());
        std::fs::remove_file(dir.join("identity")).unwrap();
        assert!(matches!(refused(open(&dir, CLUSTER, 1)), IdentityError::Unreadable { .. }));
        assert!(matches!(refused(create(&dir, 1)), IdentityError::Unreadable { .. }));

        let dir = home.path().join("m2");
        drop(create(&dir, 2).unwrap());
        std::fs::remove_dir_all(dir.join("log")).unwrap();
        assert!(matches!(open(&dir, CLUSTER, 2).map(|_| ()), Err(OpenError::Log(_))));

        let dir = home.path().join("m3");
        drop(create(&dir, 3).unwrap());
        std::fs::remove_dir_all(&dir).unwrap();
        std::fs::create_dir(&dir).unwrap();
        let refused = refused(open(&dir, CLUSTER, 3));
        assert!(matches!(refused, IdentityError::Absent { .. }));
        assert!(refused.to_string().contains("must not come back under its old id"));
    }

    #[test]
    fn an_interrupted_creation_starts_over() {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("m1");
        drop(create(&dir, 1).unwrap());
        std::fs::remove_file(dir.join("identity")).unwrap();
        std::fs::write(dir.join("creating"), "").unwrap();
        drop(create(&dir, 1).unwrap());
        drop(open(&dir, CLUSTER, 1).unwrap());
    }

    #[test]
    fn an_unusable_state_is_wiped_the_log_stays() {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("m1");
        drop(create(&dir, 1).unwrap());
        std::fs::write(dir.join("state/db"), vec![0xa5; 100_000]).unwrap();
        let opened = open(&dir, CLUSTER, 1).unwrap();
        assert!(opened.state.applied().is_none());
    }
}
