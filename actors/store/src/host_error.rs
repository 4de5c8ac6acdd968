//! Why a member does not run, and whether that may pass by itself.

use thiserror::Error;
use trireme_raft::OpenError;
use trireme_raft::log_db::LogError;
use trireme_raft::state_db::StateError;
use trireme_raft::store::StoreError;

use crate::member_file::MemberFileError;

/// Why the member does not run.
#[derive(Debug, Error)]
pub(crate) enum HostError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    MemberFile(#[from] MemberFileError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{0}")]
    Lost(String),
    #[error("an opening task ended badly: {0}")]
    Task(String),
}

impl HostError {
    /// Whether it may pass by itself, as a full disk or a former user of the database.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            Self::Open(OpenError::Locked { .. }) => true,
            Self::Open(
                OpenError::Log(LogError::NoSpace { .. }) | OpenError::State(StateError::NoSpace { .. }),
            ) => true,
            Self::Open(OpenError::Io { source, .. } | OpenError::Log(LogError::Io { source, .. }))
            | Self::MemberFile(MemberFileError::Io { source, .. }) => {
                source.kind() == std::io::ErrorKind::StorageFull
            }
            _ => false,
        }
    }
}
