//! The bus of a process.

use crate::acceptor::acceptor_spec;
use crate::admission::Refusal;
use crate::clock::BusClock;
use crate::config::BusConfig;
use crate::endpoint::{BusError, DialError, Endpoints, accept_loop};
use crate::engine::{Engine, EngineParts, PeerEvent};
use crate::identity::{IdentityKind, PeerIdentity};
use crate::link::{link_name, link_spec};
use crate::peer::{Peer, PeerReport};
use crate::permission::PermissionTable;
use crate::remote::{BusRemote, Leader};
use crate::service::{JoinService, Publishers, Service};
use crate::session::close_code;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{broadcast, watch};
use trireme_faults::Faults;
use trireme_kernel::{ChildError, Kernel, Remote, SupervisorRef, SupervisorSpec};
use trireme_pki::{ExpectedPeer, TlsProfile};

/// What a bus is started with.
pub struct BusParts {
    /// Who this process is and whom it trusts.
    pub profile: TlsProfile,
    /// Where to listen; `None` for a process that only dials.
    pub listen: Option<SocketAddr>,
    /// Settings and limits.
    pub config: BusConfig,
    /// Who may send what.
    pub permissions: PermissionTable,
    /// Answers requests, see [`crate::RegistryService`].
    pub service: Arc<dyn Service>,
    /// Serves subscriptions, see [`crate::NoPublishers`].
    pub publishers: Arc<dyn Publishers>,
    /// Answers joins; `None` refuses them.
    pub join: Option<Arc<dyn JoinService>>,
    /// Fault points to consult.
    pub faults: Faults,
    /// The I/O runtime.
    pub io: Handle,
    /// In step with the kernel's clock.
    pub clock: BusClock,
    /// Differs between any two starts of processes of this identity, as random bits do.
    pub instance: u64,
}

/// A running bus; clones are the same one.
#[derive(Clone)]
pub struct Bus {
    shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) endpoints: Arc<Endpoints>,
    pub(crate) leader: Leader,
    links: Mutex<BTreeMap<PeerIdentity, watch::Sender<Vec<SocketAddr>>>>,
    /// The supervisor of the links, once attached.
    supervisor: OnceLock<SupervisorRef>,
}

