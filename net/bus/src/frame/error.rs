//! What can be wrong with a frame.

use thiserror::Error;

/// A stream that carries one of these is closed: after a broken frame nothing behind it can be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum FrameError {
    /// The length field asks for more than the class of the stream allows. Nothing was allocated for it.
    #[error(
        "frame of {got_bytes} bytes is above this stream's limit of {limit_bytes}; send it as class bulk or in parts"
    )]
    TooLarge {
        /// The class's limit.
        limit_bytes: u32,
        /// What the length field said.
        got_bytes: u32,
    },
    /// The stream ended inside a frame.
    #[error("stream ended inside a frame: {have_bytes} bytes there, at least {need_bytes} needed")]
    Truncated {
        /// Bytes received of the frame.
        have_bytes: usize,
        /// Bytes known to be needed.
        need_bytes: usize,
    },
    /// The frame is shorter than its own header.
    #[error("frame of kind {kind} ends inside its header")]
    ShortHeader {
        /// The kind byte.
        kind: u8,
    },
    /// A frame without even a kind.
    #[error("empty frame")]
    Empty,
    /// A kind this version does not know.
    #[error("unknown frame kind {0}; is the peer newer than this process?")]
    UnknownKind(u8),
    /// A text field is not UTF-8.
    #[error("frame of kind {kind} has a {field} that is not UTF-8")]
    BadUtf8 {
        /// The kind byte.
        kind: u8,
        /// The field's name.
        field: &'static str,
    },
    /// A field is longer than its limit.
    #[error("frame of kind {kind} has a {field} of {got_bytes} bytes, limit {limit_bytes}")]
    FieldTooLong {
        /// The kind byte.
        kind: u8,
        /// The field's name.
        field: &'static str,
        /// The field's limit.
        limit_bytes: usize,
        /// Its length.
        got_bytes: usize,
    },
    /// A field holds a value that has no meaning.
    #[error("frame of kind {kind} has a {field} without meaning: {value}")]
    BadValue {
        /// The kind byte.
        kind: u8,
        /// The field's name.
        field: &'static str,
        /// Its value.
        value: u32,
    },
    /// Bytes are left over behind a frame that carries no body.
    #[error("frame of kind {kind} carries {extra_bytes} bytes too many")]
    TrailingBytes {
        /// The kind byte.
        kind: u8,
        /// How many.
        extra_bytes: usize,
    },
}
