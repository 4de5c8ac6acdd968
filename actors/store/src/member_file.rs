//! [`MemberFile`]: which member this machine is, kept outside of the database's folder.
//!
//! It tells a server that never had a database from one that lost it: the latter must not quietly begin anew under
//! its old id, because the cluster counts on what it has acknowledged.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;
use trireme_process::{random_u64, write_whole};

/// What the file says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MemberFile {
    /// The member's id in the cluster.
    pub(crate) member: u64,
    /// It makes a new cluster instead of joining one.
    pub(crate) founder: bool,
    /// Its database was created; if there is none now, it was lost.
    pub(crate) created: bool,
    /// Why this database must not be served any more, if so: its state was found to differ from the other members'.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) quarantined: Option<String>,
}

/// Why the file cannot be used.
#[derive(Debug, Error)]
pub(crate) enum MemberFileError {
    #[error("{file}: {source}")]
    Io { file: PathBuf, source: std::io::Error },
    #[error(
        "{file} is damaged ({source}): restore it from a backup of the data folder, or join anew with an empty one"
    )]
    Damaged { file: PathBuf, source: serde_json::Error },
}

impl MemberFile {
    /// A new member with an id that nobody has used.
    pub(crate) fn fresh(founder: bool) -> Self {
        Self { member: (random_u64() >> 1).max(1), founder, created: false, quarantined: None }
    }

    /// Reads the file; `None` when there is none.
    pub(crate) fn load(file: &Path) -> Result<Option<Self>, MemberFileError> {
        let text = match std::fs::read(file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(MemberFileError::Io { file: file.to_owned(), source }),
        };
        let parsed = serde_json::from_slice(&text);
        parsed.map(Some).map_err(|source| MemberFileError::Damaged { file: file.to_owned(), source })
    }

    /// Writes the file; it appears whole or not at all.
    pub(crate) fn save(&self, file: &Path) -> Result<(), MemberFileError> {
        let text = serde_json::to_vec_pretty(self).expect("plain fields are always JSON");
        write_whole(file, &text).map_err(|source| MemberFileError::Io { file: file.to_owned(), source })
    }
}
