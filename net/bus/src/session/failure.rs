//! Why a call over a session has no answer, before it is told in the kernel's words.

use std::time::Duration;
use trireme_kernel::{ActorPath, CallError};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The peer answered with an error.
    Remote(CallError),
    /// No answer in time.
    Deadline,
    /// Certainly not sent.
    Unsent(&'static str),
    /// Sent, and the connection ended before the answer.
    Lost(&'static str),
    /// Our queue or table stayed full until the deadline; not sent.
    Full,
    /// The body or the answer does not fit its class.
    TooLarge { bytes: usize, limit_bytes: usize },
    /// The answer cannot be understood.
    Malformed(String),
}

impl Failure {
    pub(crate) fn into_call_error(self, path: &ActorPath, waited: Duration) -> CallError {
        let path = path.clone();
        match self {
            Self::Remote(error) => error,
            Self::Deadline => CallError::DeadlineExceeded { path, waited },
            Self::Unsent(reason) => CallError::Unreachable { path, reason: reason.to_owned() },
            Self::Lost(reason) => CallError::UnknownOutcome { path, reason: reason.to_owned() },
            Self::Full => {
                CallError::Unreachable { path, reason: "the queue to the peer stayed full".to_owned() }
            }
            Self::TooLarge { bytes, limit_bytes } => CallError::Malformed {
                path,
                reason: format!(
                    "{bytes} bytes are above the class's limit of {limit_bytes}; use class bulk or parts"
                ),
            },
            Self::Malformed(reason) => CallError::Malformed { path, reason },
        }
    }
}
