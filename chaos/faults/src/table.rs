//! The rule table: which rules are armed and what they decide. A pure core without clock, lock or randomness.

use crate::glob;
use crate::rule::{BusFault, Direction, FaultId, FaultPoint, FaultRule, MailboxFault, RuleError};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use trireme_core::Tick;

/// Most rules armed at a time, spent ones included.
pub const MAX_RULES: usize = 64;

/// Why a rule was not armed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum ArmError {
    /// The rule cannot work as written. Not retryable.
    #[error("fault rule refused: {0}")]
    Invalid(#[from] RuleError),
    /// The id is taken. Heal that rule first, or choose another id.
    #[error("a fault rule with id {0} is already armed; heal it first or choose another id")]
    Duplicate(FaultId),
    /// The table is full. Retryable once a rule is healed or has expired.
    #[error("{MAX_RULES} fault rules are armed already; heal one first")]
    TooMany,
    /// This process was started without fault injection. Not retryable.
    #[error("fault injection is off in this process")]
    Disabled,
}

/// Why a rule was not healed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum HealError {
    /// No such rule: it was healed before, or its dead-man limit has passed. Nothing is left to do.
    #[error("no fault rule {0} is armed: it was healed or its dead-man limit has passed")]
    Unknown(FaultId),
}

/// An armed rule as it is listed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArmedFault {
    /// The rule as it was armed.
    pub rule: FaultRule,
    /// How often its point and pattern matched.
    pub matches: u64,
    /// How often it acted.
    pub hits: u64,
    /// Whether it has used up `max_hits`; it stays listed until healed or expired.
    pub spent: bool,
    /// Milliseconds until it heals itself, rounded up.
    pub remaining_ms: u64,
}

/// Whether a rule with `seed` acts on its match number `nth` (from 0), when `per_mille` of 1000 shall be hit.
///
/// Pure, so a run can be repeated: the same seed and the same order of questions gives the same hits.
#[must_use]
pub fn decides(seed: u64, nth: u64, per_mille: u16) -> bool {
    // splitmix64's output function over the nth state: neighbouring numbers give unrelated draws.
    let mut z = seed.wrapping_add(nth.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^= z >> 31;
    z % 1_000 < u64::from(per_mille)
}

/// All rules of one process, in the order they were armed; the first one that acts wins.
#[derive(Debug, Default)]
pub(crate) struct RuleTable {
    rules: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    rule: FaultRule,
    expires: Tick,
    matches: u64,
    hits: u64,
}

impl RuleTable {
    /// Arms a rule until `now` plus its dead-man limit.
    pub(crate) fn arm(&mut self, rule: FaultRule, now: Tick) -> Result<FaultId, ArmError> {
        rule.validate()?;
        self.expire(now);
        if self.rules.iter().any(|entry| entry.rule.id == rule.id) {
            return Err(ArmError::Duplicate(rule.id));
        }
        if self.rules.len() >= MAX_RULES {
            return Err(ArmError::TooMany);
        }
        let expires = now + Duration::from_millis(rule.dead_man_ms);
        let id = rule.id.clone();
        self.rules.push(Entry { rule, expires, matches: 0, hits: 0 });
        assert!(self.rules.len() <= MAX_RULES, "the rule table outgrew its limit");
        Ok(id)
    }

    /// Takes a rule out by id.
    pub(crate) fn heal(&mut self, id: &FaultId) -> Result<(), HealError> {
        let at = self.rules.iter().position(|entry| entry.rule.id == *id);
        let at = at.ok_or_else(|| HealError::Unknown(id.clone()))?;
        self.rules.remove(at);
        Ok(())
    }

    /// Takes every rule out and says how many there were.
    pub(crate) fn heal_all(&mut self) -> usize {
        std::mem::take(&mut self.rules).len()
    }

    /// Retires every rule whose dead-man limit has passed at `now`.
    pub(crate) fn expire(&mut self, now: Tick) -> Vec<FaultId> {
        let overdue = self.rules.extract_if(.., |entry| entry.expires <= now);
        overdue.map(|entry| entry.rule.id).collect()
    }

    /// The earliest dead-man limit.
    pub(crate) fn next_expiry(&self) -> Option<Tick> {
        self.rules.iter().map(|entry| entry.expires).min()
    }

    /// Whether any rule can still act.
    pub(crate) fn is_live(&self) -> bool {
        self.rules.iter().any(|entry| !entry.spent())
    }

    /// The rules alive at `now`, in the order they were armed.
    pub(crate) fn list(&self, now: Tick) -> Vec<ArmedFault> {
        let alive = self.rules.iter().filter(|entry| entry.expires > now);
        alive.map(|entry| entry.listed(now)).collect()
    }

    /// What happens to an input about to be handled by the actor at `path`. Call [`Self::expire`] first.
    pub(crate) fn decide_mailbox(&mut self, path: &str) -> Option<(FaultId, MailboxFault)> {
        self.rules.iter_mut().find_map(|entry| {
            let FaultPoint::Mailbox(point) = &entry.rule.point else { return None };
            if entry.spent() || !glob::matches(&point.path_glob, path) {
                return None;
            }
            let fault = MailboxFault::from(point.action);
            entry.draw().then(|| (entry.rule.id.clone(), fault))
        })
    }

    /// What happens to a frame of `class` that travels `way` between here and `peer`. Call [`Self::expire`] first.
    pub(crate) fn decide_bus(
        &mut self,
        peer: &str,
        class: &str,
        way: Direction,
    ) -> Option<(FaultId, BusFault)> {
        self.rules.iter_mut().find_map(|entry| {
            let FaultPoint::Bus(point) = &entry.rule.point else { return None };
            let class_hit = point.class.as_deref().is_none_or(|wanted| wanted == class);
            if entry.spent()
                || !class_hit
                || !point.direction.covers(way)
                || !glob::matches(&point.peer_glob, peer)
            {
                return None;
            }
            let fault = BusFault::from(point.action);
            entry.draw().then(|| (entry.rule.id.clone(), fault))
        })
    }
}

impl Entry {
    fn spent(&self) -> bool {
        self.rule.max_hits.is_some_and(|max| self.hits >= max)
    }

    /// Counts one match and decides it.
    fn draw(&mut self) -> bool {
        let acts = decides(self.rule.seed, self.matches, self.rule.probability_per_mille);
        self.matches += 1;
        self.hits += u64::from(acts);
        acts
    }

    fn listed(&self, now: Tick) -> ArmedFault {
        ArmedFault {
            rule: self.rule.clone(),
            matches: self.matches,
            hits: self.hits,
            spent: self.spent(),
            remaining_ms: self
                .expires
                .since(now)
                .as_nanos()
                .div_ceil(1_000_000)
                .try_into()
                .unwrap_or(u64::MAX),
        }
    }
}

#[cfg(test)]
#[path = "table_test.rs"]
mod tests;
