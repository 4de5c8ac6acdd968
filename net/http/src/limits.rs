//! Every bound of the front, as data.

use std::time::Duration;

/// Bounds of one listener. The defaults are the stock API server's where it has the bound.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Open connections. Further ones wait in the kernel's backlog until one ends.
    pub connections: usize,
    /// From the accepted socket to the finished TLS handshake.
    pub handshake: Duration,
    /// HTTP/1.1: from the first byte of a request to the end of its head (upstream: 32 s).
    pub header_read: Duration,
    /// A connection without requests (upstream: 90 s).
    pub idle: Duration,
    /// The client takes nothing of what is to be written.
    pub write_stall: Duration,
    /// The client sends nothing of an announced request body.
    pub body_idle: Duration,
    /// What a connection that was told to go may take to end once it has no requests.
    pub close: Duration,
    /// Header fields of one request.
    pub header_fields: usize,
    /// All header fields of one request together, in bytes. A connection may buffer as much.
    pub header_bytes: usize,
    /// Request target, in bytes; at most 65,534, which is what the HTTP library can hold.
    pub uri_bytes: usize,
    /// Request body, in bytes, unless the handler asks for less or more (upstream: 3 MiB).
    pub body_bytes: usize,
    /// Requests in flight on one HTTP/2 connection (upstream: 250).
    pub h2_streams: u32,
    /// HTTP/2 flow control window of one request body, in bytes.
    pub h2_stream_window_bytes: u32,
    /// HTTP/2 flow control window of one connection, in bytes.
    pub h2_connection_window_bytes: u32,
    /// What one HTTP/2 response may have buffered for a slow client, in bytes.
    pub h2_send_buffer_bytes: usize,
    /// Requests that a client abandons within `reset_window` before the connection is cut (rapid reset).
    pub resets: u32,
    /// See `resets`.
    pub reset_window: Duration,
    /// Chance that an HTTP/2 request moves its connection elsewhere (GOAWAY), in millionths (upstream: at most 2 %).
    pub goaway_per_million: u32,
}

/// Upstream's cap of [`Limits::goaway_per_million`].
pub const GOAWAY_PER_MILLION_LIMIT: u32 = 20_000;

/// Smallest read buffer that the HTTP/1.1 library takes, in bytes.
pub(crate) const H1_BUFFER_MINIMUM_BYTES: usize = 8192;

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 20_000,
            handshake: Duration::from_secs(10),
            header_read: Duration::from_secs(32),
            idle: Duration::from_secs(90),
            write_stall: Duration::from_secs(60),
            body_idle: Duration::from_secs(30),
            close: Duration::from_secs(10),
            header_fields: 256,
            header_bytes: 256 * 1024,
            uri_bytes: 64_000,
            body_bytes: 3 * 1024 * 1024,
            h2_streams: 250,
            h2_stream_window_bytes: 256 * 1024,
            h2_connection_window_bytes: 1024 * 1024,
            h2_send_buffer_bytes: 256 * 1024,
            resets: 1_000,
            reset_window: Duration::from_secs(10),
            goaway_per_million: 0,
        }
    }
}
