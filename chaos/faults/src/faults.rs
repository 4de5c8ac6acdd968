//! The handle that fault points hold.

use crate::rule::{BusFault, Direction, FaultId, FaultRule, MailboxFault};
use crate::table::{ArmError, ArmedFault, HealError, RuleTable};
use parking_lot::Mutex;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use trireme_core::Tick;

/// The fault rules of one process; clones share them.
///
/// Fault points call [`mailbox`](Self::mailbox) and [`bus`](Self::bus) on every input and frame. Without a live
/// rule each is one relaxed load and a predictable branch; with one, the questions go through a lock.
#[derive(Clone)]
pub struct Faults {
    shared: Arc<Shared>,
}

struct Shared {
    /// Whether some rule can still act. Written under the lock only; a reader that sees an older value acts as if
    /// it had asked a moment earlier.
    live: AtomicBool,
    enabled: bool,
    table: Mutex<RuleTable>,
}

impl Faults {
    /// A handle without rules that accepts rules later.
    #[must_use]
    pub fn new() -> Self {
        Self::with(true)
    }

    /// A handle that refuses every rule: for processes and tests that must not misbehave.
    #[must_use]
    pub fn none() -> Self {
        Self::with(false)
    }

    fn with(enabled: bool) -> Self {
        let table = Mutex::new(RuleTable::default());
        Self { shared: Arc::new(Shared { live: AtomicBool::new(false), enabled, table }) }
    }

    /// Whether no rule can act: one relaxed load.
    #[inline]
    #[must_use]
    pub fn is_idle(&self) -> bool {
        !self.shared.live.load(Ordering::Relaxed)
    }

    /// What to do to the input that the actor at `path` is about to handle; `None` is: handle it.
    #[inline]
    #[must_use]
    pub fn mailbox(&self, path: &str, now: Tick) -> Option<MailboxFault> {
        if self.is_idle() { None } else { self.mailbox_cold(path, now) }
    }

    /// What to do to a frame of `class` going `way` (seen from here) between this machine and `peer`; `None` is:
    /// let it pass.
    #[inline]
    #[must_use]
    pub fn bus(&self, peer: &str, class: &str, way: Direction, now: Tick) -> Option<BusFault> {
        if self.is_idle() { None } else { self.bus_cold(peer, class, way, now) }
    }

    /// Arms a rule from `now` on, until it is healed or its dead-man limit has passed.
    ///
    /// # Errors
    /// The rule is invalid, its id is taken, the table is full, or injection is off ([`Faults::none`]).
    pub fn arm(&self, rule: FaultRule, now: Tick) -> Result<FaultId, ArmError> {
        if !self.shared.enabled {
            return Err(ArmError::Disabled);
        }
        let armed = self.change(|table| table.arm(rule, now));
        if let Ok(id) = &armed {
            tracing::warn!(rule = %id, "fault rule armed");
        }
        armed
    }

    /// Takes one rule out.
    ///
    /// # Errors
    /// The rule is not armed (any more).
    pub fn heal(&self, id: &FaultId) -> Result<(), HealError> {
        self.change(|table| table.heal(id))?;
        tracing::warn!(rule = %id, "fault rule healed");
        Ok(())
    }

    /// Takes every rule out and says how many there were.
    pub fn heal_all(&self) -> usize {
        let healed = self.change(RuleTable::heal_all);
        if healed > 0 {
            tracing::warn!(healed, "all fault rules healed");
        }
        healed
    }

    /// The armed rules at `now`, in the order they were armed.
    #[must_use]
    pub fn list(&self, now: Tick) -> Vec<ArmedFault> {
        self.shared.table.lock().list(now)
    }

    /// When [`expire`](Self::expire) wants to run next; the actor that arms rules keeps a timer there.
    #[must_use]
    pub fn next_expiry(&self) -> Option<Tick> {
        self.shared.table.lock().next_expiry()
    }

    /// Retires the rules whose dead-man limit has passed at `now` and returns their ids.
    pub fn expire(&self, now: Tick) -> Vec<FaultId> {
        let expired = self.change(|table| table.expire(now));
        log_expired(&expired);
        expired
    }

    #[cold]
    fn mailbox_cold(&self, path: &str, now: Tick) -> Option<MailboxFault> {
        let (expired, hit) = self.change(|table| (table.expire(now), table.decide_mailbox(path)));
        log_expired(&expired);
        let (rule, fault) = hit?;
        tracing::info!(%rule, path, ?fault, "mailbox fault");
        Some(fault)
    }

    #[cold]
    fn bus_cold(&self, peer: &str, class: &str, way: Direction, now: Tick) -> Option<BusFault> {
        let (expired, hit) = self.change(|table| (table.expire(now), table.decide_bus(peer, class, way)));
        log_expired(&expired);
        let (rule, fault) = hit?;
        tracing::debug!(%rule, peer, class, ?way, ?fault, "bus fault");
        Some(fault)
    }

    /// Runs `act` on the table and brings the idle flag in line before the lock is given up.
    fn change<R>(&self, act: impl FnOnce(&mut RuleTable) -> R) -> R {
        let mut table = self.shared.table.lock();
        let result = act(&mut table);
        self.shared.live.store(table.is_live(), Ordering::Relaxed);
        result
    }
}

impl Default for Faults {
    /// [`Faults::none`].
    fn default() -> Self {
        Self::none()
    }
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Faults")
            .field("idle", &self.is_idle())
            .field("enabled", &self.shared.enabled)
            .finish()
    }
}

fn log_expired(expired: &[FaultId]) {
    for rule in expired {
        tracing::warn!(%rule, "fault rule healed by its dead-man limit");
    }
}

#[cfg(test)]
#[path = "faults_test.rs"]
mod tests;
