//! [`StoreClient`]: an administrator's way to the store of one server, for the command line and for tests.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use trireme_bus::{
    Bus, BusClock, BusConfig, BusError, BusParts, Handling, Inbound, NoPublishers, Peer, PermissionTable,
    Service, SubEnd, Subscription,
};
use trireme_core::Tick;
use trireme_faults::Faults;
use trireme_kernel::{ActorPath, Call, CallError, CallOptions, Class, codec};
use trireme_pki::{ExpectedPeer, LiveTrust, TlsProfile, install_crypto_provider};
use trireme_process::{Admin, random_u64};

use crate::host::store_path;
use crate::watch_wire::{WatchMessage, WatchTopic};

/// Events a watch has room for.
const WATCH_CREDIT: u32 = 64;

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

/// A session with one server's store.
pub struct StoreClient {
    // Ends the session when dropped.
    _bus: Bus,
    peer: Peer,
    path: ActorPath,
    timeout: Duration,
}

struct NoService;

impl Service for NoService {
    fn call(&self, request: Inbound) -> Handling {
        let path = request.path.parse().unwrap_or_else(|_| ActorPath::root());
        Handling::Answered(Err(CallError::NoSuchActor { path }))
    }
}

impl StoreClient {
    /// Connects to the first server that answers. Each call takes at most `timeout`. Must run on a tokio runtime.
    ///
    /// # Errors
    /// When none does; says what was tried.
    pub async fn connect(admin: &Admin, timeout: Duration) -> Result<Self, ConnectError> {
        Self::connect_to(admin, &admin.servers, timeout).await
    }

    /// The same with a list of servers of its own.
    ///
    /// # Errors
    /// As [`StoreClient::connect`].
    pub async fn connect_to(
        admin: &Admin,
        servers: &[SocketAddr],
        timeout: Duration,
    ) -> Result<Self, ConnectError> {
        install_crypto_provider();
        let bus = Bus::start(BusParts {
            profile: TlsProfile::new(Arc::clone(&admin.credentials), LiveTrust::default()),
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
        })?;
        let mut failures = Vec::new();
        for address in servers {
            match tokio::time::timeout(timeout, bus.connect(*address, ExpectedPeer::AnyServer)).await {
                Ok(Ok(peer)) => {
                    let path = store_path(&peer.identity().name);
                    return Ok(Self { _bus: bus, peer, path, timeout });
                }
                Ok(Err(error)) => failures.push(format!("{address}: {error}")),
                Err(_) => failures.push(format!("{address}: no answer within {timeout:?}")),
            }
        }
        Err(ConnectError::NoServer { tried: failures.join("; ") })
    }

    /// The name of the server at the other end.
    pub fn server(&self) -> &str {
        &self.peer.identity().name
    }

    /// Calls the store.
    ///
    /// # Errors
    /// Every way in which no answer can come.
    pub async fn call<C: Call>(&self, call: C) -> Result<C::Answer, CallError> {
        self.call_within(call, self.timeout, Class::Control).await
    }

    /// Calls the store with a deadline and a class of its own; bulk suits snapshots.
    ///
    /// # Errors
    /// Every way in which no answer can come.
    pub async fn call_within<C: Call>(
        &self,
        call: C,
        deadline: Duration,
        class: Class,
    ) -> Result<C::Answer, CallError> {
        let malformed = |reason: String| CallError::Malformed { path: self.path.clone(), reason };
        let body = codec::encode(&call).map_err(|error| malformed(error.to_string()))?;
        let options = CallOptions::within(deadline).with_class(class);
        let answer = self.peer.call(&self.path, C::NAME, body, options).await?;
        codec::decode(&answer).map_err(|error| malformed(error.to_string()))
    }

    /// Watches. Subscribe again from the last `through` or bookmark when it ends.
    ///
    /// # Errors
    /// The topic is too large to send.
    pub fn watch(&self, topic: &WatchTopic) -> Result<WatchStream, CallError> {
        let malformed = |reason: String| CallError::Malformed { path: self.path.clone(), reason };
        let topic = codec::encode(topic).map_err(|error| malformed(error.to_string()))?;
        Ok(WatchStream { subscription: self.peer.subscribe(Class::Watch, &self.path, topic, WATCH_CREDIT) })
    }
}

/// The messages of one watch.
pub struct WatchStream {
    subscription: Subscription,
}

/// Why a watch gives no more messages.
#[derive(Debug, Error)]
pub enum WatchBroken {
    /// The subscription ended; continue with a new one.
    #[error(transparent)]
    Ended(#[from] SubEnd),
    /// The server speaks another version.
    #[error("a message does not decode: {0}")]
    Malformed(#[from] codec::CodecError),
}

impl WatchStream {
    /// The next message.
    ///
    /// # Errors
    /// There is none any more.
    pub async fn next(&mut self) -> Result<WatchMessage, WatchBroken> {
        let item = self.subscription.next().await?;
        Ok(codec::decode(&item.body)?)
    }
}
