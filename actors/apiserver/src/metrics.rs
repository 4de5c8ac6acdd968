//! [`Metrics`]: what the server counts, in Prometheus' text format under upstream's names.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;

use crate::scope::Scope;
use crate::server::Server;

/// Verb, group, version, resource, subresource, code.
type RequestLabels = (String, String, String, String, String, u16);

/// Verb, group, version, resource, subresource, scope.
type DurationLabels = (String, String, String, String, String, &'static str);

/// Upper bounds of the requests' durations, in seconds (upstream's).
const BUCKETS: [f64; 22] = [
    0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 15.0,
    20.0, 30.0, 45.0,
];

/// Durations of requests of one kind.
#[derive(Default)]
struct Durations {
    counts: [u64; BUCKETS.len()],
    sum_seconds: f64,
    count: u64,
}

/// Counters of one server.
#[derive(Default)]
pub(crate) struct Metrics {
    durations: Mutex<BTreeMap<DurationLabels, Durations>>,
    requests: Mutex<BTreeMap<RequestLabels, u64>>,
    inflight: Arc<AtomicU64>,
    /// What other parts of the process tell.
    others: Mutex<Vec<Weak<dyn Exposition>>>,
}

/// What another part of the process tells at `/metrics`.
pub trait Exposition: Send + Sync {
    /// Adds its families, each with HELP and TYPE, in Prometheus' text format.
    fn render(&self, out: &mut String);
}

/// A request that is being answered.
pub(crate) struct Inflight(Arc<AtomicU64>);

impl Drop for Inflight {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Metrics {
    /// Others tell as well, for as long as they live.
    pub(crate) fn expose(&self, other: Weak<dyn Exposition>) {
        let mut others = self.others.lock();
        others.retain(|other| other.strong_count() > 0);
        others.push(other);
    }

    /// Counts a request until the answer is made.
    pub(crate) fn begin(&self) -> Inflight {
        self.inflight.fetch_add(1, Ordering::Relaxed);
        Inflight(self.inflight.clone())
    }

    /// Counts an answered request about objects.
    pub(crate) fn count(&self, scope: &Scope, code: u16, took: Duration) {
        if scope.info.verb != "watch" {
            self.time(scope, took);
        }
        self.add(scope.info.verb.to_ascii_uppercase(), scope, code);
    }

    fn time(&self, scope: &Scope, took: Duration) {
        let (info, kind) = (&scope.info, &scope.kind);
        let place = match (info.name.is_empty(), info.namespace.is_empty()) {
            (false, _) => "resource",
            (true, false) => "namespace",
            (true, true) => "cluster",
        };
        let labels = (
            info.verb.to_ascii_uppercase(),
            kind.group.clone(),
            kind.version.clone(),
            kind.plural.clone(),
            info.subresource.clone(),
            place,
        );
        let seconds = took.as_secs_f64();
        let mut all = self.durations.lock();
        let own = all.entry(labels).or_default();
        for (count, bound) in own.counts.iter_mut().zip(BUCKETS) {
            *count += u64::from(seconds <= bound);
        }
        own.sum_seconds += seconds;
        own.count += 1;
    }

    /// Counts an answered connection to a node.
    pub(crate) fn count_connect(&self, scope: &Scope, code: u16) {
        self.add("CONNECT".to_owned(), scope, code);
    }

    fn add(&self, verb: String, scope: &Scope, code: u16) {
        let (info, kind) = (&scope.info, &scope.kind);
        let labels = (
            verb,
            kind.group.clone(),
            kind.version.clone(),
            kind.plural.clone(),
            info.subresource.clone(),
            code,
        );
        *self.requests.lock().entry(labels).or_default() += 1;
    }

    /// All of it.
    pub(crate) fn render(&self, server: &Server) -> String {
        let mut out = String::new();
        let head = |name: &str, kind: &str, help: &str, out: &mut String| {
            let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
        };
        head("apiserver_request_total", "counter", "Requests answered.", &mut out);
        for ((verb, group, version, resource, subresource, code), count) in self.requests.lock().iter() {
            let _ = writeln!(
                out,
                "apiserver_request_total{{code=\"{code}\",component=\"apiserver\",group=\"{group}\",\
                 resource=\"{resource}\",subresource=\"{subresource}\",verb=\"{verb}\",version=\"{version}\"}} {count}"
            );
        }
        self.render_durations(&mut out);
        head("apiserver_current_inflight_requests", "gauge", "Requests being answered.", &mut out);
        let _ =
            writeln!(out, "apiserver_current_inflight_requests {}", self.inflight.load(Ordering::Relaxed));
        head("apiserver_longrunning_requests", "gauge", "Open watches.", &mut out);
        let _ =
            writeln!(out, "apiserver_longrunning_requests{{verb=\"WATCH\"}} {}", server.hub.open_watches());
        server.flow.render(&mut out);
        server.config.features.render(&mut out);
        let sizes = server.records.read_local(|state| state.sizes());
        if let Some(sizes) = sizes {
            head("apiserver_storage_size_bytes", "gauge", "Bytes of live objects.", &mut out);
            let _ = writeln!(out, "apiserver_storage_size_bytes {}", sizes.live_bytes);
        }
        for other in self.others.lock().iter().filter_map(Weak::upgrade) {
            other.render(&mut out);
        }
        out
    }

    fn render_durations(&self, out: &mut String) {
        let name = "apiserver_request_duration_seconds";
        let _ = writeln!(out, "# HELP {name} Time that requests took.\n# TYPE {name} histogram");
        for ((verb, group, version, resource, subresource, place), own) in self.durations.lock().iter() {
            let labels = format!(
                "component=\"apiserver\",group=\"{group}\",resource=\"{resource}\",scope=\"{place}\",\
                 subresource=\"{subresource}\",verb=\"{verb}\",version=\"{version}\""
            );
            for (count, bound) in own.counts.iter().zip(BUCKETS) {
                let _ = writeln!(out, "{name}_bucket{{{labels},le=\"{bound}\"}} {count}");
            }
            let _ = writeln!(out, "{name}_bucket{{{labels},le=\"+Inf\"}} {}", own.count);
            let _ = writeln!(out, "{name}_sum{{{labels}}} {}", own.sum_seconds);
            let _ = writeln!(out, "{name}_count{{{labels}}} {}", own.count);
        }
    }
}
