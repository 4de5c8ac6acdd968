//! [`FlowGate`]: one lock around the core, and the requests that wait.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::Instant;
use trireme_access::Attributes;
use trireme_access::flow::{
    Effect, Flow, FlowControl, FlowSchema, Input, Limits, PriorityLevel, RejectReason, Request,
};
use trireme_schema::objects::Objects;

use super::LOOK_US;
use super::metrics::FlowMetrics;

pub(super) const GROUP: &str = "flowcontrol.apiserver.k8s.io";
pub(super) const SCHEMAS: &str = "flowschemas";
pub(super) const LEVELS: &str = "prioritylevelconfigurations";
/// Part of a level's seats that one wide request may take, as one in so many (upstream: 15 %).
const WIDEST_PERCENT: u32 = 15;

/// Sorts and admits requests.
pub(crate) struct FlowGate {
    inner: Mutex<Inner>,
    began: Instant,
    wait: Duration,
    look_us: AtomicU64,
}

struct Inner {
    core: FlowControl,
    waiting: BTreeMap<u64, oneshot::Sender<Result<(), RejectReason>>>,
    last: u64,
    /// Revisions of the configuration that the core has.
    configured: (u64, u64),
    metrics: FlowMetrics,
}

/// Seats of a request that runs; given back when dropped.
pub(crate) struct Seat {
    gate: Arc<FlowGate>,
    id: u64,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.gate.leave(self.id);
    }
}

/// A request that may run.
pub(crate) struct Admitted {
    pub(crate) label: Label,
    /// None for exempt levels.
    pub(crate) seat: Option<Seat>,
}

/// A request that is turned away.
pub(crate) struct Turned {
    pub(crate) label: Label,
}

/// What the answer says about the flow.
#[derive(Clone, Debug, Default)]
pub(crate) struct Label {
    pub(crate) schema_uid: String,
    pub(crate) level_uid: String,
}

impl FlowGate {
    /// `seats` of all levels together; `wait` is the longest time in a queue.
    pub(crate) fn new(seats: u32, wait: Duration) -> Arc<Self> {
        let limits = Limits { seats, wait_us: u64::try_from(wait.as_micros()).unwrap_or(u64::MAX) };
        let inner = Inner {
            core: FlowControl::new(limits),
            waiting: BTreeMap::new(),
            last: 0,
            configured: (0, 0),
            metrics: FlowMetrics::default(),
        };
        Arc::new(Self { inner: Mutex::new(inner), began: Instant::now(), wait, look_us: AtomicU64::new(0) })
    }

