//! The figures of every actor as OpenMetrics text.
//!
//! One label, `path`. Its cardinality is bounded: at most [`MAX_SERIES`] paths have series of their own, in
//! the order of the paths; the rest is summed up under `path="(other)"`.

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::report::ActorReport;

/// Most paths with series of their own.
pub const MAX_SERIES: usize = 1_000;
/// The path of the rest.
const OTHER: &str = "(other)";

type Labels = [(&'static str, String); 1];

/// Writes `reports` as OpenMetrics text.
pub(crate) fn text(reports: &[ActorReport]) -> String {
    let mut registry = Registry::with_prefix("trireme_actor");
    let counter = |registry: &mut Registry, name: &str, help: &str| {
        let family = Family::<Labels, Counter>::default();
        registry.register(name, help, family.clone());
        family
    };
    let handled = counter(&mut registry, "handled", "Inputs taken from the mailbox");
    let restarts = counter(&mut registry, "restarts", "Incarnations started after the first");
    let gauge = |registry: &mut Registry, name: &str, help: &str| {
        let family = Family::<Labels, Gauge>::default();
        registry.register(name, help, family.clone());
        family
    };
    let alive = gauge(&mut registry, "alive", "Incarnations alive");
    let depth = gauge(&mut registry, "mailbox_depth", "Inputs waiting");
    let high_water = gauge(&mut registry, "mailbox_high_water", "Most inputs that ever waited");
    let io = gauge(&mut registry, "io_in_flight", "I/O tasks running");
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
    let mut out = String::new();
    // Writing to a String cannot fail; an encoder that fails all the same leaves what it wrote so far.
    if let Err(error) = encode(&mut out, &registry) {
        tracing::error!(%error, "cannot encode the actors' metrics");
    }
    out
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
