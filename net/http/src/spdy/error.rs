//! What ends a SPDY connection.

use thiserror::Error;

/// The peer broke the protocol or a limit. The connection is over; nothing is retryable on it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SpdyError {
    /// Another version than 3.
    #[error("SPDY: control frame of version {found}, only 3 is spoken")]
    Version {
        /// What came.
        found: u16,
    },
    /// A control frame longer than the limit.
    #[error("SPDY: control frame of {found_bytes} bytes, at most {limit_bytes} are taken")]
    FrameTooLong {
        /// What came.
        found_bytes: usize,
        /// The limit.
        limit_bytes: usize,
    },
    /// A frame whose length does not fit its type.
    #[error("SPDY: a {frame} frame of {found_bytes} bytes cannot be read")]
    FrameMalformed {
        /// Which type.
        frame: &'static str,
        /// Its length.
        found_bytes: usize,
    },
    /// Header compression is broken, or expands beyond the limit.
    #[error("SPDY: header block cannot be read: {reason}")]
    Headers {
        /// What is wrong.
        reason: &'static str,
    },
    /// A stream number that is zero, of the wrong side, used before or not increasing.
    #[error("SPDY: stream number {stream} is not valid here")]
    StreamNumber {
        /// What came.
        stream: u32,
    },
}
