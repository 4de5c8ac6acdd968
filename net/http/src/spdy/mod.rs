//! SPDY/3.1 as exec, attach and port-forward use it (`Upgrade: SPDY/3.1`, or inside a WebSocket).
//!
//! [`SpdyConnection`] is a pure core: bytes and commands in, bytes and events out. [`spdy_session`] hosts it on a
//! transport and hands out streams.
//!
//! Flow control: the common Go implementation has none. It ignores windows and never announces any, so a sender that
//! waited for WINDOW_UPDATE would stop after 64 KiB for ever. Send windows are therefore kept only once the peer has
//! shown that it knows them (SETTINGS with an initial window, or a WINDOW_UPDATE); received bytes are always announced
//! as consumed; and what finally holds a sender back is that this side stops reading when a stream's reader is behind.
//!
//! Deliberately absent: priorities (frames go out in order), server push, credentials, own PINGs (TCP's and the front's
//! limits find dead peers), SETTINGS persistence.

mod connection;
mod dictionary;
mod error;
mod frame;
mod header_block;
mod message;
mod session;
mod stream;

pub use connection::{
    STATUS_CANCEL, STATUS_INVALID_STREAM, STATUS_REFUSED_STREAM, STREAMS_LIMIT, SpdyConnection, SpdyRole,
};
pub use error::SpdyError;
pub use frame::{CONTROL_FRAME_LIMIT_BYTES, DATA_FRAME_LIMIT_BYTES};
pub use header_block::{HEADER_BLOCK_LIMIT_BYTES, HEADERS_LIMIT, Headers};
pub use message::{SpdyEffect, SpdyInput};
pub use session::{SpdySession, SpdySessionError, spdy_session};
pub use stream::{SpdyReader, SpdyStream, SpdyWriter, StreamReset};
