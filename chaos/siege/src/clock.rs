//! The one clock of a siege.

use std::time::Instant;

/// Nanoseconds since the siege began, monotonic, shared by every task.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    origin: Instant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self { origin: Instant::now() }
    }

    pub(crate) fn now(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_nanos()).expect("584 years fit into 64 bits of nanoseconds")
    }
}
