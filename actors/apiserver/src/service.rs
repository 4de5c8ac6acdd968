//! [`ApiService`]: the API server of a machine: its certificate, its listener, its first objects.
//!
//! Its long tasks are actors ([`crate::tree`]); connections and requests belong to the process, like the bus's sessions,
//! and survive them.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::runtime::Handle;
use trireme_http::{Acceptor, Front, FrontConfig, FrontError, Limits};
use trireme_kernel::supervision::{Intensity, WhenExceeded};
use trireme_kernel::{ChildError, SupervisorRef, SupervisorSpec};
use trireme_pki::{
    AltName, ClientAuthorities, ClusterAuthority, Credentials, CredentialsError, HttpsError, Identity,
    IdentityError, KeyError, KeyRequest, LiveTrust, SignError, SigningOrder, WallTime, https_server,
};
use trireme_store::StoreHost;

use crate::bootstrap::bootstrap;
use crate::config::ServerConfig;
use crate::handler::ApiHandler;
use crate::server::{Server, ServerError};
use crate::tree::{Feeds, Task, Worker};

/// Life of the certificate that the listener shows.
const CERTIFICATE_LIFE: Duration = Duration::from_secs(365 * 86_400);
/// Time between two looks at whether it should be renewed.
const RENEWAL_LOOK: Duration = Duration::from_secs(6 * 3600);
/// Pause before the initial objects are tried again, as when there is no quorum yet.
const BOOTSTRAP_PAUSE: Duration = Duration::from_millis(200);
/// How long requests in flight may take when the server stops.
const DRAIN: Duration = Duration::from_secs(3);
/// Names under which clients in the cluster know the server.
const NAMES: [&str; 5] = [
    "localhost",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
];

/// What an API server is made of.
pub struct ApiServiceParts {
    /// Settings.
    pub config: ServerConfig,
    /// The process's member of the store.
    pub store: Arc<StoreHost>,
    /// Signs the listener's certificate, and is who clients' certificates are checked against.
    pub authority: Arc<ClusterAuthority>,
    /// Withdrawn certificates.
    pub trust: LiveTrust,
    /// The machine's name.
    pub name: String,
    /// Where to listen; port 0 takes any.
    pub listen: SocketAddr,
    /// The I/O runtime.
    pub io: Handle,
    /// The supervisor under which the server's actors are planted.
    pub root: SupervisorRef,
    /// The path of the machine below it, such as `server/s1`.
    pub machine: String,
}