    fn now_us(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// Waits for seats. `wide` says how many a request wants, given how many one may have.
    ///
    /// # Errors
    /// The request is to be answered with 429.
    pub(crate) async fn enter(
        self: &Arc<Self>,
        objects: &dyn Objects,
        ask: &Attributes,
        wide: impl FnOnce(u32) -> u32,
    ) -> Result<Admitted, Turned> {
        self.look(objects);
        let now = self.now_us();
        let (flow, label, seat, receiver) = {
            let mut inner = self.inner.lock();
            let flow = inner.core.classify(ask);
            let level = inner.core.level(&flow.level);
            let label = Label {
                schema_uid: flow.schema_uid.clone(),
                level_uid: level.map(|level| level.uid.clone()).unwrap_or_default(),
            };
            if level.is_some_and(|level| level.exempt) {
                inner.metrics.dispatched(&flow, Duration::ZERO);
                return Ok(Admitted { label, seat: None });
            }
            let limit = inner.core.limit(&flow.level);
            let most = (limit.saturating_mul(WIDEST_PERCENT)).div_ceil(100).max(1);
            let seats = wide(most).clamp(1, most);
            inner.last += 1;
            let id = inner.last;
            let (sender, receiver) = oneshot::channel();
            inner.waiting.insert(id, sender);
            inner.metrics.arrived(id, &flow, seats);
            inner.step(now, Input::Arrive(Request { id, flow: flow.clone(), seats }));
            (flow, label, Seat { gate: self.clone(), id }, receiver)
        };
        let waited = Instant::now();
        let verdict = self.verdict(receiver).await;
        let mut inner = self.inner.lock();
        match verdict {
            Ok(()) => {
                inner.metrics.dispatched(&flow, waited.elapsed());
                Ok(Admitted { label, seat: Some(seat) })
            }
            Err(reason) => {
                inner.metrics.rejected(&flow, reason, waited.elapsed());
                drop(inner);
                Err(Turned { label })
            }
        }
    }

    /// Waits for the core's word; makes the core look at the clock when the wait is over.
    async fn verdict(
        &self,
        mut receiver: oneshot::Receiver<Result<(), RejectReason>>,
    ) -> Result<(), RejectReason> {
        loop {
            match tokio::time::timeout(self.wait, &mut receiver).await {
                Ok(Ok(verdict)) => return verdict,
                Ok(Err(_)) => return Err(RejectReason::TimeOut),
                Err(_) => self.inner.lock().step(self.now_us(), Input::Tick),
            }
        }
    }

    fn leave(&self, id: u64) {
        let now = self.now_us();
        let mut inner = self.inner.lock();
        inner.metrics.left(id);
        let waited = inner.waiting.remove(&id).is_some();
        inner.step(now, if waited { Input::GiveUp(id) } else { Input::Finish(id) });
    }

    /// Takes a changed configuration over.
    fn look(&self, objects: &dyn Objects) {
        let now = self.now_us();
        let due = self.look_us.load(Ordering::Relaxed);
        let next = now.saturating_add(LOOK_US);
        if now < due
            || self.look_us.compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed).is_err()
        {
            return;
        }
        let found = (objects.revision(GROUP, SCHEMAS), objects.revision(GROUP, LEVELS));
        if self.inner.lock().configured == found {
            return;
        }
        let schemas = objects.list(GROUP, SCHEMAS, None);
        let levels = objects.list(GROUP, LEVELS, None);
        let schemas = schemas.iter().map(|object| FlowSchema::from_value(object)).collect();
        let levels = levels.iter().map(|object| PriorityLevel::from_value(object)).collect();
        let mut inner = self.inner.lock();
        inner.configured = found;
        inner.step(now, Input::Configure { schemas, levels });
    }

    /// The metrics in Prometheus' text format.
    pub(crate) fn render(&self, out: &mut String) {
        let inner = self.inner.lock();
        inner.metrics.render(&inner.core, out);
    }
}

impl Inner {
    fn step(&mut self, now_us: u64, input: Input) {
        let mut effects = Vec::new();
        self.core.step(now_us, input, &mut effects);
        for effect in effects {
            let (id, verdict) = match effect {
                Effect::Start(id) => (id, Ok(())),
                Effect::Reject(id, reason) => (id, Err(reason)),
            };
            if verdict.is_ok() {
                self.metrics.started(id);
            }
            if let Some(waiting) = self.waiting.remove(&id) {
                // A client that is gone gives its seats back by itself.
                let _gone = waiting.send(verdict);
            }
        }
    }
}

/// What the answer's headers say.
impl Label {
    /// Writes the headers.
    pub(crate) fn put(&self, headers: &mut http::HeaderMap) {
        let pairs = [
            ("x-kubernetes-pf-flowschema-uid", &self.schema_uid),
            ("x-kubernetes-pf-prioritylevel-uid", &self.level_uid),
        ];
        for (name, uid) in pairs {
            if let Ok(value) = http::HeaderValue::from_str(uid) {
                headers.insert(name, value);
            }
        }
    }
}

/// The name of a flow for metrics.
pub(super) fn key(flow: &Flow) -> (String, String) {
    (flow.schema.clone(), flow.level.clone())
}

#[cfg(test)]
#[path = "gate_test.rs"]
mod tests;
