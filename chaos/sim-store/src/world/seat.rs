//! [`Seat`]: the world as the tasks of its machines know it, and [`Sleep`], a moment of a machine's clock.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::BoxFuture;
use trireme_core::Tick;
use trireme_raft::virtual_time;

use super::{Host, World};

/// What blocking work takes at most, in nanoseconds.
const BLOCKING_NS: u64 = 500_000;

/// The world as the machines' tasks know it.
pub(crate) struct Seat(pub(crate) Arc<World>);

impl virtual_time::World for Seat {
    fn now(&self) -> Duration {
        let mut inner = self.0.inner.lock();
        let host = inner.current;
        Duration::from_nanos(inner.local(host).as_nanos())
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        let host = self.0.inner.lock().current;
        self.0.add(host, task);
    }

    fn sleep_until(&self, at: Duration) -> BoxFuture<'static, ()> {
        let host = self.0.inner.lock().current;
        let at = Tick::ZERO + at;
        Box::pin(Sleep::new(self.0.clone(), host, at))
    }

    fn before_sync(&self) -> BoxFuture<'static, ()> {
        let span = {
            let mut inner = self.0.inner.lock();
            let host = inner.current;
            let machine = inner.hosts.entry(host).or_default();
            let (low, high) = machine.sync_ns;
            let slower: Duration = machine.slower.iter().sum();
            slower + Duration::from_nanos(inner.rng.between(low, high))
        };
        let now = virtual_time::World::now(self);
        self.sleep_until(now + span)
    }

    fn before_blocking(&self) -> BoxFuture<'static, ()> {
        let span = Duration::from_nanos(self.0.below(BLOCKING_NS));
        let now = virtual_time::World::now(self);
        self.sleep_until(now + span)
    }

    fn seed(&self) -> u64 {
        self.0.inner.lock().rng.next_u64()
    }
}

/// Ends when a machine's clock shows a moment.
pub(crate) struct Sleep {
    world: Arc<World>,
    host: Host,
    at: Tick,
    key: Option<(u64, u64)>,
}

impl Sleep {
    pub(super) fn new(world: Arc<World>, host: Host, at: Tick) -> Self {
        Self { world, host, at, key: None }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let mut inner = this.world.inner.lock();
        if let Some(key) = this.key.take() {
            inner.timers.remove(&key);
        }
        if inner.local(this.host) >= this.at {
            return Poll::Ready(());
        }
        let when = inner.hosts.entry(this.host).or_default().clock.world(this.at);
        let key = (when.as_nanos().max(inner.now + 1), inner.next_timer);
        inner.next_timer += 1;
        inner.timers.insert(key, (this.host, cx.waker().clone()));
        this.key = Some(key);
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(key) = self.key.take() {
            self.world.inner.lock().timers.remove(&key);
        }
    }
}
