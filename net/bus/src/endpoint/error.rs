//! What can go wrong before there is a session.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use thiserror::Error;
use trireme_pki::{PeerRefused, TlsConfigError};

/// A bus that cannot start. Not retryable without a change.
#[derive(Debug, Error)]
pub enum BusError {
    /// A UDP socket cannot be made or bound.
    #[error("UDP socket on {address}: {source}; is the port taken or the address not of this machine?")]
    Socket {
        /// The address asked for.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The TLS configuration cannot be built.
    #[error(transparent)]
    Tls(#[from] TlsConfigError),
    /// The TLS configuration does not serve QUIC.
    #[error("TLS configuration without QUIC's initial cipher suite: {0}")]
    NoInitialSuite(#[from] quinn::crypto::rustls::NoInitialCipherSuite),
}

/// A dial that led to no session. Safe to retry, later.
#[derive(Debug, Error)]
pub enum DialError {
    /// The address cannot be dialled at all.
    #[error("cannot dial {to}: {source}")]
    Connect {
        /// Where.
        to: SocketAddr,
        /// Why.
        source: quinn::ConnectError,
    },
    /// No handshake in time.
    #[error("no handshake with {to} within {waited:?}; is a bus listening there?")]
    Timeout {
        /// Where.
        to: SocketAddr,
        /// How long.
        waited: Duration,
    },
    /// The handshake failed.
    #[error("handshake with {to} failed: {source}")]
    Handshake {
        /// Where.
        to: SocketAddr,
        /// Why.
        source: quinn::ConnectionError,
    },
    /// The peer's certificate is refused.
    #[error("{to} refused: {source}")]
    Refused {
        /// Where.
        to: SocketAddr,
        /// Why.
        source: PeerRefused,
    },
    /// The peer did not greet.
    #[error("no valid hello from {to}: {reason}")]
    Greeting {
        /// Where.
        to: SocketAddr,
        /// Why.
        reason: String,
    },
    /// The link is cut by an armed fault.
    #[error("link to {to} is cut by an armed fault")]
    Partitioned {
        /// Where.
        to: SocketAddr,
    },
    /// The expected identity cannot be expressed.
    #[error("cannot expect this peer: {0}")]
    BadName(#[from] trireme_pki::IdentityError),
    /// Our own configuration.
    #[error(transparent)]
    Tls(#[from] TlsConfigError),
    /// Our own configuration.
    #[error("TLS configuration without QUIC's initial cipher suite: {0}")]
    NoInitialSuite(#[from] quinn::crypto::rustls::NoInitialCipherSuite),
    /// Too many sessions of this identity.
    #[error("too many sessions with {to}")]
    TooMany {
        /// Where.
        to: SocketAddr,
    },
}

/// A join that got no answer. Safe to retry: the token's service recognises a repeated request by its key.
#[derive(Debug, Error)]
pub enum JoinError {
    /// The request is above the limit.
    #[error("join request of {bytes} bytes, limit {limit_bytes}")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        limit_bytes: usize,
    },
    /// Our own socket.
    #[error(transparent)]
    Bus(#[from] BusError),
    /// No connection.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// The stream broke.
    #[error("join at {to} broke off: {reason}")]
    Broken {
        /// Where.
        to: SocketAddr,
        /// Why.
        reason: String,
    },
    /// The server's chain does not lead to the pinned authority.
    #[error("{to}: {source}")]
    Authority {
        /// Where.
        to: SocketAddr,
        /// Why.
        source: PeerRefused,
    },
}
