//! How much may be in flight: as much as loss allows, but no more than what keeps queues short.
//!
//! A loss-based controller fills every buffer on the path before it yields; on a local network that is megabytes,
//! and a raft frame behind them waits for tens of milliseconds, whatever its stream's priority. So Cubic is held
//! below a cap that follows the round trip: while acknowledgements come back later than an unloaded path would
//! bring them, the cap shrinks; while they come in time, it grows. (The idea of TCP Vegas and LEDBAT, RFC 6817.)

use quinn::congestion::{Controller, ControllerFactory, CubicConfig};
use quinn_proto::RttEstimator;
use std::any::Any;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Delay by queues that is put up with, beside half of the unloaded round trip.
const QUEUE_DELAY: Duration = Duration::from_micros(60);
/// Datagrams that may be in flight however slow the path seems.
const FLOOR_DATAGRAMS: u64 = 6;
/// Where the cap starts, in datagrams.
const START_DATAGRAMS: u64 = 32;
/// Largest cap in bytes: what a connection's windows allow anyway.
const CAP_LIMIT_BYTES: u64 = 64 * 1024 * 1024;

/// Makes controllers.
#[derive(Debug, Default)]
pub(super) struct ShortQueues {
    cubic: Arc<CubicConfig>,
}

impl ControllerFactory for ShortQueues {
    fn build(self: Arc<Self>, now: Instant, mtu: u16) -> Box<dyn Controller> {
        let inner = Arc::clone(&self.cubic).build(now, mtu);
        Box::new(Capped { inner, mtu: u64::from(mtu), cap: START_DATAGRAMS * u64::from(mtu), epoch: now })
    }
}

struct Capped {
    inner: Box<dyn Controller>,
    mtu: u64,
    cap: u64,
    /// When the cap was last shrunk: once per round trip is enough to see the effect.
    epoch: Instant,
}

impl Capped {
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
        self.inner.window().min(self.cap)
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        let inner = self.inner.clone_box();
        Box::new(Self { inner, mtu: self.mtu, cap: self.cap, epoch: self.epoch })
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
        let mut capped = Capped { inner: cubic, mtu: 1200, cap: 100_000, epoch: now };
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
        assert_eq!(capped.window(), FLOOR_DATAGRAMS * 1200);
        capped.follow(at(9_000), 1200, false, Duration::from_micros(200), unloaded);
        assert_eq!(capped.cap, FLOOR_DATAGRAMS * 1200 + 150);
        capped.follow(at(9_001), 1200, true, Duration::from_micros(200), unloaded);
        assert_eq!(capped.cap, FLOOR_DATAGRAMS * 1200 + 150, "an idle application proves nothing");
    }
}
