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

/// The checks behind each of the three paths, in order.
const CHECKS: [&str; 5] = [
    "ping",
    "log",
    "etcd",
    "poststarthook/rbac/bootstrap-roles",
    "poststarthook/scheduling/bootstrap-system-priority-classes",
];
const READY_CHECKS: [&str; 6] = [
    "ping",
    "log",
    "etcd",
    "poststarthook/rbac/bootstrap-roles",
    "poststarthook/scheduling/bootstrap-system-priority-classes",
    "shutdown",
];

/// Answers one of the paths; `None` for a check that does not exist.
pub(crate) async fn answer(server: &Server, path: &str, query: &Query) -> Option<Reply> {
    let path = path.trim_matches('/');
    let (root, single) = path.split_once('/').map_or((path, None), |(root, check)| (root, Some(check)));
    let checks: &[&str] = match root {
        "readyz" => &READY_CHECKS,
        "healthz" | "livez" => &CHECKS,
        _ => return None,
    };
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
        "etcd" => server.records.settle().await.map_err(|error| error.to_string()),
        "shutdown" if server.ready.stopping.load(Ordering::Acquire) => Err("process is shutting down".to_owned()),
        "ping" | "log" | "shutdown" => Ok(()),
        _ if server.ready.bootstrapped.load(Ordering::Acquire) => Ok(()),
        _ => Err("not finished".to_owned()),
    }
}