/// Why an API server did not start.
#[derive(Debug, Error)]
pub enum ApiServiceError {
    /// Settings.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// The listener. Retryable when the address is in use.
    #[error(transparent)]
    Front(#[from] FrontError),
    /// The key of the certificate.
    #[error("API certificate: {0}")]
    Key(#[from] KeyError),
    /// The name of the machine.
    #[error("API certificate: {0}")]
    Identity(#[from] IdentityError),
    /// The signature.
    #[error("API certificate: {0}")]
    Sign(#[from] SignError),
    /// Key and certificate.
    #[error("API certificate: {0}")]
    Credentials(#[from] CredentialsError),
    /// The tree of actors.
    #[error("API actors: {0}")]
    Actors(#[from] ChildError),
    /// TLS.
    #[error("API listener: {0}")]
    Https(#[from] HttpsError),
}

/// A running API server.
pub struct ApiService {
    server: Arc<Server>,
    front: Front,
}

/// What a certificate is made from, each time.
struct Certificate {
    authority: Arc<ClusterAuthority>,
    identity: Identity,
    names: Vec<AltName>,
}

impl Certificate {
    fn sign(&self) -> Result<(KeyRequest, Vec<rustls_pki_types::CertificateDer<'static>>), ApiServiceError> {
        let key = KeyRequest::generate()?;
        let order = SigningOrder {
            request_der: key.request_der(),
            identity: &self.identity,
            alt_names: &self.names,
            lifetime: CERTIFICATE_LIFE,
            now: WallTime::now(),
            not_before_floor: None,
        };
        let chain = self.authority.sign_request(&order)?.chain;
        Ok((key, chain))
    }
}

impl ApiService {
    /// Listens, and makes the initial objects in the background until they are there.
    ///
    /// # Errors
    /// Settings, certificate or address cannot be used.
    pub async fn start(parts: ApiServiceParts) -> Result<Self, ApiServiceError> {
        let ApiServiceParts { config, store, authority, trust, name, listen, io, root, machine } = parts;
        let names = alt_names(&name, listen.ip(), &config);
        let identity = Identity::server(authority.cluster(), &name)?;
        let certificate = Certificate { authority: authority.clone(), identity, names };
        let (key, chain) = certificate.sign()?;
        let credentials = Arc::new(Credentials::new(&key, &chain)?);
        let clients = ClientAuthorities::new(&[authority.certificate().der().clone()], trust)?;
        let seed = (config.random)();
        let server = Server::new(config, store)?;
        let front = FrontConfig {
            limits: Limits::default(),
            tls: https_server(credentials.clone())?,
            clients: Arc::new(clients),
            seed,
        };
        let (front, acceptor) = Front::bind(listen, front, ApiHandler::new(server.clone()), &io).await?;
        let renewal = Arc::new((certificate, credentials));
        plant(&root, &machine, &server, acceptor, renewal)?;
        Ok(Self { server, front })
    }

    /// The server behind it, for clients in the same process.
    pub fn server(&self) -> &Arc<Server> {
        &self.server
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.front.address()
    }

    /// Waits until the initial objects are there.
    ///
    /// # Errors
    /// False when they are not within `limit`.
    pub async fn ready(&self, limit: Duration) -> bool {
        tokio::time::timeout(limit, self.server.ready.bootstrapped()).await.is_ok()
    }

    /// Stops: readiness fails at once, watches end, requests in flight finish.
    pub async fn shutdown(self) {
        self.server.ready.set_stopping();
        self.server.hub.draining.cancel();
        self.front.shutdown(DRAIN).await;
    }
}

/// The server's actors, see [`crate::tree`].
fn plant(
    root: &SupervisorRef,
    machine: &str,
    server: &Arc<Server>,
    acceptor: Acceptor,
    renewal: Arc<(Certificate, Arc<Credentials>)>,
) -> Result<(), ChildError> {
    // Whatever fails is started again, ever more slowly; nothing is given up.
    let intensity = Intensity { when_exceeded: WhenExceeded::BackOff, ..Intensity::default() };
    let tree = root.add_supervisor(SupervisorSpec::new(format!("{machine}/api")).intensity(intensity))?;
    server.hub.run_below(tree.add(Feeds::spec())?);
    let own = |work: fn(Arc<Server>) -> Task| {
        let server = server.clone();
        move || work(server.clone())
    };
    tree.add(Worker::spec("bootstrap", own(|server| Box::pin(begin(server)))))?;
    tree.add(Worker::spec("definitions", own(|server| Box::pin(crate::definitions::run(server)))))?;
    tree.add(Worker::spec("endpoints", own(|server| Box::pin(crate::endpoints::run(server)))))?;
    tree.add(Worker::spec("flow-schemas", own(|server| Box::pin(crate::flow::status::run(server)))))?;
    tree.add(Worker::spec("certificate", move || Box::pin(renew(renewal.clone()))))?;
    tree.add(Worker::spec("listener", move || acceptor.run()))?;
    Ok(())
}

/// Makes the initial objects, however long there is no quorum.
async fn begin(server: Arc<Server>) {
    let draining = server.hub.draining.clone();
    loop {
        match bootstrap(&server).await {
            Ok(()) => return,
            Err(failure) => {
                tracing::warn!(why = failure.message, "the initial objects are not there yet; trying again");
            }
        }
        tokio::select! {
            () = tokio::time::sleep(BOOTSTRAP_PAUSE) => {}
            () = draining.cancelled() => return,
        }
    }
}

async fn renew(parts: Arc<(Certificate, Arc<Credentials>)>) {
    let (certificate, credentials) = &*parts;
    loop {
        tokio::time::sleep(RENEWAL_LOOK).await;
        if WallTime::now() < credentials.renew_at(0) {
            continue;
        }
        let renewed = certificate.sign().and_then(|(key, chain)| Ok(credentials.replace(&key, &chain)?));
        if let Err(error) = renewed {
            tracing::error!(%error, "the certificate of the API listener is not renewed; trying again later");
        }
    }
}

fn alt_names(machine: &str, listen: IpAddr, config: &ServerConfig) -> Vec<AltName> {
    let mut names: Vec<AltName> = NAMES.iter().map(|name| AltName::Dns((*name).to_owned())).collect();
    names.push(AltName::Dns(machine.to_owned()));
    let mut addresses = vec![listen, config.advertise.ip(), IpAddr::from([127, 0, 0, 1])];
    addresses.push(IpAddr::from(std::net::Ipv6Addr::LOCALHOST));
    addresses.extend(config.service_cidr.at(1));
    addresses.sort();
    addresses.dedup();
    names.extend(addresses.into_iter().filter(|address| !address.is_unspecified()).map(AltName::Ip));
    names
}
