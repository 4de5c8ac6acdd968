//! The administrator's connection to a running cluster, over the bus.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use trireme_bus::{
    Bus, BusClock, BusConfig, BusParts, Handling, Inbound, NoPublishers, Peer, PermissionTable, Service,
};
use trireme_core::Tick;
use trireme_faults::Faults;
use trireme_kernel::{ActorPath, Call, CallError, CallOptions, codec};
use trireme_pki::{ExpectedPeer, IdentityName, IdentityKind, LiveTrust, TlsProfile, install_crypto_provider};

use crate::admin::Admin;
use crate::cli::ClientArgs;
use crate::data_dir;
use crate::random::random_u64;

/// A session with one server of the cluster.
pub(crate) struct Client {
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
    /// Connects as `args` say.
    pub(crate) async fn from_args(args: &ClientArgs) -> anyhow::Result<Self> {
        let admin = Admin::load(&data_dir::admin_folder(&args.data.data_dir))?;
        Self::connect(&admin, Duration::from_millis(args.timeout_ms)).await
    }

    /// Connects to the first server that answers. Each call takes at most `timeout`.
    pub(crate) async fn connect(admin: &Admin, timeout: Duration) -> anyhow::Result<Self> {
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
        for address in &admin.servers {
            match tokio::time::timeout(timeout, bus.connect(*address, ExpectedPeer::AnyServer)).await {
                Ok(Ok(peer)) => {
                    let server = IdentityName::new(IdentityKind::Server, &peer.identity().name)?;
                    return Ok(Self { _bus: bus, peer, server, timeout });
                }
                Ok(Err(error)) => failures.push(format!("{address}: {error:#}")),
                Err(_) => failures.push(format!("{address}: no answer within {timeout:?}")),
            }
        }
        bail!("no server can be reached ({}); is the cluster running?", failures.join("; "))
    }

    /// The server at the other end.
    pub(crate) fn server(&self) -> &IdentityName {
        &self.server
    }

    /// Calls an actor of the server at the other end, as `cluster`, or of another machine by its whole path.
    pub(crate) async fn call<C: Call>(&self, actor: &str, call: C) -> Result<C::Answer, CallError> {
        self.call_at(&machine_path(&self.server, actor), call).await
    }

    /// Calls an actor by its path; it must be on the server at the other end.
    pub(crate) async fn call_at<C: Call>(&self, path: &ActorPath, call: C) -> Result<C::Answer, CallError> {
        let malformed = |reason: String| CallError::Malformed { path: path.clone(), reason };
        let body = codec::encode(&call).map_err(|error| malformed(error.to_string()))?;
        let answer = self.peer.call(path, C::NAME, body, CallOptions::within(self.timeout)).await?;
        codec::decode(&answer).map_err(|error| malformed(error.to_string()))
    }
}

/// The path of an actor of a machine.
pub(crate) fn machine_path(machine: &IdentityName, actor: &str) -> ActorPath {
    format!("/{machine}/{actor}").parse().expect("an identity and an actor's name make a path")
}

/// Runs a command that talks to a cluster.
pub(crate) fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start")?;
    runtime.block_on(work)
}
