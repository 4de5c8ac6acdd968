//! A session's one timer: heartbeats, liveness, overdue requests.
//!
//! Wakes for the next heartbeat, the moment at which the peer would count as silent, and the earliest deadline of
//! a request. Requests do not have timers of their own: while their deadlines come in order, as with one
//! deadline for all, only the first of them moves the alarm.

use super::driver::HEARTBEAT_CLASS;
use super::{CLOSED, Session};
use crate::engine::PeerEvent;
use crate::liveness::{Liveness, LivenessCore, LivenessInput};
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Notify;
use trireme_core::{Core, Tick};
use trireme_faults::{BusFault, Direction};

/// Sweeps are at least this far apart, so that scattered deadlines do not each cost a pass over the table.
const SWEEP_SPACING: Duration = Duration::from_millis(1);

/// The datagram that says "I am here".
const HEARTBEAT: &[u8] = b"\x01";

/// When the pulse next looks at deadlines.
#[derive(Debug)]
pub(super) struct Alarm {
    at: AtomicU64,
    moved: Notify,
}

impl Default for Alarm {
    fn default() -> Self {
        Self { at: AtomicU64::new(u64::MAX), moved: Notify::new() }
    }
}

impl Alarm {
    /// Makes sure the pulse wakes by `at`.
    pub(super) fn set(&self, at: Tick) {
        if at.as_nanos() < self.at.load(Ordering::Acquire)
            && at.as_nanos() < self.at.fetch_min(at.as_nanos(), Ordering::AcqRel)
        {
            self.moved.notify_one();
        }
    }

    /// Wakes the pulse at once.
    pub(super) fn wake(&self) {
        self.moved.notify_one();
    }

    fn at(&self) -> Tick {
        Tick::from_nanos(self.at.load(Ordering::Acquire))
    }

    /// Called before a sweep: whatever comes later sets it again.
    fn clear(&self) {
        self.at.store(u64::MAX, Ordering::Release);
    }
}

/// Runs until the session is over.
pub(super) async fn run(session: Arc<Session>) {
    let engine = Arc::clone(&session.engine);
    let mut liveness = LivenessCore::new(engine.config.silent_after);
    let mut next_heartbeat = engine.now();
    let mut last_sweep = engine.now();
    feed(&session, &mut liveness, LivenessInput::Connected);
    loop {
        let sweep_at = session.alarm.at().max(last_sweep + SWEEP_SPACING);
        let wake_at = sweep_at.min(next_heartbeat).min(liveness.deadline().unwrap_or(Tick::MAX));
        tokio::select! {
            () = engine.sleep_until(wake_at) => {}
            () = session.alarm.moved.notified() => {}
        }
        if session.phase.load(Ordering::Acquire) == CLOSED {
            return feed(&session, &mut liveness, LivenessInput::Disconnected);
        }
        let now = engine.now();
        if session.alarm.at() <= now && now >= last_sweep + SWEEP_SPACING {
            last_sweep = now;
            session.alarm.clear();
            let earliest = session.pending.sweep(now).into_iter().chain(session.sweep_served(now)).min();
            if let Some(at) = earliest {
                session.alarm.set(at);
            }
        }
        feed(&session, &mut liveness, LivenessInput::HeardAt(session.last_heard()));
        expire(&session, &mut liveness, now);
        if now >= next_heartbeat {
            next_heartbeat = now + engine.config.heartbeat;
            beat(&session, now);
        }
    }
}

fn beat(session: &Arc<Session>, now: Tick) {
    let send = |session: &Session| {
        // Lost, too large or unsupported: a heartbeat that does not go is noticed at the other end.
        let _ = session.connection.send_datagram(Bytes::from_static(HEARTBEAT));
    };
    match session.engine.faults.bus(&session.peer.name, HEARTBEAT_CLASS, Direction::Out, now) {
        None | Some(BusFault::Reorder | BusFault::Duplicate) => send(session),
        Some(BusFault::Drop | BusFault::Partition) => {}
        Some(BusFault::Delay(wait)) => {
            let session = Arc::clone(session);
            session.engine.io.clone().spawn(async move {
                tokio::time::sleep(wait).await;
                send(&session);
            });
        }
    }
}

fn feed(session: &Session, liveness: &mut LivenessCore, input: LivenessInput) {
    let mut out = Vec::new();
    liveness.step(session.engine.now(), input, &mut out);
    tell(session, out);
}

fn expire(session: &Session, liveness: &mut LivenessCore, now: Tick) {
    let mut out = Vec::new();
    liveness.expire(now, &mut out);
    tell(session, out);
}

fn tell(session: &Session, events: Vec<Liveness>) {
    for liveness in events {
        match liveness {
            Liveness::Up => tracing::debug!(peer = %session.peer, session = session.id, "peer up"),
            Liveness::SilentSince(at) => tracing::warn!(peer = %session.peer, since = %at, "peer silent"),
            Liveness::Down => tracing::debug!(peer = %session.peer, session = session.id, "peer down"),
        }
        let round_trip = session.connection.rtt();
        // Without listeners nobody needs to know.
        let _ =
            session.engine.events.send(PeerEvent { peer: Arc::clone(&session.peer), liveness, round_trip });
    }
}
