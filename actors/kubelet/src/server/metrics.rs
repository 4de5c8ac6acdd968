//! `/metrics` and `/metrics/resource` in Prometheus' text format.

use std::fmt::Write;

use http::Response;
use trireme_node::ContainerState;

use super::stats::cpu_nanos;
use super::{Body, body};
use crate::node::readings;
use crate::shared::Shared;
use trireme_kubelet_core::evict::Signal;

const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

fn answer(text: String) -> Response<Body> {
    let mut response = Response::new(body(text));
    let kind = http::HeaderValue::from_static(CONTENT_TYPE);
    response.headers_mut().insert(http::header::CONTENT_TYPE, kind);
    response
}

/// A family's head.
fn head(out: &mut String, name: &str, kind: &str, help: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

#[allow(clippy::cast_precision_loss)]
fn seconds(nanos: u64) -> f64 {
    nanos as f64 / 1e9
}

/// What metrics-server reads.
pub(super) async fn of_resources(shared: &Shared) -> Response<Body> {
    let stats = shared.runtime.stats().await.unwrap_or_default();
    let mut out = String::new();
    let label = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
    head(
        &mut out,
        "container_cpu_usage_seconds_total",
        "counter",
        "[STABLE] Cumulative cpu time consumed by the container in core-seconds",
    );
    for (own, container) in stats.iter().flat_map(|own| own.containers.iter().map(move |inner| (own, inner)))
    {
        let (namespace, pod, _) = &own.pod;
        let _ = writeln!(
            out,
            "container_cpu_usage_seconds_total{{container=\"{}\",namespace=\"{namespace}\",pod=\"{pod}\"}} {} {}",
            label(&container.name),
            seconds(container.cpu_nanos),
            container.at / 1_000_000
        );
    }
    head(
        &mut out,
        "container_memory_working_set_bytes",
        "gauge",
        "[STABLE] Current working set of the container in bytes",
    );
    for (own, container) in stats.iter().flat_map(|own| own.containers.iter().map(move |inner| (own, inner)))
    {
        let (namespace, pod, _) = &own.pod;
        let _ = writeln!(
            out,
            "container_memory_working_set_bytes{{container=\"{}\",namespace=\"{namespace}\",pod=\"{pod}\"}} {} {}",
            label(&container.name),
            container.memory_working_set,
            container.at / 1_000_000
        );
    }
    for (name, kind, help) in [
        (
            "pod_cpu_usage_seconds_total",
            "counter",
            "[STABLE] Cumulative cpu time consumed by the pod in core-seconds",
        ),
        ("pod_memory_working_set_bytes", "gauge", "[STABLE] Current working set of the pod in bytes"),
    ] {
        head(&mut out, name, kind, help);
        for own in &stats {
            let (namespace, pod, _) = &own.pod;
            let value = match kind {
                "counter" => seconds(own.total.cpu_nanos).to_string(),
                _ => own.total.memory_working_set.to_string(),
            };
            let _ = writeln!(
                out,
                "{name}{{namespace=\"{namespace}\",pod=\"{pod}\"}} {value} {}",
                own.total.at / 1_000_000
            );
        }
    }
    head(
        &mut out,
        "node_cpu_usage_seconds_total",
        "counter",
        "[STABLE] Cumulative cpu time consumed by the node in core-seconds",
    );
    let _ = writeln!(out, "node_cpu_usage_seconds_total {}", seconds(cpu_nanos().unwrap_or(0)));
    head(
        &mut out,
        "node_memory_working_set_bytes",
        "gauge",
        "[STABLE] Current working set of the node in bytes",
    );
    let memory = readings(shared).await.into_iter().find(|own| own.signal == Signal::Memory);
    let used = memory.map_or(0, |own| own.capacity.saturating_sub(own.available));
    let _ = writeln!(out, "node_memory_working_set_bytes {used}");
    head(
        &mut out,
        "resource_scrape_error",
        "gauge",
        "[STABLE] 1 if there was an error while getting container metrics, 0 otherwise",
    );
    let _ = writeln!(out, "resource_scrape_error 0");
    answer(out)
}

/// The kubelet's own.
pub(super) async fn of_kubelet(shared: &Shared) -> Response<Body> {
    let mut out = String::new();
    let entries = shared.entries();
    let running = entries.iter().filter(|own| own.phase() == "Running").count();
    head(&mut out, "kubelet_running_pods", "gauge", "[BETA] Number of pods that have a running pod sandbox");
    let _ = writeln!(out, "kubelet_running_pods {running}");
    head(
        &mut out,
        "kubelet_desired_pods",
        "gauge",
        "[ALPHA] The number of pods the kubelet is being instructed to run",
    );
    let _ = writeln!(out, "kubelet_desired_pods {}", entries.iter().filter(|own| !own.removed).count());
    let snapshot = shared.lister.snapshot().await.unwrap_or_default();
    head(&mut out, "kubelet_running_containers", "gauge", "[BETA] Number of containers currently running");
    for (name, state) in [
        ("created", ContainerState::Created),
        ("running", ContainerState::Running),
        ("exited", ContainerState::Exited),
        ("unknown", ContainerState::Unknown),
    ] {
        let count = snapshot.containers.iter().filter(|own| own.state == state).count();
        let _ = writeln!(out, "kubelet_running_containers{{container_state=\"{name}\"}} {count}");
    }
    head(&mut out, "kubelet_node_name", "gauge", "[ALPHA] The node's name. The count is always 1.");
    let _ = writeln!(out, "kubelet_node_name{{node=\"{}\"}} 1", shared.config.node_name);
    answer(out)
}
