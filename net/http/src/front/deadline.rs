//! One lazy timer for a connection: it is moved only when it would ring too late, and looks again when it rings early.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};
use trireme_core::Tick;

/// The farthest that a timer is set; a connection without a deadline is looked at this often.
const LOOK_AGAIN: Duration = Duration::from_secs(300);

/// The clock of one front: ticks since its start.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FrontClock(Instant);

impl FrontClock {
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn now(self) -> Tick {
        Tick::from_nanos(u64::try_from(self.0.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    fn instant(self, tick: Tick) -> Instant {
        self.0 + Duration::from_nanos(tick.as_nanos())
    }
}

/// See the module.
pub(crate) struct LazyTimer {
    clock: FrontClock,
    sleep: Pin<Box<Sleep>>,
    armed: Tick,
}

impl LazyTimer {
    pub(crate) fn new(clock: FrontClock) -> Self {
        let armed = clock.now() + LOOK_AGAIN;
        Self { clock, sleep: Box::pin(sleep_until(clock.instant(armed))), armed }
    }

    /// Ready when `deadline` may have passed; otherwise the task will be woken in time.
    pub(crate) fn poll(&mut self, deadline: Tick, cx: &mut Context<'_>) -> Poll<()> {
        if deadline < self.armed {
            self.arm(deadline);
        }
        while self.sleep.as_mut().poll(cx).is_ready() {
            let now = self.clock.now();
            if deadline <= now {
                self.arm(now + LOOK_AGAIN);
                return Poll::Ready(());
            }
            self.arm(deadline.min(now + LOOK_AGAIN));
        }
        Poll::Pending
    }

    fn arm(&mut self, tick: Tick) {
        self.armed = tick;
        self.sleep.as_mut().reset(self.clock.instant(tick));
    }
}
