//! The administrator's connection to a running cluster, over the bus.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use trireme_bus::{
    Bus, BusClock, BusConfig, BusError, BusParts, Handling, Inbound, NoPublishers, Peer, PermissionTable,
    Service,
};
use trireme_core::Tick;
use trireme_faults::Faults;
use trireme_kernel::{ActorPath, Call, CallError, CallOptions, codec};
use trireme_pki::{
    Credentials, ExpectedPeer, IdentityKind, IdentityName, LiveTrust, TlsProfile, install_crypto_provider,
};

use crate::admin::Admin;
use crate::random::random_u64;

/// Why there is no session.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// No server of the list took us in.
    #[error("no server can be reached ({tried}); is the cluster running?")]
    NoServer {
        /// Each server's address and what went wrong there.
        tried: String,
    },
    /// The bus of this process did not start.
    #[error(transparent)]
    Bus(#[from] BusError),
}

/// A session with one server of the cluster.
pub struct Client {
    // Ends the session when dropped.
    _bus: Bus,
    peer: Peer,
    server: IdentityName,
    timeout: Duration,
}

/// An administrator answers no calls.
struct NoService;

impl Service for NoService {
    fn call(&self, request: Inbound) -> Handling {
        let path = request.path.parse().unwrap_or_else(|_| ActorPath::root());
        Handling::Answered(Err(CallError::NoSuchActor { path }))
    }
}

impl Client {
    /// Connects to the first server that answers. Each call takes at most `timeout`. Must run on a tokio runtime.
    ///
    /// # Errors
    /// When none does; says what was tried.
    pub async fn connect(admin: &Admin, timeout: Duration) -> Result<Self, ConnectError> {
        Self::connect_to(admin, &admin.servers, timeout).await
    }

    /// The same with a list of servers of the caller's.
    ///
    /// # Errors
    /// When none answers; says what was tried.
    pub async fn connect_to(
        admin: &Admin,
        servers: &[SocketAddr],
        timeout: Duration,
    ) -> Result<Self, ConnectError> {
        let bus = guest_bus(Arc::clone(&admin.credentials))?;
        let mut failures = Vec::new();
        for address in servers {
            match tokio::time::timeout(timeout, bus.connect(*address, ExpectedPeer::AnyServer)).await {
                Ok(Ok(peer)) => {
                    let server = IdentityName::new(IdentityKind::Server, &peer.identity().name)
                        .expect("a name from a verified certificate is well-formed");
                    return Ok(Self { _bus: bus, peer, server, timeout });
                }
                Ok(Err(error)) => failures.push(format!("{address}: {error}")),
                Err(_) => failures.push(format!("{address}: no answer within {timeout:?}")),
            }
        }
        Err(ConnectError::NoServer { tried: failures.join("; ") })
    }

    /// The server at the other end.
    pub fn server(&self) -> &IdentityName {
        &self.server
    }

    /// Calls an actor of the server at the other end by the name below its machine, as `cluster`.
    ///
    /// # Errors
    /// Every way in which no answer can come.
    pub async fn call<C: Call>(&self, actor: &str, call: C) -> Result<C::Answer, CallError> {
        self.call_at(&machine_path(&self.server, actor), call).await
    }

    /// Calls an actor by its path; it must be on the server at the other end.
    ///
    /// # Errors
    /// Every way in which no answer can come.
    pub async fn call_at<C: Call>(&self, path: &ActorPath, call: C) -> Result<C::Answer, CallError> {
        self.call_with(path, call, CallOptions::within(self.timeout)).await
    }

    /// The same with options of the caller's.
    ///
    /// # Errors
    /// Every way in which no answer can come.
    pub async fn call_with<C: Call>(
        &self,
        path: &ActorPath,
        call: C,
        options: CallOptions,
    ) -> Result<C::Answer, CallError> {
        let malformed = |reason: String| CallError::Malformed { path: path.clone(), reason };
        let body = codec::encode(&call).map_err(|error| malformed(error.to_string()))?;
        let answer = self.peer.call(path, C::NAME, body, options).await?;
        codec::decode(&answer).map_err(|error| malformed(error.to_string()))
    }

    /// The session itself, for subscriptions.
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// How long a call may take.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }
}

/// A bus that only dials, for a command or a test with an administrator's credentials. Must be called within a tokio
/// runtime.
///
/// # Errors
/// When no socket can be had.
pub fn guest_bus(credentials: Arc<Credentials>) -> Result<Bus, BusError> {
    install_crypto_provider();
    Bus::start(BusParts {
        profile: TlsProfile::new(credentials, LiveTrust::default()),
        listen: None,
        config: BusConfig::default(),
        permissions: PermissionTable::default(),
        service: Arc::new(NoService),
        publishers: Arc::new(NoPublishers),
        join: None,
        faults: Faults::none(),
        io: tokio::runtime::Handle::current(),
        clock: BusClock::continuing(Tick::ZERO),
        instance: random_u64(),
    })
}

/// The path of an actor of a machine.
pub fn machine_path(machine: &IdentityName, actor: &str) -> ActorPath {
    format!("/{machine}/{actor}").parse().expect("an identity and an actor's name make a path")
}
