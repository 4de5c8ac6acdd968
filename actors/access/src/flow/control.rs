//! [`FlowControl`]: the core.

use std::collections::{BTreeMap, BTreeSet};

use super::allocation::{Share, allocate, shares};
use super::level::{Arrival, Level};
use super::priority_level::PriorityLevel;
use super::schema::{Flow, FlowSchema};
use crate::attributes::Attributes;

/// Name of the schema and level for whatever nothing else matches.
const CATCH_ALL: &str = "catch-all";
/// Seats are moved between levels this often.
const REALLOCATE_US: u64 = 10_000_000;

/// What the server as a whole can bear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Seats of all levels together (`--max-requests-inflight` plus `--max-mutating-requests-inflight`).
    pub seats: u32,
    /// Longest wait in a queue, in microseconds (upstream: a quarter of `--request-timeout`).
    pub wait_us: u64,
}

/// A request that wants to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The caller's number for it, never used twice.
    pub id: u64,
    /// What [`FlowControl::classify`] said.
    pub flow: Flow,
    /// How wide it is; at least 1.
    pub seats: u32,
}

/// What happens to the core.
#[derive(Clone, Debug)]
pub enum Input {
    /// The configuration objects changed.
    Configure {
        /// All FlowSchemas.
        schemas: Vec<FlowSchema>,
        /// All PriorityLevelConfigurations.
        levels: Vec<PriorityLevel>,
    },
    /// A request came.
    Arrive(Request),
    /// A request that was started is over.
    Finish(u64),
    /// A waiting request was given up by its client.
    GiveUp(u64),
    /// Time passed; due no later than [`FlowControl::next_deadline_us`].
    Tick,
}

/// Why a request is turned away: 429, `Retry-After: 1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RejectReason {
    /// Its queue is full.
    QueueFull,
    /// Its level does not queue and has no seat.
    ConcurrencyLimit,
    /// It waited too long.
    TimeOut,
}

impl RejectReason {
    /// The label of `apiserver_flowcontrol_rejected_requests_total`.
    pub fn label(self) -> &'static str {
        match self {
            Self::QueueFull => "queue-full",
            Self::ConcurrencyLimit => "concurrency-limit",
            Self::TimeOut => "time-out",
        }
    }
}

/// What the host does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Run the request; report its end with [`Input::Finish`].
    Start(u64),
    /// Turn it away.
    Reject(u64, RejectReason),
}

/// Priority and fairness as a pure core; moments are microseconds that never go back.
#[derive(Debug)]
pub struct FlowControl {
    limits: Limits,
    schemas: Vec<FlowSchema>,
    levels: BTreeMap<String, Level>,
    /// Levels that are no longer configured and still serve what they had.
    retired: BTreeSet<String>,
    /// Level of each request that runs or waits.
    places: BTreeMap<u64, String>,
    reallocated_us: u64,
}

impl FlowControl {
    /// With nothing configured, everything goes to a catch-all level that has all seats and does not queue.
    pub fn new(limits: Limits) -> Self {
        let mut out = Self {
            limits,
            schemas: Vec::new(),
            levels: BTreeMap::new(),
            retired: BTreeSet::new(),
            places: BTreeMap::new(),
            reallocated_us: 0,
        };
        out.configure(Vec::new(), Vec::new());
        out
    }

    /// The flow of a request: of the first schema that matches and whose level exists, or else the catch-all.
    pub fn classify(&self, ask: &Attributes) -> Flow {
        let known = self.schemas.iter().filter(|schema| self.open(schema.level()));
        known.filter_map(|schema| schema.flow(ask)).next().unwrap_or_else(|| Flow {
            schema: CATCH_ALL.to_owned(),
            schema_uid: String::new(),
            level: CATCH_ALL.to_owned(),
            distinguisher: String::new(),
        })
    }

    /// Whether a level takes new requests.
    fn open(&self, level: &str) -> bool {
        self.levels.contains_key(level) && !self.retired.contains(level)
    }

    /// A level's configuration, for its UID.
    pub fn level(&self, name: &str) -> Option<&PriorityLevel> {
        self.levels.get(name).map(|level| &level.config)
    }

    /// Seats that a level may use now; all of the server's for exempt levels.
    pub fn limit(&self, name: &str) -> u32 {
        let level = self.levels.get(name).filter(|level| !level.config.exempt);
        level.map_or(self.limits.seats, |level| level.limit)
    }

    /// Name, seats it may use, seats in use and waiting requests of every level, for metrics.
    pub fn usage(&self) -> Vec<(&str, u32, u32, usize)> {
        self.levels
            .iter()
            .map(|(name, level)| (name.as_str(), level.limit, level.seats_in_use(), level.waiting()))
            .collect()
    }

    /// When a [`Input::Tick`] is due at the latest: the end of the longest wait.
    pub fn next_deadline_us(&self) -> Option<u64> {
        let oldest = self.levels.values().filter_map(Level::oldest_us).min()?;
        Some(oldest.saturating_add(self.limits.wait_us))
    }

