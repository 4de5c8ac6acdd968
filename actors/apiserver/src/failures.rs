//! From what the store says to what a client is told.

use trireme_schema::status::{Cause, Failure, Status};

use crate::records::RecordsError;

/// Why a write did not come about: an answer for the client, or a reason to try again.
#[derive(Debug)]
pub(crate) enum WriteError {
    /// Tell the client.
    Failed(Failure),
    /// The store.
    Store(RecordsError),
}

impl From<Failure> for WriteError {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<RecordsError> for WriteError {
    fn from(error: RecordsError) -> Self {
        Self::Store(error)
    }
}

impl From<crate::records::RecordError> for WriteError {
    fn from(error: crate::records::RecordError) -> Self {
        Self::Store(error.into())
    }
}

impl WriteError {
    /// The answer when nothing is tried any more.
    pub(crate) fn into_failure(self) -> Failure {
        match self {
            Self::Failed(failure) => failure,
            Self::Store(error) => store_failure(&error),
        }
    }
}

/// The answer for an error of the store.
pub(crate) fn store_failure(error: &RecordsError) -> Failure {
    match error {
        RecordsError::Changed => {
            let mut status =
                Status::plain(409, "the object changed too often while it was written; try again");
            status.reason = "Conflict".to_owned();
            status
        }
        RecordsError::Fenced(why) => {
            let mut status = Status::plain(409, why.clone());
            status.reason = "Conflict".to_owned();
            status
        }
        RecordsError::Compacted { requested, compacted } => Status::expired(format!(
            "The resourceVersion for the provided list is too old: {requested} ({compacted})"
        )),
        RecordsError::Future { requested, current } => future(*requested, *current),
        RecordsError::Unavailable(why) => Status::unavailable(why.clone()),
        RecordsError::Unknown(why) => Status::timeout(why.clone()),
        RecordsError::NoSpace(why) => {
            let mut status = Status::plain(507, why.clone());
            status.reason = "InsufficientStorage".to_owned();
            status
        }
        RecordsError::Refused(why) if why.contains("exceeds the limit") || why.contains("the limit is") => {
            Status::too_large(why)
        }
        RecordsError::Refused(why) => Status::internal(why),
        RecordsError::Damaged(error) => Status::internal(&error.to_string()),
    }
}

/// 504: a resourceVersion that does not exist yet.
pub(crate) fn future(requested: u64, current: u64) -> Failure {
    let mut status = Status::timeout(format!("Too large resource version: {requested}, current: {current}"));
    status.details.retry_after_seconds = 1;
    status.details.causes = vec![Cause {
        reason: "ResourceVersionTooLarge".to_owned(),
        message: "Too large resource version".to_owned(),
        field: String::new(),
    }];
    status
}

/// 500: a resourceVersion that is no number.
pub(crate) fn bad_resource_version(text: &str) -> Failure {
    Status::plain(
        500,
        format!(
            "resourceVersion: Invalid value: {text:?}: strconv.ParseUint: parsing {text:?}: invalid syntax"
        ),
    )
}
