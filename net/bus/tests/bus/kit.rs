//! A cluster for a test: authority, profiles, services.

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::runtime::Handle;
use trireme_bus::{
    Bus, BusClock, BusConfig, BusParts, Handling, Inbound, JoinService, NoPublishers, Peer, PermissionTable,
    Publishers, Service, StreamTaker,
};
use trireme_core::Tick;
use trireme_faults::Faults;
use trireme_kernel::{ActorPath, CallError, CallOptions, Class};
use trireme_pki::{
    ClusterAuthority, ClusterId, Credentials, ExpectedPeer, Identity, KeyRequest, LiveTrust, SigningOrder,
    TlsProfile, TrustLedger, WallTime,
};

pub const PATIENCE: Duration = Duration::from_secs(20);

/// The cluster's authority and ledger.
pub struct Cluster {
    pub id: ClusterId,
    pub authority: ClusterAuthority,
    pub trust: LiveTrust,
}

impl Cluster {
    pub fn new() -> Self {
        let id = ClusterId::new("c1").unwrap();
        // Old enough to sign certificates that are expired by now.
        let founded = WallTime::from_unix_seconds(WallTime::now().unix_seconds() - 30 * 86_400);
        let authority = ClusterAuthority::create(&id, founded).unwrap();
        Self { id, authority, trust: LiveTrust::new(TrustLedger::default()) }
    }

    pub fn server(&self, name: &str) -> Identity {
        Identity::server(&self.id, name).unwrap()
    }

    pub fn node(&self, name: &str) -> Identity {
        Identity::node(&self.id, name).unwrap()
    }

    pub fn profile(&self, identity: &Identity) -> TlsProfile {
        self.profile_at(identity, WallTime::now())
    }

    /// A profile whose certificate was signed at `now` for a day.
    pub fn profile_at(&self, identity: &Identity, now: WallTime) -> TlsProfile {
        let key = KeyRequest::generate().unwrap();
        let order = SigningOrder {
            request_der: key.request_der(),
            identity,
            alt_names: &[],
            lifetime: Duration::from_secs(86_400),
            now,
            not_before_floor: None,
        };
        let issued = self.authority.sign_request(&order).unwrap();
        TlsProfile::new(Arc::new(Credentials::new(&key, &issued.chain).unwrap()), self.trust.clone())
    }
}

/// What the test's actors do, by call name.
#[derive(Default)]
pub struct TestService {
    pub executed: AtomicUsize,
    pub running: Arc<AtomicUsize>,
}

/// Counts a work while it lives.
struct Running(Arc<AtomicUsize>);

impl Running {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(count))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Service for TestService {
    fn open(&self, request: Inbound) -> BoxFuture<'static, Result<StreamTaker, CallError>> {
        let running = Running::new(&self.running);
        let taken: Result<StreamTaker, CallError> = match &*request.name {
            // Gives back what comes, behind a greeting.
            "stream.echo" => Ok(Box::new(move |stream| {
                async move {
                    let _running = running;
                    let (mut from, mut to) = tokio::io::split(stream);
                    let _ = to.write_all(b"hello ").await;
                    let _ = tokio::io::copy(&mut from, &mut to).await;
                    let _ = to.shutdown().await;
                }
                .boxed()
            })),
            _ => Err(CallError::NoSuchActor { path: request.path.parse().unwrap() }),
        };
        std::future::ready(taken).boxed()
    }

    fn call(&self, request: Inbound) -> Handling {
        self.executed.fetch_add(1, Ordering::SeqCst);
        match &*request.name {
            "echo" => Handling::Answered(Ok(request.body)),
            "who" => Handling::Answered(Ok(Bytes::from(request.caller.to_string()))),
            "size" => Handling::Answered(Ok(Bytes::from(request.body.len().to_string()))),
            "make" => {
                let bytes = std::str::from_utf8(&request.body).unwrap().parse().unwrap();
                Handling::Answered(Ok(Bytes::from(vec![7; bytes])))
            }
            // Answers after as many milliseconds as the body says.
            "wait" => {
                let running = Running::new(&self.running);
                let ms = std::str::from_utf8(&request.body).unwrap().parse().unwrap();
                Handling::Running(
                    async move {
                        tokio::time::sleep(Duration::from_millis(ms)).await;
                        drop(running);
                        Ok(Bytes::from_static(b"waited"))
                    }
                    .boxed(),
                )
            }
            "hang" => {
                let running = Running::new(&self.running);
                Handling::Running(
                    async move {
                        std::future::pending::<()>().await;
                        drop(running);
                        Ok(Bytes::new())
                    }
                    .boxed(),
                )
            }
            "panic" => Handling::Running(async { panic!("a handler panics on purpose") }.boxed()),
            other => {
                let path = request.path.parse().unwrap_or_else(|_| ActorPath::root());
                Handling::Answered(Err(CallError::NoSuchCall { path, name: other.to_owned() }))
            }
        }
    }
}

