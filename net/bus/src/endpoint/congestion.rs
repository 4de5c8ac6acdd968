//! How much may be in flight: as much as loss allows, but no more than what keeps queues short.
//!
//! A loss-based controller fills every buffer on the path before it yields; on a local network that is megabytes,
//! and a raft frame behind them waits for tens of milliseconds, whatever its stream's priority. So Cubic is held
//! below a cap that follows the round trip: while acknowledgements come back later than an unloaded path would
//! bring them, the cap shrinks; while they come in time, it grows. (The idea of TCP Vegas and LEDBAT, RFC 6817.)
//!
//! The cap is in force only while bulk is being written ([`BulkGauge`]): small messages alone do not fill queues, and
//! held back they would cost more wake-ups each.

use quinn::congestion::{Controller, ControllerFactory, CubicConfig};
use quinn_proto::RttEstimator;
use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Delay by queues that is put up with, beside half of the unloaded round trip.
const QUEUE_DELAY: Duration = Duration::from_micros(60);
/// Datagrams that may be in flight however slow the path seems.
const FLOOR_DATAGRAMS: u64 = 6;
/// Where the cap starts, in datagrams.
const START_DATAGRAMS: u64 = 32;
/// Largest cap in bytes: what a connection's windows allow anyway.
const CAP_LIMIT_BYTES: u64 = 64 * 1024 * 1024;

/// How long the cap stays in force after a bulk write: what the write left in buffers is sent under it.
const LINGER: Duration = Duration::from_millis(50);

/// How many bulk writes are under way on a connection, and how many there ever were; clones share the counts.
#[derive(Clone, Debug, Default)]
pub(crate) struct BulkGauge(Arc<BulkCounts>);

#[derive(Debug, Default)]
struct BulkCounts {
    under_way: AtomicUsize,
    ever: AtomicUsize,
}

/// One bulk write under way.
#[derive(Debug)]
pub(crate) struct BulkWrite(BulkGauge);

impl BulkGauge {
    /// The gauge that a connection's controller reads.
    pub(crate) fn of(connection: &quinn::Connection) -> Self {
        match connection.congestion_state().into_any().downcast::<Capped>() {
            Ok(controller) => controller.bulk,
            // Another controller holds nothing back.
            Err(_) => Self::default(),
        }
    }

    /// Counts until the guard is dropped.
    pub(crate) fn enter(&self) -> BulkWrite {
        self.0.ever.fetch_add(1, Ordering::Relaxed);
        self.0.under_way.fetch_add(1, Ordering::Relaxed);
        BulkWrite(self.clone())
    }

    fn is_idle(&self) -> bool {
        self.0.under_way.load(Ordering::Relaxed) == 0
    }

    fn ever(&self) -> usize {
        self.0.ever.load(Ordering::Relaxed)
    }
}