impl Bus {
    /// Binds the sockets. Strangers are let in, and peers dialled, once [`Bus::attach`]ed to a kernel.
    pub fn start(parts: BusParts) -> Result<Self, BusError> {
        let BusParts {
            profile,
            listen,
            config,
            permissions,
            service,
            publishers,
            join,
            faults,
            io,
            clock,
            instance,
        } = parts;
        let me = PeerIdentity::from(&profile.identity());
        let _on_runtime = io.enter();
        let engine = Engine::new(EngineParts {
            me,
            config,
            clock,
            faults,
            permissions,
            service,
            publishers,
            io: io.clone(),
            instance,
        });
        let dial_from: SocketAddr = match listen {
            Some(SocketAddr::V6(_)) => (Ipv6Addr::UNSPECIFIED, 0).into(),
            _ => (Ipv4Addr::UNSPECIFIED, 0).into(),
        };
        let endpoints = Arc::new(Endpoints::bind(engine, profile, listen, dial_from, join)?);
        let shared = Shared {
            endpoints,
            leader: Leader::default(),
            links: Mutex::default(),
            supervisor: OnceLock::new(),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Puts the bus's actors below `parent`, as `bus/accept` and `bus/peer/..`, and makes the kernel's registry
    /// reach other machines over it.
    pub fn attach(&self, kernel: &Kernel, parent: &SupervisorRef) -> Result<(), ChildError> {
        let spec = SupervisorSpec::new("bus").supervisor(SupervisorSpec::new("peer"));
        let bus = parent.add_supervisor(spec)?;
        let path = bus.path().join("peer")?;
        let peers = kernel.registry().supervisor(&path).ok_or(ChildError::Stopped(path))?;
        // A second attachment would have failed above: the name is taken.
        let _ = self.shared.supervisor.set(peers);
        kernel.registry().set_remote(self.remote());
        bus.add(acceptor_spec(&self.shared))?;
        self.shared.ensure_links();
        Ok(())
    }

    /// Lets strangers in without a kernel: for tools and tests. Ends with the bus.
    pub fn accept_unsupervised(&self) {
        let endpoints = Arc::clone(&self.shared.endpoints);
        self.shared.endpoints.engine.io.spawn(accept_loop(endpoints, |_| ()));
    }

    /// The way to actors on other machines, for [`trireme_kernel::Registry::set_remote`].
    pub fn remote(&self) -> Arc<dyn Remote> {
        Arc::new(BusRemote { shared: Arc::clone(&self.shared) })
    }

    /// Where strangers can connect; `None` for a bus that only dials.
    pub fn listen_address(&self) -> Option<SocketAddr> {
        self.shared.endpoints.listen_address()
    }

    /// Who this process is.
    pub fn me(&self) -> &PeerIdentity {
        &self.shared.endpoints.engine.me
    }

    /// Keeps a link to a machine, dialled at these addresses in turn; none means that it dials us. Called again,
    /// the addresses change.
    pub fn set_peer(&self, kind: IdentityKind, name: &str, addresses: Vec<SocketAddr>) {
        let peer = PeerIdentity::new(kind, name);
        self.shared.links.lock().entry(peer.clone()).or_default().send_replace(addresses);
        self.shared.ensure_link(&peer);
    }

    /// The machines that this one keeps links to, and where they are dialled.
    pub fn linked(&self) -> Vec<(PeerIdentity, Vec<SocketAddr>)> {
        let links = self.shared.links.lock();
        links.iter().map(|(peer, addresses)| (peer.clone(), addresses.borrow().clone())).collect()
    }

    /// Gives up the link to a machine and closes its sessions.
    pub fn remove_peer(&self, kind: IdentityKind, name: &str) {
        let peer = PeerIdentity::new(kind, name);
        self.shared.links.lock().remove(&peer);
        if let Some(supervisor) = self.shared.supervisor.get() {
            // Unknown when the link was never made.
            let _ = supervisor.remove(&link_name(&peer));
        }
        self.close_peer(&peer, "the peer was removed");
    }

    /// Dials a member outside of any link, as a command line does; the session stays until the bus or the peer
    /// ends it.
    pub async fn connect(&self, to: SocketAddr, expected: ExpectedPeer) -> Result<Peer, DialError> {
        self.shared.endpoints.dial_expecting(to, expected).await.map(Peer::new)
    }

    /// The peer machine, when there is a session to it.
    pub fn peer(&self, kind: IdentityKind, name: &str) -> Option<Peer> {
        self.shared.endpoints.engine.sessions.route(kind, name).map(Peer::new)
    }

    /// Every session.
    pub fn peers(&self) -> Vec<PeerReport> {
        self.shared.endpoints.engine.sessions.all().iter().map(|session| PeerReport::of(session)).collect()
    }

    /// Peers coming, falling silent and going, from now on.
    pub fn events(&self) -> broadcast::Receiver<PeerEvent> {
        self.shared.endpoints.engine.events.subscribe()
    }

    /// Calls to `/cluster/..` go to this server; `None` while no leader is known.
    pub fn set_leader(&self, machine: Option<&str>) {
        self.shared.leader.set(machine);
    }

    /// Closes every session of an identity at once; how many there were. Whether it may come back is the trust
    /// ledger's to say.
    pub fn close_peer(&self, peer: &PeerIdentity, reason: &'static str) -> usize {
        let sessions = self.shared.endpoints.engine.sessions.of(peer);
        for session in &sessions {
            session.close(close_code::REVOKED, reason);
        }
        sessions.len()
    }

    /// Checks every standing session against the trust ledger and closes those whose certificate was withdrawn;
    /// how many. To be called when the ledger changed.
    pub fn recheck_trust(&self) -> usize {
        let profile = &self.shared.endpoints.profile;
        self.shared.endpoints.engine.sessions.all().iter().filter(|session| session.recheck(profile)).count()
    }

    /// Moves the dialling socket to another address (port 0 for any); sessions migrate with what is in flight.
    pub fn rebind(&self, to: SocketAddr) -> Result<SocketAddr, BusError> {
        let _on_runtime = self.shared.endpoints.engine.io.enter();
        self.shared.endpoints.rebind(to)
    }

    /// How often something was refused for this reason.
    pub fn refused(&self, reason: Refusal) -> u64 {
        self.shared.endpoints.engine.refused(reason)
    }

    /// Handshakes of strangers in progress.
    pub fn handshakes(&self) -> usize {
        self.shared.endpoints.handshakes()
    }

    /// Connections in any state.
    pub fn connections(&self) -> usize {
        self.shared.endpoints.connections()
    }

    /// Ends every session and both sockets; waits up to `grace` for the peers to hear of it.
    pub async fn shutdown(&self, grace: Duration) {
        for session in self.shared.endpoints.engine.sessions.all() {
            session.close(close_code::SHUTDOWN, "this process shuts down");
        }
        self.shared.endpoints.close();
        // Peers that do not answer notice by their own time-outs.
        let _ = tokio::time::timeout(grace, self.shared.endpoints.idle()).await;
    }
}

impl Shared {
    /// Makes the link actor of a machine, if there is none yet.
    pub(crate) fn ensure_link(self: &Arc<Self>, peer: &PeerIdentity) {
        let Some(supervisor) = self.supervisor.get() else { return };
        if !peer.is_machine() {
            return;
        }
        let peer = PeerIdentity::new(peer.kind, &peer.name);
        let spec = {
            let mut links = self.links.lock();
            let addresses = links.entry(peer.clone()).or_default();
            link_spec(self, &peer, addresses)
        };
        match supervisor.add(spec) {
            Ok(_) | Err(ChildError::Exists(_)) => {}
            Err(error) => tracing::error!(%peer, %error, "no link actor for this peer"),
        }
    }

    /// Links for every known machine.
    pub(crate) fn ensure_links(self: &Arc<Self>) {
        let mut peers: Vec<PeerIdentity> = self.links.lock().keys().cloned().collect();
        peers.extend(self.endpoints.engine.sessions.all().iter().map(|session| (*session.peer).clone()));
        for peer in peers {
            self.ensure_link(&peer);
        }
    }
}
