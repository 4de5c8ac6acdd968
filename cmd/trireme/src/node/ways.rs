//! The ways between a node and the servers: where it finds their APIs, under which papers, and how they find it.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::broadcast::error::RecvError;
use trireme_apiserver::Server;
use trireme_bus::Bus;
use trireme_client::{Rest, Servers};
use trireme_node_host::BusNodes;
use trireme_pki::{
    ClusterAuthority, Credentials, Identity, IdentityKind, IssuedCertificate, KeyRequest, SigningOrder,
    WallTime,
};
use trireme_process::Admin;

/// Longest sleep until a certificate is looked at again: the wall clock may jump.
const LONGEST_SLEEP: Duration = Duration::from_secs(3600);
/// Pause after a certificate could not be signed, and before the cluster is asked again for what nodes rely on.
const PAUSE: Duration = Duration::from_secs(1);

/// The servers that the bus keeps links to: a server's API has the address and the port of its bus. Those with a
/// session come first, and nodes begin at different ones.
pub(super) struct LinkedServers {
    bus: Bus,
    turn: usize,
}

impl LinkedServers {
    pub(super) fn new(bus: Bus, node: &str) -> Self {
        let mut hasher = DefaultHasher::new();
        node.hash(&mut hasher);
        Self { bus, turn: usize::try_from(hasher.finish() % 64).expect("below 64") }
    }
}

impl Servers for LinkedServers {
    fn addresses(&self) -> Vec<SocketAddr> {
        let linked = self.bus.linked().into_iter().filter(|(peer, _)| peer.kind == IdentityKind::Server);
        let mut servers: Vec<(bool, SocketAddr)> = linked
            .flat_map(|(peer, addresses)| {
                let away = self.bus.peer(peer.kind, &peer.name).is_none();
                addresses.into_iter().map(move |address| (away, address))
            })
            .collect();
        if !servers.is_empty() {
            let turn = self.turn % servers.len();
            servers.rotate_left(turn);
        }
        servers.sort_by_key(|(away, _)| *away);
        servers.into_iter().map(|(_, address)| address).collect()
    }
}

/// The papers of the node in a server's own process, which it signs for itself.
#[derive(Clone)]
pub(crate) struct OwnPapers {
    authority: Arc<ClusterAuthority>,
    lifetime: Duration,
    pub(crate) credentials: Arc<Credentials>,
}

impl OwnPapers {
    /// # Errors
    /// The authority refuses.
    pub(crate) fn new(
        authority: Arc<ClusterAuthority>,
        name: &str,
        lifetime: Duration,
    ) -> anyhow::Result<Self> {
        let (key, issued) = sign(&authority, name, lifetime)?;
        Ok(Self { credentials: Arc::new(Credentials::new(&key, &issued.chain)?), authority, lifetime })
    }

    /// Replaces the certificate at two thirds of its life, for ever.
    pub(crate) async fn keep(self) {
        let name = self.credentials.identity().identity_name().name().to_owned();
        // Certificates begin before they are issued, so a short one may look due from its first second.
        let mut soonest = WallTime::default();
        loop {
            let now = WallTime::now();
            let left = self.credentials.renew_at(0).max(soonest).since(now);
            if !left.is_zero() {
                tokio::time::sleep(left.min(LONGEST_SLEEP)).await;
                continue;
            }
            let renewed = sign(&self.authority, &name, self.lifetime)
                .and_then(|(key, issued)| Ok(self.credentials.replace(&key, &issued.chain)?));
            match renewed {
                Ok(()) => {
                    let until = self.credentials.facts().not_after;
                    soonest = now.plus(until.since(now) / 2);
                    tracing::info!(%until, "node certificate renewed");
                }
                Err(error) => {
                    tracing::error!(%error, "the node's certificate is not renewed; trying again");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }
}

fn sign(
    authority: &ClusterAuthority,
    name: &str,
    lifetime: Duration,
) -> anyhow::Result<(KeyRequest, IssuedCertificate)> {
    let key = KeyRequest::generate()?;
    let identity = Identity::node(authority.cluster(), name)?;
    let order = SigningOrder {
        request_der: key.request_der(),
        identity: &identity,
        alt_names: &[],
        lifetime,
        now: WallTime::now(),
        not_before_floor: None,
    };
    let issued = authority.sign_request(&order)?;
    Ok((key, issued))
}

/// What nodes rely on is made once the first node of another machine is there, and the API learns the way to nodes.
pub(crate) async fn welcome(bus: Bus, server: Arc<Server>, nodes: Arc<BusNodes>, api: Administrator) {
    let mut events = bus.events();
    while bus.peers().iter().all(|report| report.peer.kind != IdentityKind::Node) {
        if let Err(RecvError::Closed) = events.recv().await {
            return;
        }
    }
    server.set_node_dialer(nodes);
    while let Err(error) = api.prepare().await {
        tracing::debug!(%error, "what nodes rely on is not made yet");
        tokio::time::sleep(PAUSE).await;
    }
}

/// How this machine changes the cluster as its administrator.
#[derive(Clone)]
pub(crate) struct Administrator {
    pub(crate) folder: PathBuf,
    pub(crate) api: SocketAddr,
    pub(crate) service_cidr: ipnet::IpNet,
}

impl Administrator {
    /// The API under the administrator's papers.
    ///
    /// # Errors
    /// They cannot be read.
    pub(crate) async fn rest(&self) -> anyhow::Result<Rest> {
        let admin = Admin::load(&self.folder)?;
        Ok(Rest::from_text(&crate::api::kubeconfig(&admin.credentials, self.api)).await?)
    }

    /// Makes what nodes rely on.
    ///
    /// # Errors
    /// The API refuses.
    pub(crate) async fn prepare(&self) -> anyhow::Result<()> {
        super::prepare_cluster(&self.rest().await?, self.service_cidr).await
    }

    /// The same, as often as it takes: there may be no majority yet.
    ///
    /// # Errors
    /// The last refusal, after `limit`.
    pub(crate) async fn prepare_within(&self, limit: Duration) -> anyhow::Result<()> {
        let since = Instant::now();
        loop {
            match self.prepare().await {
                Err(_) if since.elapsed() < limit => tokio::time::sleep(PAUSE).await,
                outcome => return outcome,
            }
        }
    }
}
