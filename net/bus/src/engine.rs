//! What all sessions of a process share.

use crate::admission::{Refusal, RefusalLog};
use crate::clock::BusClock;
use crate::config::BusConfig;
use crate::identity::PeerIdentity;
use crate::keyed::KeyedCalls;
use crate::liveness::Liveness;
use crate::permission::{Denied, PermissionTable};
use crate::service::{Publishers, Service};
use crate::sessions::Sessions;
use parking_lot::Mutex;
use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::broadcast;
use trireme_core::Tick;
use trireme_faults::Faults;
use trireme_kernel::Class;

/// Liveness events kept for a slow listener; one that lags is told so and reads [`crate::Bus::peers`].
const EVENTS_KEPT: usize = 1024;

/// Something happened to a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerEvent {
    /// Who.
    pub peer: Arc<PeerIdentity>,
    /// What.
    pub liveness: Liveness,
    /// The connection's present estimate of a round trip.
    pub round_trip: Duration,
}

/// Parts given at the start of a bus.
pub(crate) struct EngineParts {
    pub(crate) me: PeerIdentity,
    pub(crate) config: BusConfig,
    pub(crate) clock: BusClock,
    pub(crate) faults: Faults,
    pub(crate) permissions: PermissionTable,
    pub(crate) service: Arc<dyn Service>,
    pub(crate) publishers: Arc<dyn Publishers>,
    pub(crate) io: Handle,
    /// Tells this start of the process from earlier ones.
    pub(crate) instance: u64,
}

pub(crate) struct Engine {
    pub(crate) me: PeerIdentity,
    pub(crate) config: BusConfig,
    pub(crate) clock: BusClock,
    pub(crate) faults: Faults,
    pub(crate) permissions: PermissionTable,
    pub(crate) service: Arc<dyn Service>,
    pub(crate) publishers: Arc<dyn Publishers>,
    pub(crate) io: Handle,
    pub(crate) instance: u64,
    pub(crate) keyed: KeyedCalls,
    pub(crate) sessions: Sessions,
    pub(crate) events: broadcast::Sender<PeerEvent>,
    refusals: Mutex<RefusalLog>,
}

impl Engine {
    pub(crate) fn new(parts: EngineParts) -> Arc<Self> {
        let EngineParts { me, config, clock, faults, permissions, service, publishers, io, instance } = parts;
        Arc::new(Self {
            keyed: KeyedCalls::new(config.dedupe),
            sessions: Sessions::new(me.clone()),
            events: broadcast::Sender::new(EVENTS_KEPT),
            refusals: Mutex::default(),
            me,
            config,
            clock,
            faults,
            permissions,
            service,
            publishers,
            io,
            instance,
        })
    }

    pub(crate) fn now(&self) -> Tick {
        self.clock.now()
    }

    /// Resolves at `at`.
    pub(crate) async fn sleep_until(&self, at: Tick) {
        tokio::time::sleep(at.since(self.now())).await;
    }

    /// Counts a refusal and tells it, at most once per reason and period.
    pub(crate) fn refuse(&self, refusal: Refusal, who: &dyn Display, detail: &dyn Display) {
        let speaks_for = self.refusals.lock().note(self.now(), refusal);
        if let Some(count) = speaks_for {
            tracing::warn!(reason = ?refusal, %who, %detail, count, "{}", refusal.advice());
        }
    }

    pub(crate) fn refused(&self, refusal: Refusal) -> u64 {
        self.refusals.lock().count(refusal)
    }

    /// The permission check, with its log line.
    pub(crate) fn permit(
        &self,
        peer: &PeerIdentity,
        path: &str,
        call: &str,
        class: Class,
    ) -> Result<(), Denied> {
        self.permissions.check(peer, path, call, class).inspect_err(|denied| {
            self.refuse(Refusal::Denied, peer, denied);
        })
    }
}
