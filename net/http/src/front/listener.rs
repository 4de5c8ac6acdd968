//! Accepting, and ending in order.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use trireme_pki::ClientAuthorities;

use super::connection;
use super::counters::{Counters, Counts, count};
use super::deadline::FrontClock;
use crate::handler::Handler;
use crate::limits::Limits;

/// Pause after an accept that failed for want of file descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// What cut tasks may take to end after the grace.
const CUT_GRACE: Duration = Duration::from_secs(5);

/// What a front is made of.
pub struct FrontConfig {
    /// Bounds.
    pub limits: Limits,
    /// From [`trireme_pki::https_server`].
    pub tls: Arc<ServerConfig>,
    /// Who judges client certificates.
    pub clients: Arc<ClientAuthorities>,
    /// Seed of the GOAWAY chance.
    pub seed: u64,
}

/// Why a front did not start. Retryable when the address is in use.
#[derive(Debug, Error)]
pub enum FrontError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address} for HTTPS: {source}; choose another address or end what holds it")]
    Listen {
        /// The asked address.
        address: SocketAddr,
        /// The system's reason.
        source: io::Error,
    },
}

/// What all connections of a front share.
pub(crate) struct Shared<H> {
    pub(crate) handler: Arc<H>,
    pub(crate) limits: Limits,
    pub(crate) acceptor: TlsAcceptor,
    pub(crate) clients: Arc<ClientAuthorities>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) clock: FrontClock,
    pub(crate) draining: CancellationToken,
    pub(crate) cut: CancellationToken,
    pub(crate) tasks: TaskTracker,
    pub(crate) seed: u64,
}

/// A place among the connections; given back when dropped.
pub(crate) struct OpenConnection {
    pub(crate) number: u64,
    counters: Arc<Counters>,
    _place: OwnedSemaphorePermit,
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.counters.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Takes a front's connections for as long as [`Acceptor::run`] runs. Whoever runs it may be stopped at any moment: the
/// socket and the connections stay, and another run goes on.
#[derive(Clone)]
pub struct Acceptor(Arc<dyn Fn() -> Accepting + Send + Sync>);

/// A run of an [`Acceptor`]; ends when the front drains.
pub type Accepting = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Acceptor {
    /// Accepts until the front drains. One run at a time.
    pub fn run(&self) -> Accepting {
        (self.0)()
    }
}

/// A running listener. Dropping it cuts everything; [`Front::shutdown`] drains first.
#[derive(Debug)]
pub struct Front {
    address: SocketAddr,
    counters: Arc<Counters>,
    draining: CancellationToken,
    cut: CancellationToken,
    tasks: TaskTracker,
}

impl Front {
    /// Listens on `address` (port 0: any) and serves on `runtime`.
    pub async fn start<H: Handler>(
        address: SocketAddr,
        config: FrontConfig,
        handler: Arc<H>,
        runtime: &Handle,
    ) -> Result<Self, FrontError> {
        let (front, acceptor) = Self::bind(address, config, handler, runtime).await?;
        front.tasks.spawn_on(acceptor.run(), runtime);
        Ok(front)
    }

    /// Listens on `address` (port 0: any); connections are taken while the [`Acceptor`] runs, on `runtime`.
    pub async fn bind<H: Handler>(
        address: SocketAddr,
        config: FrontConfig,
        handler: Arc<H>,
        runtime: &Handle,
    ) -> Result<(Self, Acceptor), FrontError> {
        let refused = |source| FrontError::Listen { address, source };
        // The socket belongs to the runtime that binds it.
        let bound = runtime.spawn(TcpListener::bind(address)).await;
        let listener = bound.map_err(|error| refused(io::Error::other(error)))?.map_err(refused)?;
        Self::idle(listener, config, handler).map_err(refused)
    }

    /// As [`Front::start`] on a socket that is already bound, on the same runtime.
    pub fn with_listener<H: Handler>(
        listener: TcpListener,
        config: FrontConfig,
        handler: Arc<H>,
        runtime: &Handle,
    ) -> io::Result<Self> {
        let (front, acceptor) = Self::idle(listener, config, handler)?;
        front.tasks.spawn_on(acceptor.run(), runtime);
        Ok(front)
    }

    fn idle<H: Handler>(
        listener: TcpListener,
        config: FrontConfig,
        handler: Arc<H>,
    ) -> io::Result<(Self, Acceptor)> {
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            handler,
            acceptor: TlsAcceptor::from(config.tls),
            clients: config.clients,
            counters: Arc::default(),
            clock: FrontClock::start(),
            draining: CancellationToken::new(),
            cut: CancellationToken::new(),
            tasks: TaskTracker::new(),
            limits: config.limits,
            seed: config.seed,
        });
        let front = Self {
            address,
            counters: shared.counters.clone(),
            draining: shared.draining.clone(),
            cut: shared.cut.clone(),
            tasks: shared.tasks.clone(),
        };
        let places = shared.limits.connections.clamp(1, Semaphore::MAX_PERMITS);
        let door =
            Arc::new(Door { listener, places: Arc::new(Semaphore::new(places)), last: AtomicU64::new(0) });
        let acceptor = Acceptor(Arc::new(move || Box::pin(accept(door.clone(), shared.clone()))));
        Ok((front, acceptor))
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What happened so far.
    pub fn counts(&self) -> Counts {
        self.counters.read()
    }

    /// Stops accepting, tells connections to go, waits up to `grace` for requests in flight, then cuts the rest.
    /// True when nothing had to be cut.
    pub async fn shutdown(self, grace: Duration) -> bool {
        self.draining.cancel();
        self.tasks.close();
        let drained = timeout(grace, self.tasks.wait()).await.is_ok();
        self.cut.cancel();
        if timeout(CUT_GRACE, self.tasks.wait()).await.is_err() {
            tracing::warn!(
                tasks = self.tasks.len(),
                "connections outlive their cut: a handler blocks its thread"
            );
        }
        drained
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.draining.cancel();
        self.cut.cancel();
        self.tasks.close();
    }
}

/// Where connections come in.
struct Door {
    listener: TcpListener,
    places: Arc<Semaphore>,
    /// Number of the last connection.
    last: AtomicU64,
}

async fn accept<H: Handler>(door: Arc<Door>, shared: Arc<Shared<H>>) {
    loop {
        let next = async {
            // No place, no accept: the backlog is the queue.
            let place = door.places.clone().acquire_owned().await.expect("the semaphore is never closed");
            (place, door.listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            next = next => next,
            () = shared.draining.cancelled() => return,
        };
        match accepted {
            Ok((socket, address)) => {
                let number = door.last.fetch_add(1, Ordering::Relaxed) + 1;
                begin(&shared, socket, address, number, place);
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept an HTTPS connection");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn begin<H: Handler>(
    shared: &Arc<Shared<H>>,
    socket: TcpStream,
    address: SocketAddr,
    number: u64,
    place: OwnedSemaphorePermit,
) {
    count(&shared.counters.accepted);
    count(&shared.counters.open);
    let open = Arc::new(OpenConnection { number, counters: shared.counters.clone(), _place: place });
    shared.tasks.spawn(connection::serve(shared.clone(), socket, address, open));
}