impl Drop for BulkWrite {
    fn drop(&mut self) {
        self.0.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Makes controllers.
#[derive(Debug, Default)]
pub(super) struct ShortQueues {
    cubic: Arc<CubicConfig>,
}

impl ControllerFactory for ShortQueues {
    fn build(self: Arc<Self>, now: Instant, mtu: u16) -> Box<dyn Controller> {
        let inner = Arc::clone(&self.cubic).build(now, mtu);
        let cap = START_DATAGRAMS * u64::from(mtu);
        Box::new(Capped {
            inner,
            mtu: u64::from(mtu),
            cap,
            epoch: now,
            bulk: BulkGauge::default(),
            seen: 0,
            capped: false,
            capped_at: now,
        })
    }
}

struct Capped {
    inner: Box<dyn Controller>,
    mtu: u64,
    cap: u64,
    /// When the cap was last shrunk: once per round trip is enough to see the effect.
    epoch: Instant,
    bulk: BulkGauge,
    /// Bulk writes of which this controller knows.
    seen: usize,
    /// Whether the cap is in force, and when there last was a reason.
    capped: bool,
    capped_at: Instant,
}

impl Capped {
    /// Puts the cap in force while there is bulk, and lifts it a while after.
    fn look(&mut self, now: Instant) {
        let ever = self.bulk.ever();
        if ever != self.seen || !self.bulk.is_idle() {
            (self.seen, self.capped, self.capped_at) = (ever, true, now);
        } else if self.capped && now.saturating_duration_since(self.capped_at) >= LINGER {
            self.capped = false;
        }
    }

    fn follow(&mut self, now: Instant, acked: u64, limited: bool, round_trip: Duration, unloaded: Duration) {
        if round_trip > unloaded + unloaded / 2 + QUEUE_DELAY {
            if now.saturating_duration_since(self.epoch) >= round_trip {
                self.epoch = now;
                self.cap = (self.cap - self.cap / 8).max(FLOOR_DATAGRAMS * self.mtu);
            }
        } else if !limited && self.cap < self.inner.window().saturating_mul(2) {
            // An eighth per round trip: as fast up as down.
            self.cap = (self.cap + acked / 8).min(CAP_LIMIT_BYTES);
        }
    }
}

impl Controller for Capped {
    fn on_sent(&mut self, now: Instant, bytes: u64, last_packet_number: u64) {
        self.look(now);
        self.inner.on_sent(now, bytes, last_packet_number);
    }

    fn on_ack(&mut self, now: Instant, sent: Instant, bytes: u64, app_limited: bool, rtt: &RttEstimator) {
        self.inner.on_ack(now, sent, bytes, app_limited, rtt);
        self.follow(now, bytes, app_limited, rtt.get(), rtt.min());
    }

    fn on_end_acks(&mut self, now: Instant, in_flight: u64, app_limited: bool, largest_acked: Option<u64>) {
        self.inner.on_end_acks(now, in_flight, app_limited, largest_acked);
    }

    fn on_congestion_event(&mut self, now: Instant, sent: Instant, is_persistent: bool, lost_bytes: u64) {
        self.inner.on_congestion_event(now, sent, is_persistent, lost_bytes);
    }

    fn on_mtu_update(&mut self, new_mtu: u16) {
        self.mtu = u64::from(new_mtu);
        self.inner.on_mtu_update(new_mtu);
    }

    fn window(&self) -> u64 {
        let free = !self.capped && self.bulk.is_idle();
        if free { self.inner.window() } else { self.inner.window().min(self.cap) }
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        let inner = self.inner.clone_box();
        Box::new(Self { inner, bulk: self.bulk.clone(), ..*self })
    }

    fn initial_window(&self) -> u64 {
        self.inner.initial_window()
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cap_follows_the_round_trip() {
        let now = Instant::now();
        let cubic = Arc::new(CubicConfig::default()).build(now, 1200);
        let bulk = BulkGauge::default();
        let mut capped = Capped {
            inner: cubic,
            mtu: 1200,
            cap: 100_000,
            epoch: now,
            bulk: bulk.clone(),
            seen: 0,
            capped: false,
            capped_at: now,
        };
        let unloaded = Duration::from_micros(100);
        let at = |ms| now + Duration::from_millis(ms);
        capped.follow(at(10), 1200, false, Duration::from_millis(5), unloaded);
        assert_eq!(capped.cap, 87_500);
        capped.follow(at(11), 1200, false, Duration::from_millis(5), unloaded);
        assert_eq!(capped.cap, 87_500, "once per round trip");
        for step in 0..200 {
            capped.follow(at(20 + 10 * step), 1200, false, Duration::from_millis(5), unloaded);
        }
        assert_eq!(capped.cap, FLOOR_DATAGRAMS * 1200);
        let uncapped = capped.inner.window();
        assert_eq!(capped.window(), uncapped, "without bulk nothing is held back");
        let write = bulk.enter();
        assert_eq!(capped.window(), FLOOR_DATAGRAMS * 1200);
        assert_eq!(capped.clone_box().window(), FLOOR_DATAGRAMS * 1200, "a copy reads the same gauge");
        capped.look(at(9_000));
        drop(write);
        capped.look(at(9_010));
        assert_eq!(capped.window(), FLOOR_DATAGRAMS * 1200, "what it left behind is still being sent");
        capped.look(at(9_060));
        assert_eq!(capped.window(), uncapped);
        capped.follow(at(9_000), 1200, false, Duration::from_micros(200), unloaded);
        assert_eq!(capped.cap, FLOOR_DATAGRAMS * 1200 + 150);
        capped.follow(at(9_001), 1200, true, Duration::from_micros(200), unloaded);
        assert_eq!(capped.cap, FLOOR_DATAGRAMS * 1200 + 150, "an idle application proves nothing");
    }
}
