//! exec, attach and port-forward from the server's side, alike for SPDY and WebSocket.
//!
//! [`StreamOffer::read`] decides on a request's head; [`RemoteCommand::open`] runs on the upgraded connection and hands
//! out stdin, stdout, stderr, resize events and the error channel.

mod offer;
mod spdy_streams;
mod streams;
mod websocket_streams;

pub use offer::{PORT_FORWARD_PROTOCOL, SPDY_UPGRADE, StreamOffer, StreamTransport};
pub use streams::{
    ByteSink, ByteSource, RemoteCommand, RemoteCommandError, STREAMS_OPEN_LIMIT, SinkGone, WantedStreams,
};
