//! The figures of every actor as OpenMetrics text.
//!
//! One label, `path`. Its cardinality is bounded: at most [`MAX_SERIES`] paths have series of their own, in
//! the order of the paths; the rest is summed up under `path="(other)"`.

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::report::{ActorReport, KernelReport};

/// Most paths with series of their own.
pub const MAX_SERIES: usize = 1_000;
/// The path of the rest.
const OTHER: &str = "(other)";

type Labels = [(&'static str, String); 1];

/// Writes `reports` as OpenMetrics text.
pub(crate) fn text(reports: &[ActorReport], kernel: &KernelReport) -> String {
    let mut all = Registry::with_prefix("trireme");
    kernel_figures(all.sub_registry_with_prefix("kernel"), kernel);
    actor_figures(all.sub_registry_with_prefix("actor"), reports);
    let mut out = String::new();
    // Writing to a String cannot fail; an encoder that fails all the same leaves what it wrote so far.
    if let Err(error) = encode(&mut out, &all) {
        tracing::error!(%error, "cannot encode the actors' metrics");
    }
    out
}

fn kernel_figures(registry: &mut Registry, kernel: &KernelReport) {
    let mut gauge = |name: &str, help: &str, value: u64| {
        let gauge: Gauge = Gauge::default();
        gauge.set(signed(value));
        registry.register(name, help, gauge);
    };
    gauge("live", "Incarnations alive", kernel.live);
    gauge("io_tasks", "I/O tasks that exist", kernel.io_tasks);
    gauge("timers", "Timers armed", kernel.timers);
    gauge("arbiters", "Arbiters in service", kernel.arbiters);
    let mut counter = |name: &str, help: &str, value: u64| {
        let counter: Counter = Counter::default();
        counter.inc_by(value);
        registry.register(name, help, counter);
    };
    counter("arbiters_abandoned", "Arbiters given up to a stuck actor", kernel.arbiters_abandoned);
    counter("watchdog_wakes", "Times the watchdog woke up", kernel.watchdog_wakes);
}

fn actor_figures(registry: &mut Registry, reports: &[ActorReport]) {
    let counter = |registry: &mut Registry, name: &str, help: &str| {
        let family = Family::<Labels, Counter>::default();
        registry.register(name, help, family.clone());
        family
    };
    let handled = counter(registry, "handled", "Inputs taken from the mailbox");
    let restarts = counter(registry, "restarts", "Incarnations started after the first");
    let gauge = |registry: &mut Registry, name: &str, help: &str| {
        let family = Family::<Labels, Gauge>::default();
        registry.register(name, help, family.clone());
        family
    };
    let alive = gauge(registry, "alive", "Incarnations alive");
    let depth = gauge(registry, "mailbox_depth", "Inputs waiting");
    let high_water = gauge(registry, "mailbox_high_water", "Most inputs that ever waited");
    let io = gauge(registry, "io_in_flight", "I/O tasks running");
    for (at, report) in reports.iter().enumerate() {
        let path = if at < MAX_SERIES { report.path.as_str() } else { OTHER };
        let labels = [("path", path.to_owned())];
        handled.get_or_create(&labels).inc_by(report.handled);
        restarts.get_or_create(&labels).inc_by(report.restarts);
        alive.get_or_create(&labels).inc_by(i64::from(report.alive));
        depth.get_or_create(&labels).inc_by(signed(report.mailbox_depth));
        io.get_or_create(&labels).inc_by(signed(report.io_in_flight));
        let high = high_water.get_or_create(&labels);
        high.set(high.get().max(signed(report.mailbox_high_water)));
    }
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
