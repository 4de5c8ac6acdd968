//! [`Identity`]: whose data a directory holds, in a small text file that people can read.
//!
//! ```text
//! trireme-raft 1
//! cluster 4f0c...   (32 hex digits)
//! member 3
//! database 91ab...  (32 hex digits, new with each creation)
//! log segmented
//! crc 7f001122
//! ```
//!
//! The database id tells an emptied and re-created directory from the one that the cluster knows: members name the
//! database they want to talk to.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::disk::{Disk, read_to_limit};

/// The format that this version writes and the only one it reads.
pub const FORMAT_VERSION: u32 = 1;
/// Largest identity file in bytes.
const FILE_LIMIT_BYTES: usize = 4096;

/// A member of the Raft cluster.
pub type MemberId = u64;

/// Names one cluster for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ClusterId(pub u128);

/// Names one creation of a member's database. Never used twice; the creator draws it at random.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct DatabaseId(pub u128);

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Display for DatabaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// Which log implementation a directory uses; chosen at creation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogKind {
    /// Append-only segment files.
    #[default]
    Segmented,
    /// sled.
    Sled,
}

impl fmt::Display for LogKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Segmented => "segmented",
            Self::Sled => "sled",
        })
    }
}

/// What the identity file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// The cluster this member belongs to.
    pub cluster: ClusterId,
    /// The member.
    pub member: MemberId,
    /// This creation of its database.
    pub database: DatabaseId,
    /// The log implementation.
    pub log: LogKind,
}

/// Why a directory is not accepted. None of these heals by retrying.
#[derive(Debug, Error)]
pub enum IdentityError {
    /// The directory holds no database.
    #[error(
        "{dir} holds no database. If this member ran before, its data is lost and it must not come back under its \
         old id: remove it from the cluster and add it again under a new id. If it is new, create it"
    )]
    Absent {
        /// The data directory.
        dir: PathBuf,
    },
    /// The directory holds files but nothing says whose.
    #[error(
        "{dir} holds files but no readable identity ({why}): restore the file 'identity', or move the directory \
         away and add this member again under a new id"
    )]
    Unreadable {
        /// The data directory.
        dir: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Written by a newer version.
    #[error(
        "{dir} has format {found}, this version reads {known}: start the version that wrote it, or a newer one"
    )]
    Future {
        /// The data directory.
        dir: PathBuf,
        /// The format found.
        found: u32,
        /// The format known.
        known: u32,
    },
    /// Data of another cluster.
    #[error("{dir} belongs to cluster {found}, not to {wanted}: check the data directory of this member")]
    OtherCluster {
        /// The data directory.
        dir: PathBuf,
        /// The cluster found.
        found: ClusterId,
        /// The cluster wanted.
        wanted: ClusterId,
    },
    /// Data of another member.
    #[error("{dir} belongs to member {found}, not to {wanted}: check the data directory of this member")]
    OtherMember {
        /// The data directory.
        dir: PathBuf,
        /// The member found.
        found: MemberId,
        /// The member wanted.
        wanted: MemberId,
    },
    /// Creation over existing data.
    #[error(
        "{dir} already holds the database of member {member} of cluster {cluster}: open it, or choose another"
    )]
    Exists {
        /// The data directory.
        dir: PathBuf,
        /// Whose it is.
        cluster: ClusterId,
        /// Whose it is.
        member: MemberId,
    },
    /// The file system failed.
    #[error("{what} of {path} failed: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl Identity {
    /// Reads the identity of `dir`; `None` when there is no such file.
    pub fn read(disk: &dyn Disk, dir: &Path) -> Result<Option<Self>, IdentityError> {
        let path = dir.join("identity");
        let fail = |what| move |source| IdentityError::Io { what, path: dir.join("identity"), source };
        if !disk.exists(&path).map_err(fail("looking for"))? {
            return Ok(None);
        }
        let file = disk.open(&path, false).map_err(fail("opening"))?;
        let text = read_to_limit(file.as_ref(), FILE_LIMIT_BYTES).map_err(fail("reading"))?;
        parse(dir, &String::from_utf8_lossy(&text)).map(Some)
    }

    /// Writes the file durably; it appears whole or not at all.
    pub fn write(&self, disk: &dyn Disk, dir: &Path) -> Result<(), IdentityError> {
        let (path, temporary) = (dir.join("identity"), dir.join("identity.tmp"));
        let written = (|| {
            let file = disk.open(&temporary, true)?;
            file.set_size(0)?;
            file.write_all_at(self.render().as_bytes(), 0)?;
            file.sync_all()?;
            disk.rename(&temporary, &path)?;
            disk.sync_dir(dir)
        })();
        written.map_err(|source| IdentityError::Io { what: "writing", path, source })
    }

    /// Refuses a directory of another cluster or member.
    pub fn check(&self, dir: &Path, cluster: ClusterId, member: MemberId) -> Result<(), IdentityError> {
        let dir = dir.to_owned();
        if self.cluster != cluster {
            return Err(IdentityError::OtherCluster { dir, found: self.cluster, wanted: cluster });
        }
        if self.member != member {
            return Err(IdentityError::OtherMember { dir, found: self.member, wanted: member });
        }
        Ok(())
    }

    fn render(&self) -> String {
        let body = format!(
            "trireme-raft {FORMAT_VERSION}\ncluster {}\nmember {}\ndatabase {}\nlog {}\n",
            self.cluster, self.member, self.database, self.log
        );
        format!("{body}crc {:08x}\n", crc32c::crc32c(body.as_bytes()))
    }
}