    /// Takes one input.
    pub fn step(&mut self, now_us: u64, input: Input, out: &mut Vec<Effect>) {
        match input {
            Input::Configure { schemas, levels } => {
                self.configure(schemas, levels);
                self.dispatch_all(now_us, out);
            }
            Input::Arrive(request) => self.arrive(request, now_us, out),
            Input::Finish(id) => {
                if let Some(name) = self.places.remove(&id) {
                    if let Some(level) = self.levels.get_mut(&name) {
                        level.finish(id, now_us);
                    }
                    self.dispatch(&name, now_us, out);
                    self.drop_retired(&name);
                }
            }
            Input::GiveUp(id) => {
                let name = self.places.get(&id).cloned();
                let waited = name.as_ref().and_then(|name| self.levels.get_mut(name));
                if waited.is_some_and(|level| level.give_up(id)) {
                    self.places.remove(&id);
                }
            }
            Input::Tick => {}
        }
        self.expire(now_us, out);
        if now_us.saturating_sub(self.reallocated_us) >= REALLOCATE_US {
            self.reallocated_us = now_us;
            self.reallocate();
            self.dispatch_all(now_us, out);
        }
    }

    fn configure(&mut self, mut schemas: Vec<FlowSchema>, configs: Vec<PriorityLevel>) {
        schemas.sort_by(|a, b| a.order().cmp(&b.order()));
        self.schemas = schemas;
        let mut configs: BTreeMap<String, PriorityLevel> =
            configs.into_iter().map(|config| (config.name.clone(), config)).collect();
        configs.entry(CATCH_ALL.to_owned()).or_insert_with(|| PriorityLevel {
            name: CATCH_ALL.to_owned(),
            uid: String::new(),
            exempt: false,
            shares: 5,
            lendable_percent: 0,
            borrowing_limit_percent: None,
            queuing: None,
        });
        // A level that is gone serves what it has; nothing new is sorted into it.
        self.levels.retain(|name, level| configs.contains_key(name) || !level.idle());
        self.retired = self.levels.keys().filter(|name| !configs.contains_key(*name)).cloned().collect();
        for (name, config) in configs {
            match self.levels.get_mut(&name) {
                Some(level) => level.configure(config),
                None => {
                    self.levels.insert(name, Level::new(config, 0));
                }
            }
        }
        for (level, share) in self.shares() {
            if let Some(level) = self.levels.get_mut(&level) {
                level.limit = share.nominal;
            }
        }
    }

    fn shares(&self) -> Vec<(String, Share)> {
        let open = self.levels.iter().filter(|(name, _)| !self.retired.contains(*name));
        let limited: Vec<&Level> =
            open.map(|(_, level)| level).filter(|level| !level.config.exempt).collect();
        let configs: Vec<&PriorityLevel> = limited.iter().map(|level| &level.config).collect();
        let names = configs.iter().map(|config| config.name.clone());
        names.zip(shares(self.limits.seats, &configs)).collect()
    }

    fn reallocate(&mut self) {
        let shares = self.shares();
        let needed: Vec<u32> = shares
            .iter()
            .map(|(name, _)| self.levels.get(name).map_or(0, |level| level.high_water))
            .collect();
        let bounds: Vec<Share> = shares.iter().map(|(_, share)| *share).collect();
        for ((name, _), seats) in shares.iter().zip(allocate(&bounds, &needed)) {
            if let Some(level) = self.levels.get_mut(name) {
                level.limit = seats;
                level.high_water = level.seats_in_use();
            }
        }
    }

    fn arrive(&mut self, request: Request, now_us: u64, out: &mut Vec<Effect>) {
        let Request { id, flow, seats } = request;
        let name = if self.open(&flow.level) { flow.level.as_str() } else { CATCH_ALL };
        let level = self.levels.get_mut(name).expect("the catch-all level is always configured");
        let effect = match level.arrive(id, seats.max(1), &flow.schema, &flow.distinguisher, now_us) {
            Arrival::Starts => Some(Effect::Start(id)),
            Arrival::Waits => None,
            Arrival::QueueFull => Some(Effect::Reject(id, RejectReason::QueueFull)),
            Arrival::NoSeat => Some(Effect::Reject(id, RejectReason::ConcurrencyLimit)),
        };
        if !matches!(effect, Some(Effect::Reject(..))) {
            self.places.insert(id, name.to_owned());
        }
        out.extend(effect);
    }

    fn dispatch(&mut self, name: &str, now_us: u64, out: &mut Vec<Effect>) {
        let Some(level) = self.levels.get_mut(name) else { return };
        while let Some(id) = level.dispatch(now_us) {
            out.push(Effect::Start(id));
        }
    }

    fn dispatch_all(&mut self, now_us: u64, out: &mut Vec<Effect>) {
        let names: Vec<String> = self.levels.keys().cloned().collect();
        for name in names {
            self.dispatch(&name, now_us, out);
        }
    }

    fn expire(&mut self, now_us: u64, out: &mut Vec<Effect>) {
        let Some(before) = now_us.checked_sub(self.limits.wait_us) else { return };
        for level in self.levels.values_mut() {
            if level.waiting() == 0 || level.oldest_us().is_none_or(|oldest| oldest > before) {
                continue;
            }
            for id in level.give_up_before(before) {
                self.places.remove(&id);
                out.push(Effect::Reject(id, RejectReason::TimeOut));
            }
        }
    }

    /// Forgets a level that was taken out of the configuration once its last request is over.
    fn drop_retired(&mut self, name: &str) {
        if self.retired.contains(name) && self.levels.get(name).is_some_and(Level::idle) {
            self.levels.remove(name);
            self.retired.remove(name);
        }
    }
}

#[cfg(test)]
#[path = "control_test.rs"]
mod tests;
