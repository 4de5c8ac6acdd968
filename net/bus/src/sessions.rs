//! The sessions of a process: who can be reached over which connection right now.
//!
//! This table, not the link actors, owns live sessions: a link that restarts finds its session here. Links watch
//! their peer's entry and decide which of several connections stays; until one has decided, any live session
//! carries requests.

use crate::identity::{IdentityKind, PeerIdentity};
use crate::link::{Claim, preferred};
use crate::session::Session;
use parking_lot::RwLock;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::watch;

pub(crate) struct Sessions {
    me: PeerIdentity,
    table: RwLock<Table>,
}

/// What became of a new session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Added {
    /// It is in the table.
    Listed,
    /// The identity has too many.
    TooMany,
    /// It had ended before.
    Ended,
}

#[derive(Default)]
struct Table {
    /// Sessions of connections that were dialled by the peer.
    accepted: usize,
    all: BTreeMap<u64, Arc<Session>>,
    peers: BTreeMap<PeerIdentityKey, Peer>,
}

type PeerIdentityKey = (IdentityKind, Arc<str>);

struct Peer {
    ids: Vec<u64>,
    /// The session new requests use.
    route: Option<Arc<Session>>,
    changed: watch::Sender<()>,
}

impl Sessions {
    pub(crate) fn new(me: PeerIdentity) -> Self {
        Self { me, table: RwLock::default() }
    }

    /// Adds an established session, unless its identity has too many.
    pub(crate) fn add(&self, session: &Arc<Session>, guests_limit: usize) -> Added {
        let added = self.list(session, guests_limit);
        if added == Added::Listed {
            // The peer has asked to leave these for a connection that this side did not have yet.
            for other in self.of(&session.peer).into_iter().filter(|other| other.id != session.id) {
                other.drain_if_asked();
            }
        }
        added
    }

    fn list(&self, session: &Arc<Session>, guests_limit: usize) -> Added {
        let mut table = self.table.write();
        // Asked under the lock: a session that ends later finds itself here when it takes itself out.
        if session.is_closed() {
            return Added::Ended;
        }
        let Table { accepted, all, peers } = &mut *table;
        let peer = peers.entry(key_of(&session.peer)).or_insert_with(Peer::new);
        if !session.peer.is_machine() && peer.ids.len() >= guests_limit {
            return Added::TooMany;
        }
        *accepted += usize::from(!session.dialed());
        all.insert(session.id, Arc::clone(session));
        peer.ids.push(session.id);
        peer.choose(all, &self.me);
        Added::Listed
    }

    /// Forgets an ended session.
    pub(crate) fn remove(&self, session: &Session) {
        let mut table = self.table.write();
        let Table { accepted, all, peers } = &mut *table;
        if all.remove(&session.id).is_some() {
            *accepted -= usize::from(!session.dialed());
        }
        if let Some(peer) = peers.get_mut(&key_of(&session.peer)) {
            peer.ids.retain(|id| *id != session.id);
            peer.choose(all, &self.me);
            if peer.ids.is_empty() && peer.changed.is_closed() {
                peers.remove(&key_of(&session.peer));
            }
        }
    }

    /// A session started to drain.
    pub(crate) fn reconsider(&self, identity: &PeerIdentity) {
        let mut table = self.table.write();
        let Table { all, peers, .. } = &mut *table;
        if let Some(peer) = peers.get_mut(&key_of(identity)) {
            peer.choose(all, &self.me);
        }
    }

    /// The session to a machine: `kind` first, else the same machine in its other role.
    pub(crate) fn route(&self, kind: IdentityKind, machine: &str) -> Option<Arc<Session>> {
        let table = self.table.read();
        let other = if kind == IdentityKind::Node { IdentityKind::Server } else { IdentityKind::Node };
        [kind, other].into_iter().find_map(|kind| table.peers.get(&(kind, machine.into()))?.route.clone())
    }

    /// Wakes when the sessions of this peer change.
    pub(crate) fn watch(&self, identity: &PeerIdentity) -> watch::Receiver<()> {
        self.table.write().peers.entry(key_of(identity)).or_insert_with(Peer::new).changed.subscribe()
    }

    /// What a link decides on: the live sessions that are not draining.
    pub(crate) fn claims(&self, identity: &PeerIdentity) -> Vec<Claim> {
        self.of(identity)
            .iter()
            .filter(|session| !session.is_draining())
            .map(|session| session.claim())
            .collect()
    }

    /// Whether new requests to the peer of this session can go over another one that stays.
    pub(crate) fn has_another(&self, session: &Session) -> bool {
        let others = self.of(&session.peer).into_iter().filter(|other| other.id != session.id);
        others.into_iter().any(|other| !other.is_draining())
    }

    pub(crate) fn of(&self, identity: &PeerIdentity) -> Vec<Arc<Session>> {
        let table = self.table.read();
        let Some(peer) = table.peers.get(&key_of(identity)) else { return Vec::new() };
        peer.ids.iter().filter_map(|id| table.all.get(id).cloned()).collect()
    }

    pub(crate) fn get(&self, id: u64) -> Option<Arc<Session>> {
        self.table.read().all.get(&id).cloned()
    }

    pub(crate) fn all(&self) -> Vec<Arc<Session>> {
        self.table.read().all.values().cloned().collect()
    }

    /// Sessions of connections that were dialled by their peers.
    pub(crate) fn accepted(&self) -> usize {
        self.table.read().accepted
    }

    pub(crate) fn len(&self) -> usize {
        self.table.read().all.len()
    }
}

impl Peer {
    fn new() -> Self {
        Self { ids: Vec::new(), route: None, changed: watch::Sender::new(()) }
    }

    fn choose(&mut self, all: &BTreeMap<u64, Arc<Session>>, me: &PeerIdentity) {
        let claims_of = |draining: bool| -> Vec<Claim> {
            let sessions = self.ids.iter().filter_map(|id| all.get(id));
            let chosen = sessions.filter(|session| !session.is_closed() && session.is_draining() == draining);
            chosen.map(|session| session.claim()).collect()
        };
        let mut claims = claims_of(false);
        if claims.is_empty() {
            // The peer may know of the connection that stays before this side does; until then the draining one
            // still carries requests, and does not close while they are in flight.
            claims = claims_of(true);
        }
        self.route = preferred(&claims, &me.name).and_then(|id| all.get(&id).cloned());
        self.changed.send_replace(());
    }
}

fn key_of(identity: &PeerIdentity) -> PeerIdentityKey {
    (identity.kind, Arc::clone(&identity.name))
}
