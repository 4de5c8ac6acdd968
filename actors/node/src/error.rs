//! [`RuntimeError`]: why a runtime or a network could not do what was asked.

use thiserror::Error;

/// What kind of failure it is: what a caller may do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuntimeErrorKind {
    /// There is no such sandbox, container or image.
    NotFound,
    /// It exists already.
    AlreadyExists,
    /// What was asked makes no sense, and will not tomorrow either.
    Invalid,
    /// The image is not here and could not be fetched (no such tag, no such registry).
    ImageUnavailable,
    /// The registry wants other credentials.
    Unauthorized,
    /// The program could not be started (command not found, permission denied); becomes `RunContainerError`.
    CannotStart,
    /// The machine misses a privilege or a kernel feature, named in the text.
    Unsupported,
    /// Disk, memory or process numbers are used up.
    Exhausted,
    /// It did not finish in its time.
    DeadlineExceeded,
    /// Everything else; trying again may help.
    Unavailable,
}

/// A refusal or failure. The text says what happened, where, and what to do next.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{message}")]
pub struct RuntimeError {
    /// Kind.
    pub kind: RuntimeErrorKind,
    /// Text for people; it reaches pod statuses and events.
    pub message: String,
}

impl RuntimeError {
    /// An error of a kind.
    pub fn new(kind: RuntimeErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// Whether the same request may succeed later.
    pub fn is_retryable(&self) -> bool {
        !matches!(
            self.kind,
            RuntimeErrorKind::Invalid | RuntimeErrorKind::Unsupported | RuntimeErrorKind::AlreadyExists
        )
    }
}