fn parse(dir: &Path, text: &str) -> Result<Identity, IdentityError> {
    let unreadable = |why: &str| IdentityError::Unreadable { dir: dir.to_owned(), why: why.to_owned() };
    // The version comes first: a newer format may have other lines.
    let found: u32 = field(text, "trireme-raft").ok_or_else(|| unreadable("it does not say its format"))?;
    if found > FORMAT_VERSION {
        return Err(IdentityError::Future { dir: dir.to_owned(), found, known: FORMAT_VERSION });
    }
    let at = text.rfind("crc ").ok_or_else(|| unreadable("it has no checksum"))?;
    let (body, crc) = text.split_at(at);
    if crc.trim_end() != format!("crc {:08x}", crc32c::crc32c(body.as_bytes())) {
        return Err(unreadable("its checksum does not match"));
    }
    let hex =
        |name: &str| field::<String>(body, name).and_then(|value| u128::from_str_radix(&value, 16).ok());
    let log = match field::<String>(body, "log").as_deref() {
        Some("segmented") => LogKind::Segmented,
        Some("sled") => LogKind::Sled,
        _ => return Err(unreadable("it names an unknown kind of log")),
    };
    Ok(Identity {
        cluster: ClusterId(hex("cluster").ok_or_else(|| unreadable("it names no cluster"))?),
        member: field(body, "member").ok_or_else(|| unreadable("it names no member"))?,
        database: DatabaseId(hex("database").ok_or_else(|| unreadable("it names no database"))?),
        log,
    })
}

fn field<T: FromStr>(text: &str, name: &str) -> Option<T> {
    let values = text.lines().filter_map(|line| line.split_once(' '));
    values.filter(|(key, _)| *key == name).find_map(|(_, value)| value.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{DiskFile, SimDisk};

    const ME: Identity =
        Identity { cluster: ClusterId(0xabc), member: 3, database: DatabaseId(7), log: LogKind::Sled };

    fn with(text: &str) -> Result<Option<Identity>, IdentityError> {
        let disk = SimDisk::new();
        let file: Box<dyn DiskFile> = disk.open(Path::new("/d/identity"), true).unwrap();
        file.write_all_at(text.as_bytes(), 0).unwrap();
        Identity::read(&disk, Path::new("/d"))
    }

    #[test]
    fn it_survives_a_power_cut_and_names_its_owner() {
        let (disk, dir) = (SimDisk::new(), Path::new("/d"));
        assert!(Identity::read(&disk, dir).unwrap().is_none());
        ME.write(&disk, dir).unwrap();
        disk.power_cut(1);
        let found = Identity::read(&disk, dir).unwrap().unwrap();
        assert_eq!(found, ME);
        found.check(dir, ClusterId(0xabc), 3).unwrap();
        let refused = found.check(dir, ClusterId(1), 3).unwrap_err();
        assert!(matches!(refused, IdentityError::OtherCluster { .. }));
        assert!(matches!(found.check(dir, ClusterId(0xabc), 4), Err(IdentityError::OtherMember { .. })));
    }

    #[test]
    fn damaged_and_future_files_are_refused() {
        let good = ME.render();
        assert_eq!(with(&good).unwrap(), Some(ME));
        assert!(matches!(with(&good.replace("member 3", "member 4")), Err(IdentityError::Unreadable { .. })));
        assert!(matches!(with(""), Err(IdentityError::Unreadable { .. })));
        assert!(matches!(with(&good[..good.len() - 3]), Err(IdentityError::Unreadable { .. })));
        let future = with("trireme-raft 2\nsomething new\n").unwrap_err();
        assert!(matches!(future, IdentityError::Future { found: 2, known: 1, .. }), "{future}");
        assert!(future.to_string().contains("newer"));
    }
}
