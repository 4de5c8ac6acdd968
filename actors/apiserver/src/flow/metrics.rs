//! [`FlowMetrics`]: what priority and fairness counts, under upstream's names.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use trireme_access::flow::{Flow, FlowControl, RejectReason};

use super::gate::key;

/// FlowSchema and level.
type Key = (String, String);

/// Upper bounds of the waits' histogram, in seconds (upstream's).
const BUCKETS: [f64; 13] = [0.0, 0.005, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0];

#[derive(Default)]
struct Waits {
    counts: [u64; BUCKETS.len()],
    sum_seconds: f64,
    count: u64,
}

#[derive(Default)]
pub(super) struct FlowMetrics {
    dispatched: BTreeMap<Key, u64>,
    rejected: BTreeMap<(Key, &'static str), u64>,
    waits: BTreeMap<(Key, bool), Waits>,
    /// Requests here now: their flow, seats, and whether they run.
    here: BTreeMap<u64, (Key, u32, bool)>,
}

impl FlowMetrics {
    pub(super) fn arrived(&mut self, id: u64, flow: &Flow, seats: u32) {
        self.here.insert(id, (key(flow), seats, false));
    }

    pub(super) fn started(&mut self, id: u64) {
        if let Some((_, _, runs)) = self.here.get_mut(&id) {
            *runs = true;
        }
    }

    pub(super) fn left(&mut self, id: u64) {
        self.here.remove(&id);
    }

    pub(super) fn dispatched(&mut self, flow: &Flow, waited: Duration) {
        *self.dispatched.entry(key(flow)).or_default() += 1;
        self.wait(flow, true, waited);
    }

    pub(super) fn rejected(&mut self, flow: &Flow, reason: RejectReason, waited: Duration) {
        *self.rejected.entry((key(flow), reason.label())).or_default() += 1;
        self.wait(flow, false, waited);
    }

    fn wait(&mut self, flow: &Flow, execute: bool, waited: Duration) {
        let waits = self.waits.entry((key(flow), execute)).or_default();
        let seconds = waited.as_secs_f64();
        for (count, bound) in waits.counts.iter_mut().zip(BUCKETS) {
            *count += u64::from(seconds <= bound);
        }
        waits.sum_seconds += seconds;
        waits.count += 1;
    }

    pub(super) fn render(&self, core: &FlowControl, out: &mut String) {
        let flow = |(schema, level): &Key| format!("flow_schema=\"{schema}\",priority_level=\"{level}\"");
        head(out, "dispatched_requests_total", "counter", "Requests that were let run.");
        for (key, count) in &self.dispatched {
            line(out, "dispatched_requests_total", &flow(key), count);
        }
        head(out, "rejected_requests_total", "counter", "Requests turned away.");
        for ((key, reason), count) in &self.rejected {
            line(out, "rejected_requests_total", &format!("{},reason=\"{reason}\"", flow(key)), count);
        }
        let mut here: BTreeMap<&Key, [u64; 3]> = BTreeMap::new();
        for (key, seats, runs) in self.here.values() {
            let counts = here.entry(key).or_default();
            match runs {
                true => {
                    counts[1] += 1;
                    counts[2] += u64::from(*seats);
                }
                false => counts[0] += 1,
            }
        }
        let gauges = [
            ("current_inqueue_requests", "Requests that wait."),
            ("current_executing_requests", "Requests that run."),
            ("current_executing_seats", "Seats of requests that run."),
        ];
        for (at, (name, help)) in gauges.into_iter().enumerate() {
            head(out, name, "gauge", help);
            for (key, counts) in &here {
                line(out, name, &flow(key), counts[at]);
            }
        }
        head(out, "current_limit_seats", "gauge", "Seats that a level may use now.");
        for (name, limit, _, _) in core.usage() {
            line(out, "current_limit_seats", &format!("priority_level=\"{name}\""), limit);
        }
        self.render_waits(out, &flow);
    }

    fn render_waits(&self, out: &mut String, flow: &dyn Fn(&Key) -> String) {
        let name = "request_wait_duration_seconds";
        head(out, name, "histogram", "Time in a queue.");
        for ((key, execute), waits) in &self.waits {
            let labels = format!("execute=\"{execute}\",{}", flow(key));
            for (count, bound) in waits.counts.iter().zip(BUCKETS) {
                line(out, &format!("{name}_bucket"), &format!("{labels},le=\"{bound}\""), count);
            }
            line(out, &format!("{name}_bucket"), &format!("{labels},le=\"+Inf\""), waits.count);
            line(out, &format!("{name}_sum"), &labels, waits.sum_seconds);
            line(out, &format!("{name}_count"), &labels, waits.count);
        }
    }
}

fn head(out: &mut String, name: &str, kind: &str, help: &str) {
    let _infallible = writeln!(
        out,
        "# HELP apiserver_flowcontrol_{name} {help}\n# TYPE apiserver_flowcontrol_{name} {kind}"
    );
}

fn line(out: &mut String, name: &str, labels: &str, value: impl std::fmt::Display) {
    let _infallible = writeln!(out, "apiserver_flowcontrol_{name}{{{labels}}} {value}");
}