/// How a test bus differs from the usual one.
pub struct Options {
    pub config: BusConfig,
    pub listen: bool,
    pub faults: Faults,
    pub clock: BusClock,
    pub service: Arc<dyn Service>,
    pub publishers: Arc<dyn Publishers>,
    pub join: Option<Arc<dyn JoinService>>,
    pub io: Option<Handle>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            config: quick(),
            listen: true,
            faults: Faults::new(),
            clock: BusClock::continuing(Tick::ZERO),
            service: Arc::new(TestService::default()),
            publishers: Arc::new(NoPublishers),
            join: None,
            io: None,
        }
    }
}

/// Defaults with times for tests.
pub fn quick() -> BusConfig {
    BusConfig { heartbeat: Duration::from_millis(100), ..BusConfig::default() }
}

pub fn localhost() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

static INSTANCE: AtomicU64 = AtomicU64::new(1);

/// A bus, not yet accepting.
pub fn bus(profile: TlsProfile, options: Options) -> Bus {
    let Options { config, listen, faults, clock, service, publishers, join, io } = options;
    Bus::start(BusParts {
        profile,
        listen: listen.then(localhost),
        config,
        permissions: PermissionTable::standard(&[("/server/*/pki", "renew")]),
        service,
        publishers,
        join,
        faults,
        io: io.unwrap_or_else(Handle::current),
        clock,
        instance: INSTANCE.fetch_add(1, Ordering::SeqCst),
    })
    .unwrap()
}

/// A listening server bus without a kernel.
pub fn server(cluster: &Cluster, name: &str, options: Options) -> Bus {
    let bus = bus(cluster.profile(&cluster.server(name)), options);
    bus.accept_unsupervised();
    bus
}

/// A bus that only dials.
pub fn dialer(cluster: &Cluster, identity: &Identity, options: Options) -> Bus {
    bus(cluster.profile(identity), Options { listen: false, ..options })
}

/// Two servers and the second's session to the first.
pub struct Pair {
    pub cluster: Cluster,
    pub service: Arc<TestService>,
    pub one: Bus,
    pub two: Bus,
    pub peer: Peer,
}

pub async fn pair() -> Pair {
    pair_with(Options::default(), Options::default()).await
}

pub async fn pair_with(one: Options, two: Options) -> Pair {
    let cluster = Cluster::new();
    let service = Arc::new(TestService::default());
    let one = server(&cluster, "s1", Options { service: service.clone(), ..one });
    let two = server(&cluster, "s2", two);
    let peer = two.connect(one.listen_address().unwrap(), ExpectedPeer::AnyServer).await.unwrap();
    Pair { cluster, service, one, two, peer }
}

pub fn path(text: &str) -> ActorPath {
    text.parse().unwrap()
}

pub fn within(ms: u64) -> CallOptions {
    CallOptions::within(Duration::from_millis(ms))
}

pub async fn call(peer: &Peer, name: &'static str, body: impl Into<Bytes>) -> Result<Bytes, CallError> {
    peer.call(&path("/server/s1/test"), name, body.into(), within(10_000)).await
}

pub async fn call_in(peer: &Peer, class: Class, name: &'static str, body: Bytes) -> Result<Bytes, CallError> {
    peer.call(&path("/server/s1/test"), name, body, within(10_000).with_class(class)).await
}

/// Looks until it is so; fails after [`PATIENCE`].
pub async fn until<F, T>(what: &str, mut look: F) -> T
where
    F: FnMut() -> Option<T>,
{
    let until = tokio::time::Instant::now() + PATIENCE;
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(tokio::time::Instant::now() < until, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The result, which must come within [`PATIENCE`].
pub async fn soon<F: Future>(what: &str, future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("not within {PATIENCE:?}: {what}"))
}
