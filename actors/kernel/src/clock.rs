use std::time::{Duration, Instant};

use trireme_core::Tick;

/// The kernel's clock: monotonic time since the kernel started.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    origin: Instant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self { origin: Instant::now() }
    }

    pub(crate) fn now(&self) -> Tick {
        Tick::ZERO + self.origin.elapsed()
    }

    pub(crate) fn instant(&self, at: Tick) -> tokio::time::Instant {
        /// Far enough never to be reached, near enough not to overflow.
        const FAR: Duration = Duration::from_secs(30 * 365 * 24 * 3600);
        let span = Duration::from_nanos(at.as_nanos()).min(FAR);
        tokio::time::Instant::from_std(self.origin + span)
    }
}
