//! The sockets of a bus, and how connections come about on them.
//!
//! One endpoint dials, another one listens, each on its own UDP socket: the dialling one can move to another
//! socket while requests are in flight (QUIC migrates clients, not servers), and an agent has no listening one.

mod accept;
pub(crate) mod congestion;
mod dial;
mod error;
mod join;
mod socket;
mod transport;

pub(crate) use accept::accept_loop;
pub use error::{BusError, DialError, JoinError};
pub use join::{JOIN_ANSWER_LIMIT_BYTES, JOIN_BODY_LIMIT_BYTES, Joined, join};

use crate::engine::Engine;
use crate::service::JoinService;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Semaphore;
use transport::Transports;
use trireme_pki::TlsProfile;

/// Everything connections are made of.
pub(crate) struct Endpoints {
    pub(crate) engine: Arc<Engine>,
    pub(crate) profile: TlsProfile,
    listen: Option<quinn::Endpoint>,
    dial: quinn::Endpoint,
    transports: Transports,
    /// Server configurations for strangers on this machine and on others.
    servers: Option<transport::PerPath<Arc<quinn::ServerConfig>>>,
    handshakes: AtomicUsize,
    join: Option<Arc<dyn JoinService>>,
    joins: Semaphore,
}

impl Endpoints {
    /// Binds the sockets. Must run on the I/O runtime.
    pub(crate) fn bind(
        engine: Arc<Engine>,
        profile: TlsProfile,
        listen: Option<SocketAddr>,
        dial_from: SocketAddr,
        join: Option<Arc<dyn JoinService>>,
    ) -> Result<Self, BusError> {
        let transports = Transports::new(&engine.config);
        let (mut servers, mut listening) = (None, None);
        if let Some(address) = listen {
            let per_path = transports.servers(&profile, &engine.config)?;
            listening = Some(socket::endpoint(address, Some((*per_path.far).clone()))?);
            servers = Some(per_path);
        }
        let dial = socket::endpoint(dial_from, None)?;
        let joins = Semaphore::new(engine.config.joins_limit);
        let handshakes = AtomicUsize::new(0);
        Ok(Self { engine, profile, listen: listening, dial, transports, servers, handshakes, join, joins })
    }

    /// Where strangers can connect.
    pub(crate) fn listen_address(&self) -> Option<SocketAddr> {
        self.listen.as_ref()?.local_addr().ok()
    }

    /// Moves the dialling endpoint to a new socket; its connections migrate.
    pub(crate) fn rebind(&self, to: SocketAddr) -> Result<SocketAddr, BusError> {
        let socket = socket::udp(to)?;
        let bound = socket.local_addr();
        self.dial.rebind(socket).map_err(|source| BusError::Socket { address: to, source })?;
        bound.map_err(|source| BusError::Socket { address: to, source })
    }

    /// Connections of strangers that are no sessions: handshakes in progress, and ended ones whose state the
    /// transport keeps for a few round trips more.
    pub(crate) fn handshakes(&self) -> usize {
        let open = self.listen.as_ref().map_or(0, quinn::Endpoint::open_connections);
        self.handshakes.load(Ordering::Acquire).max(open.saturating_sub(self.engine.sessions.accepted()))
    }

    /// Connections of all kinds, also those being made.
    pub(crate) fn connections(&self) -> usize {
        self.listen.as_ref().map_or(0, quinn::Endpoint::open_connections) + self.dial.open_connections()
    }

    /// Ends everything.
    pub(crate) fn close(&self) {
        let code = quinn::VarInt::from_u32(crate::session::close_code::SHUTDOWN);
        for endpoint in self.listen.iter().chain([&self.dial]) {
            endpoint.close(code, b"shutdown");
        }
    }

    /// Resolves when the peers were told of the end, or gave no answer for long enough.
    pub(crate) async fn idle(&self) {
        for endpoint in self.listen.iter().chain([&self.dial]) {
            endpoint.wait_idle().await;
        }
    }
}
