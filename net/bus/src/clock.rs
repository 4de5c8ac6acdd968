//! The bus's clock, in step with the kernel's.

use std::time::Instant;
use trireme_core::Tick;

/// Monotonic time that continues a given tick.
#[derive(Debug, Clone, Copy)]
pub struct BusClock {
    base: Tick,
    origin: Instant,
}

impl BusClock {
    /// A clock that shows `now` at this moment; pass the kernel's.
    pub fn continuing(now: Tick) -> Self {
        Self { base: now, origin: Instant::now() }
    }

    /// The present.
    pub fn now(&self) -> Tick {
        self.base + self.origin.elapsed()
    }
}
