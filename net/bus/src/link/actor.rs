//! The actor around a [`LinkCore`].

use super::{LinkCore, LinkEffect, LinkInput, LinkLimits, LinkState};
use crate::bus::Shared;
use crate::identity::{IdentityKind, PeerIdentity};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use trireme_kernel::{ActorSpec, Context, CoreHost, IoId, Perform, StartError};

/// How long a link's watcher waits for room in its mailbox before it looks again.
const NUDGE_WAIT: Duration = Duration::from_secs(1);

/// The name of a peer's link below `peer`: its own name for a server, `node:<name>` for a node.
pub(crate) fn link_name(peer: &PeerIdentity) -> String {
    match peer.kind {
        IdentityKind::Server => peer.name.to_string(),
        kind => format!("{kind}:{}", peer.name),
    }
}

/// A link to `peer`, dialled at what `addresses` shows.
pub(crate) fn link_spec(
    shared: &Arc<Shared>,
    peer: &PeerIdentity,
    addresses: &watch::Sender<Vec<SocketAddr>>,
) -> ActorSpec<CoreHost<LinkCore, LinkHost>> {
    let (shared, peer, addresses) = (Arc::downgrade(shared), peer.clone(), addresses.subscribe());
    let name = link_name(&peer);
    ActorSpec::new(name, move |birth| {
        let me =
            shared.upgrade().map(|shared| shared.endpoints.engine.me.name.to_string()).unwrap_or_default();
        let core = LinkCore::new(&me, LinkLimits::default(), birth.seed);
        let host = LinkHost {
            shared: shared.clone(),
            peer: peer.clone(),
            addresses: addresses.clone(),
            dials: BTreeMap::new(),
        };
        CoreHost::new(core, host)
    })
}

/// Carries out a link's effects.
pub(crate) struct LinkHost {
    shared: std::sync::Weak<Shared>,
    peer: PeerIdentity,
    addresses: watch::Receiver<Vec<SocketAddr>>,
    dials: BTreeMap<u64, IoId>,
}

type LinkContext = Context<CoreHost<LinkCore, LinkHost>>;

impl LinkHost {
    fn dial(&mut self, dial: u64, to: SocketAddr, cx: &mut LinkContext) {
        let (shared, peer) = (self.shared.clone(), self.peer.clone());
        let work = async move {
            let dialled = match shared.upgrade() {
                Some(shared) => {
                    shared.endpoints.dial_peer(to, &peer).await.map(drop).map_err(|e| e.to_string())
                }
                None => Err("the bus was stopped".to_owned()),
            };
            if let Err(error) = &dialled {
                tracing::debug!(%peer, %to, %error, "dial failed");
            }
            LinkInput::DialEnded { dial, failed: dialled.is_err() }
        };
        match cx.spawn_io(work) {
            Ok(io) => {
                self.dials.insert(dial, io);
                // Older dials are finished or cancelled.
                while self.dials.len() > 4 {
                    self.dials.pop_first();
                }
            }
            Err(limit) => cx.fail(limit.to_string()),
        }
    }
}

impl Perform<LinkCore> for LinkHost {
    fn started(&mut self, cx: &mut LinkContext) -> Result<Option<LinkInput>, StartError> {
        let Some(shared) = self.shared.upgrade() else {
            return Err(StartError("the bus was stopped".to_owned()));
        };
        let sessions = &shared.endpoints.engine.sessions;
        let (address, peer) = (cx.address(), self.peer.clone());
        let mut changed = sessions.watch(&self.peer);
        let mut addresses = self.addresses.clone();
        let weak = self.shared.clone();
        // The table may change before the watch begins: look once at the start.
        changed.mark_changed();
        addresses.mark_changed();
        let watcher = async move {
            loop {
                let input = tokio::select! {
                    biased;
                    seen = changed.changed() => match (seen, weak.upgrade()) {
                        (Ok(()), Some(shared)) => {
                            changed.borrow_and_update();
                            LinkInput::Sessions(shared.endpoints.engine.sessions.claims(&peer))
                        }
                        _ => return,
                    },
                    seen = addresses.changed() => match seen {
                        Ok(()) => LinkInput::Addresses(addresses.borrow_and_update().clone()),
                        Err(_) => return,
                    },
                };
                while let Err(error) = address.send_wait(input.clone(), NUDGE_WAIT).await {
                    if address.is_closed() {
                        return tracing::debug!(%error, "link is gone");
                    }
                }
            }
        };
        cx.spawn_task(watcher).map_err(|limit| StartError(limit.to_string()))?;
        Ok(None)
    }

    fn perform(&mut self, effect: LinkEffect, cx: &mut LinkContext) {
        match effect {
            LinkEffect::Dial { dial, to } => self.dial(dial, to, cx),
            LinkEffect::CancelDial { dial } => {
                if let Some(io) = self.dials.remove(&dial) {
                    cx.abort_io(io);
                }
            }
            LinkEffect::Drain { session } => {
                let session =
                    self.shared.upgrade().and_then(|shared| shared.endpoints.engine.sessions.get(session));
                if let Some(session) = session {
                    tracing::debug!(peer = %self.peer, session = session.id, "session superseded");
                    session.drain();
                }
            }
        }
    }

    fn state_name(&self, core: &LinkCore) -> &'static str {
        match core.state() {
            LinkState::Waiting => "waiting",
            LinkState::Dialing { .. } => "dialing",
            LinkState::BackingOff { .. } => "backing-off",
            LinkState::Connected { .. } => "connected",
        }
    }

    fn label(input: &LinkInput) -> &'static str {
        match input {
            LinkInput::Addresses(_) => "addresses",
            LinkInput::Sessions(_) => "sessions",
            LinkInput::DialEnded { .. } => "dial-ended",
        }
    }
}
