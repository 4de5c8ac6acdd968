use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use parking_lot::RwLock;
use tokio::runtime::Handle;
use trireme_faults::Faults;

use crate::arbiter::Arbiters;
use crate::clock::Clock;
use crate::gauges::Gauges;
use crate::slot::AnySlot;
use crate::{ActorPath, Remote};

/// What every part of one kernel shares.
pub(crate) struct Shared {
    pub(crate) machine: String,
    pub(crate) seed: u64,
    pub(crate) clock: Clock,
    pub(crate) io: Handle,
    pub(crate) faults: Faults,
    pub(crate) arbiters: Arbiters,
    pub(crate) gauges: Arc<Gauges>,
    pub(crate) next_slot: AtomicU64,
    pub(crate) slots: RwLock<BTreeMap<ActorPath, Arc<dyn AnySlot>>>,
    pub(crate) remote: RwLock<Option<Arc<dyn Remote>>>,
}
