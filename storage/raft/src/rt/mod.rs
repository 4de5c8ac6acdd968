//! Time, tasks and threads, as the store uses them.
//!
//! In the product this is tokio and nothing else. With the feature `virtual-time` a thread can enter a
//! [`World`](virtual_time::World) instead, which then says what time it is, when a task runs and how long a sync
//! takes; threads that entered none still get tokio. The rest of the crate asks this module and cannot tell.

mod patience;
#[cfg(not(feature = "virtual-time"))]
mod real_time;
#[cfg(feature = "virtual-time")]
pub mod virtual_time;

pub(crate) use patience::EndsByItself;
#[cfg(not(feature = "virtual-time"))]
pub(crate) use real_time::*;
#[cfg(feature = "virtual-time")]
pub(crate) use virtual_time::{
    Instant, Runtime, Task, aside, before_sync, blocking, chance, is_virtual, sleep, spawn, timeout,
};
