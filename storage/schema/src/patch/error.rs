//! [`PatchError`]: why a patch cannot be applied.

use thiserror::Error;

use crate::status::{Failure, Status};

/// Why a patch cannot be applied. None is retryable with the same body against the same object.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PatchError {
    /// The patch is malformed (400).
    #[error("{0}")]
    Malformed(String),
    /// The patch is too long (413).
    #[error("{0}")]
    TooLarge(String),
    /// An operation failed on this object (422); upstream keeps the reason to itself.
    #[error("{0}")]
    Rejected(String),
    /// Upstream answers 500 with this text.
    #[error("{0}")]
    Unexpected(String),
}

impl PatchError {
    /// The answer upstream gives.
    pub fn to_status(&self) -> Failure {
        match self {
            PatchError::Malformed(message) => Status::bad_request(message.clone()),
            PatchError::TooLarge(message) => Status::too_large(message),
            PatchError::Rejected(_) => {
                let mut status =
                    Status::plain(422, "the server rejected our request due to an error in our request");
                status.reason = "Invalid".to_owned();
                status.force_details = true;
                status
            }
            PatchError::Unexpected(message) => Status::plain(500, message.clone()),
        }
    }
}
