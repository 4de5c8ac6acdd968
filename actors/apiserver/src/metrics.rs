//! [`Metrics`]: what the server counts, in Prometheus' text format under upstream's names.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::scope::Scope;
use crate::server::Server;

/// Verb, group, version, resource, subresource, code.
type RequestLabels = (String, String, String, String, String, u16);

/// Counters of one server.
#[derive(Default)]
pub(crate) struct Metrics {
    requests: Mutex<BTreeMap<RequestLabels, u64>>,
    inflight: Arc<AtomicU64>,
}

/// A request that is being answered.
pub(crate) struct Inflight(Arc<AtomicU64>);

impl Drop for Inflight {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Metrics {
    /// Counts a request until the answer is made.
    pub(crate) fn begin(&self) -> Inflight {
        self.inflight.fetch_add(1, Ordering::Relaxed);
        Inflight(self.inflight.clone())
    }

    /// Counts an answered request about objects.
    pub(crate) fn count(&self, scope: &Scope, code: u16) {
        self.add(scope.info.verb.to_ascii_uppercase(), scope, code);
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
        out
    }
}
