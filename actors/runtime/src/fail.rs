//! Turning failures of the system into [`RuntimeError`]: what was tried and where goes in front, the kind is read off
//! the error number.

use std::io;

use rustix::io::Errno;
use trireme_node::{RuntimeError, RuntimeErrorKind};

/// Short for a result of this crate.
pub(crate) type Outcome<T> = Result<T, RuntimeError>;

/// Adds what was tried to an error of the system.
pub(crate) trait OrFail<T> {
    /// `what` reads as "cannot ...".
    fn or_fail(self, what: impl FnOnce() -> String) -> Outcome<T>;
}

impl<T> OrFail<T> for io::Result<T> {
    fn or_fail(self, what: impl FnOnce() -> String) -> Outcome<T> {
        self.map_err(|error| {
            let kind = error.raw_os_error().map_or_else(|| kind_of_io(error.kind()), kind_of_errno);
            RuntimeError::new(kind, format!("{}: {error}", what()))
        })
    }
}

impl<T> OrFail<T> for Result<T, Errno> {
    fn or_fail(self, what: impl FnOnce() -> String) -> Outcome<T> {
        self.map_err(io::Error::from).or_fail(what)
    }
}

impl<T> OrFail<T> for Result<T, serde_json::Error> {
    fn or_fail(self, what: impl FnOnce() -> String) -> Outcome<T> {
        self.map_err(|error| RuntimeError::new(RuntimeErrorKind::Invalid, format!("{}: {error}", what())))
    }
}

/// An error that asking again does not mend.
pub(crate) fn invalid(message: impl Into<String>) -> RuntimeError {
    RuntimeError::new(RuntimeErrorKind::Invalid, message)
}

/// There is no such thing.
pub(crate) fn not_found(message: impl Into<String>) -> RuntimeError {
    RuntimeError::new(RuntimeErrorKind::NotFound, message)
}

/// Trying again may help.
pub(crate) fn unavailable(message: impl Into<String>) -> RuntimeError {
    RuntimeError::new(RuntimeErrorKind::Unavailable, message)
}

/// The machine or this build cannot do it.
pub(crate) fn unsupported(message: impl Into<String>) -> RuntimeError {
    RuntimeError::new(RuntimeErrorKind::Unsupported, message)
}

fn kind_of_io(kind: io::ErrorKind) -> RuntimeErrorKind {
    match kind {
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::UnexpectedEof => {
            RuntimeErrorKind::Invalid
        }
        io::ErrorKind::TimedOut => RuntimeErrorKind::DeadlineExceeded,
        _ => RuntimeErrorKind::Unavailable,
    }
}

fn kind_of_errno(number: i32) -> RuntimeErrorKind {
    match number {
        libc::ENOSPC | libc::EDQUOT | libc::ENOMEM | libc::EMFILE | libc::ENFILE => {
            RuntimeErrorKind::Exhausted
        }
        libc::EPERM | libc::ENOSYS | libc::EOPNOTSUPP => RuntimeErrorKind::Unsupported,
        libc::ETIMEDOUT => RuntimeErrorKind::DeadlineExceeded,
        _ => RuntimeErrorKind::Unavailable,
    }
}
