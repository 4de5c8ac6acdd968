//! `/healthz`, `/livez`, `/readyz`: named checks, as upstream prints them.

use std::sync::atomic::{AtomicBool, Ordering};

use trireme_http::Reply;

use crate::query::Query;
use crate::render;
use crate::server::Server;

/// What the server knows of its own start and end.
#[derive(Debug, Default)]
pub(crate) struct Readiness {
    bootstrapped: AtomicBool,
    stopping: AtomicBool,
    changed: tokio::sync::Notify,
}

impl Readiness {
    /// The initial objects are there.
    pub(crate) fn set_bootstrapped(&self) {
        self.bootstrapped.store(true, Ordering::Release);
        self.changed.notify_waiters();
    }

    /// Returns once the initial objects are there.
    pub(crate) async fn bootstrapped(&self) {
        loop {
            let changed = self.changed.notified();
            if self.bootstrapped.load(Ordering::Acquire) {
                return;
            }
            changed.await;
        }
    }

    /// The server is going down.
    pub(crate) fn set_stopping(&self) {
        self.stopping.store(true, Ordering::Release);
    }
}

/// The checks behind `/healthz` and `/livez`, in order. The post-start hooks are upstream's names for what is complete
/// once the initial objects are there.
const CHECKS: [&str; 26] = [
    "ping",
    "log",
    "etcd",
    "poststarthook/start-apiserver-admission-initializer",
    "poststarthook/generic-apiserver-start-informers",
    "poststarthook/priority-and-fairness-config-consumer",
    "poststarthook/priority-and-fairness-filter",
    "poststarthook/storage-object-count-tracker-hook",
    "poststarthook/start-apiextensions-informers",
    "poststarthook/start-apiextensions-controllers",
    "poststarthook/crd-informer-synced",
    "poststarthook/start-service-ip-repair-controllers",
    "poststarthook/rbac/bootstrap-roles",
    "poststarthook/scheduling/bootstrap-system-priority-classes",
    "poststarthook/priority-and-fairness-config-producer",
    "poststarthook/start-system-namespaces-controller",
    "poststarthook/bootstrap-controller",
    "poststarthook/start-cluster-authentication-info-controller",
    "poststarthook/start-kube-apiserver-identity-lease-controller",
    "poststarthook/start-legacy-token-tracking-controller",
    "poststarthook/aggregator-reload-proxy-client-cert",
    "poststarthook/start-kube-aggregator-informers",
    "poststarthook/apiservice-registration-controller",
    "poststarthook/apiservice-status-available-controller",
    "poststarthook/kube-apiserver-autoregistration",
    "autoregister-completion",
];

/// The checks behind one of the paths.
fn checks(root: &str) -> Option<Vec<&'static str>> {
    let mut checks = CHECKS.to_vec();
    match root {
        "healthz" | "livez" => {}
        "readyz" => {
            checks.insert(3, "etcd-readiness");
            checks.insert(4, "informer-sync");
            checks.push("shutdown");
        }
        _ => return None,
    }
    Some(checks)
}

/// Answers one of the paths; `None` for a check that does not exist.
pub(crate) async fn answer(server: &Server, path: &str, query: &Query) -> Option<Reply> {
    let path = path.trim_matches('/');
    let (root, single) = path.split_once('/').map_or((path, None), |(root, check)| (root, Some(check)));
    let checks = checks(root)?;
    if let Some(single) = single {
        if !checks.contains(&single) {
            return None;
        }
        return Some(match check(server, single).await {
            Ok(()) => render::text(200, "ok"),
            Err(why) => render::text(500, format!("internal server error: {why}\n")),
        });
    }
    let excluded: Vec<&str> = query.all("exclude");
    let mut out = String::new();
    let mut failed = Vec::new();
    for name in checks.iter().filter(|name| !excluded.contains(name)) {
        match check(server, name).await {
            Ok(()) => out.push_str(&format!("[+]{name} ok\n")),
            Err(_) => {
                failed.push(*name);
                out.push_str(&format!("[-]{name} failed: reason withheld\n"));
            }
        }
    }
    if !failed.is_empty() {
        out.push_str(&format!("{root} check failed\n"));
        return Some(render::text(500, out));
    }
    if query.first("verbose").is_some() {
        out.push_str(&format!("{root} check passed\n"));
        return Some(render::text(200, out));
    }
    Some(render::text(200, "ok"))
}

async fn check(server: &Server, name: &str) -> Result<(), String> {
    match name {
        "etcd" | "etcd-readiness" => server.records.settle().await.map_err(|error| error.to_string()),
        "shutdown" if server.ready.stopping.load(Ordering::Acquire) => {
            Err("process is shutting down".to_owned())
        }
        "ping" | "log" | "shutdown" => Ok(()),
        _ if server.ready.bootstrapped.load(Ordering::Acquire) => Ok(()),
        _ => Err("not finished".to_owned()),
    }
}
