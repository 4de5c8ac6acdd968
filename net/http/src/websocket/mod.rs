//! WebSockets as Kubernetes uses them (RFC 6455): the handshake, the numbered channels of exec and attach, watches as
//! messages, and SPDY inside a WebSocket (port-forward).
//!
//! Deliberately absent: extensions (no compression), fragments on sending, WebSockets over HTTP/2 (no client asks).

mod channel;
mod handshake;
mod message_watch;
mod tunnel;

pub use channel::{
    CHANNEL_CLOSE, CHANNEL_ERROR, CHANNEL_RESIZE, CHANNEL_STDERR, CHANNEL_STDIN, CHANNEL_STDOUT,
    ChannelError, ChannelEvent, ChannelProtocol,
};
pub use handshake::{WebSocketOffer, is_websocket_request, websocket_offer};
pub(crate) use handshake::{has_token, tokens};
pub use message_watch::{MessageKind, serve_watch_messages};
pub use tunnel::{TUNNEL_PREFIX, tunnel, tunnel_protocols};

use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

/// Longest message that is taken, in bytes.
pub const MESSAGE_LIMIT_BYTES: usize = 1024 * 1024;
/// What a connection may have waiting for the transport, in bytes.
pub const WRITE_LIMIT_BYTES: usize = 2 * MESSAGE_LIMIT_BYTES;

pub(crate) fn web_socket_config() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(16 * 1024)
        .write_buffer_size(16 * 1024)
        .max_write_buffer_size(WRITE_LIMIT_BYTES)
        .max_message_size(Some(MESSAGE_LIMIT_BYTES))
        .max_frame_size(Some(MESSAGE_LIMIT_BYTES))
}
