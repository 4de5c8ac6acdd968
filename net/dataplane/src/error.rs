use std::io;

use thiserror::Error;
use trireme_node::{RuntimeError, RuntimeErrorKind};

/// Why the data plane could not do what was asked. Texts name the object and the kernel's own words.
#[derive(Debug, Error)]
pub enum NetError {
    /// The kernel refused one request.
    #[error("{what}: {}{}", io::Error::from_raw_os_error(*errno), explained(*errno, kernel.as_deref()))]
    Refused {
        /// The object and what was to be done with it.
        what: String,
        /// Error number.
        errno: i32,
        /// The kernel's own text, if it gave one.
        kernel: Option<String>,
    },
    /// A system call failed.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: String,
        /// How it failed.
        source: io::Error,
    },
    /// What was asked makes no sense; it will not tomorrow either.
    #[error("{0}")]
    Invalid(String),
    /// All addresses are given out.
    #[error("{0}")]
    Exhausted(String),
    /// The kernel answered something that is no message of this protocol.
    #[error("{what}: the kernel's answer cannot be read")]
    Garbled {
        /// What was asked.
        what: String,
    },
}

impl NetError {
    /// Names what was being done when a system call failed.
    pub fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }

    /// The error number, if the kernel gave one.
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Refused { errno, .. } => Some(*errno),
            Self::Io { source, .. } => source.raw_os_error(),
            Self::Invalid(_) | Self::Exhausted(_) | Self::Garbled { .. } => None,
        }
    }

    /// Whether the object was not there (`ENOENT`, `ENODEV`, `ESRCH`, `EADDRNOTAVAIL`).
    pub fn is_missing(&self) -> bool {
        use rustix::io::Errno;
        let missing = [Errno::NOENT, Errno::NODEV, Errno::SRCH, Errno::ADDRNOTAVAIL];
        self.errno().is_some_and(|errno| missing.iter().any(|known| known.raw_os_error() == errno))
    }

    /// Whether the object was there already (`EEXIST`).
    pub fn is_present(&self) -> bool {
        self.errno() == Some(rustix::io::Errno::EXIST.raw_os_error())
    }
}

impl From<NetError> for RuntimeError {
    fn from(error: NetError) -> Self {
        use rustix::io::Errno;
        let errno = error.errno().unwrap_or(0);
        let kind = match &error {
            NetError::Invalid(_) => RuntimeErrorKind::Invalid,
            NetError::Exhausted(_) => RuntimeErrorKind::Exhausted,
            _ if errno == Errno::PERM.raw_os_error() || errno == Errno::OPNOTSUPP.raw_os_error() => {
                RuntimeErrorKind::Unsupported
            }
            _ => RuntimeErrorKind::Unavailable,
        };
        Self::new(kind, error.to_string())
    }
}

fn explained(errno: i32, kernel: Option<&str>) -> String {
    use rustix::io::Errno;
    let mut text = kernel.map(|said| format!(" (kernel: {said})")).unwrap_or_default();
    if errno == Errno::PERM.raw_os_error() {
        text.push_str("; it takes CAP_NET_ADMIN, run as root");
    } else if errno == Errno::OPNOTSUPP.raw_os_error() {
        text.push_str("; this kernel misses the feature, enable it or load its module");
    }
    text
}
