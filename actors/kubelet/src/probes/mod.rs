//! Running one probe once: exec, http, tcp, grpc. Bounded by the probe's `timeoutSeconds`.

mod grpc;
mod http;

use std::time::Duration;

use serde_json::Value;
use tokio::net::TcpStream;
use trireme_kubelet_core::pod::{self, Container};
use trireme_kubelet_core::probe::{ProbeKind, ProbeOutcome};
use trireme_node::{ContainerId, RuntimeErrorKind, SandboxStatus};
use trireme_schema::view::View;

pub(crate) use http::{HttpTarget, http_get};

use crate::shared::Shared;

/// What is kept of a probe's output.
const OUTPUT_LIMIT_BYTES: usize = 10 * 1024;

/// Runs a probe of a container.
pub(crate) async fn run(
    shared: &Shared,
    pod: &Value,
    sandbox: Option<&SandboxStatus>,
    name: &str,
    id: &ContainerId,
    kind: ProbeKind,
) -> ProbeOutcome {
    let Some(container) = pod::container(pod, name) else {
        return ProbeOutcome::Unknown(format!("container {name} is gone"));
    };
    let probe = container.spec.at(kind.field());
    let limit = Duration::from_secs(
        probe.int("timeoutSeconds").and_then(|own| u64::try_from(own).ok()).unwrap_or(1).max(1),
    );
    if probe.has("exec") {
        return exec(shared, probe, id, limit).await;
    }
    let Some(address) = pod_address(shared, pod, sandbox) else {
        return ProbeOutcome::Unknown("the pod has no address yet".into());
    };
    let outcome = if probe.has("httpGet") {
        let get = probe.at("httpGet");
        match port_number(container, get.at("port")) {
            Ok(port) => http_probe(&HttpTarget::read(get, &address, port), limit).await,
            Err(error) => ProbeOutcome::Unknown(error),
        }
    } else if probe.has("tcpSocket") {
        let socket = probe.at("tcpSocket");
        let host = if socket.text("host").is_empty() { address.as_str() } else { socket.text("host") };
        match port_number(container, socket.at("port")) {
            Ok(port) => tcp(host, port, limit).await,
            Err(error) => ProbeOutcome::Unknown(error),
        }
    } else if probe.has("grpc") {
        let own = probe.at("grpc");
        match port_number(container, own.at("port")) {
            Ok(port) => grpc::check(&address, port, own.text("service"), limit).await,
            Err(error) => ProbeOutcome::Unknown(error),
        }
    } else {
        ProbeOutcome::Unknown(format!("missing probe handler for {}:{name}", pod::display(pod)))
    };
    match outcome {
        ProbeOutcome::Failure(text) => ProbeOutcome::Failure(cut(text)),
        other => other,
    }
}

/// The pod's own address, or the node's where it shares its network.
pub(crate) fn pod_address(shared: &Shared, pod: &Value, sandbox: Option<&SandboxStatus>) -> Option<String> {
    if pod.at("spec").is_true("hostNetwork") {
        return shared.facts().host_ips.first().cloned();
    }
    sandbox?.addresses.addresses.first().map(ToString::to_string)
}

/// A port by number or by name.
pub(crate) fn port_number(container: Container<'_>, port: &Value) -> Result<u16, String> {
    let number = match port {
        Value::String(name) => match name.parse::<i64>() {
            Ok(number) => Some(number),
            Err(_) => {
                let mut ports = container.spec.list("ports").iter();
                ports.find(|own| own.text("name") == name).and_then(|own| own.int("containerPort"))
            }
        },
        other => other.as_i64(),
    };
    let number = number.and_then(|number| u16::try_from(number).ok()).filter(|number| *number > 0);
    number.ok_or_else(|| format!("container {} has no port {port}", container.name()))
}

async fn exec(shared: &Shared, probe: &Value, id: &ContainerId, limit: Duration) -> ProbeOutcome {
    let words: Vec<String> =
        probe.at("exec").list("command").iter().filter_map(Value::as_str).map(str::to_owned).collect();
    let told = format!("{words:?}");
    match shared.runtime.exec_sync(id, words, limit).await {
        Ok(outcome) if outcome.exit_code == 0 => ProbeOutcome::Success,
        Ok(outcome) => {
            let said = [outcome.stdout, outcome.stderr].concat();
            ProbeOutcome::Failure(cut(String::from_utf8_lossy(&said).into_owned()))
        }
        Err(error) if error.kind == RuntimeErrorKind::DeadlineExceeded => {
            ProbeOutcome::Failure(format!("command timed out: {told} timed out after {}s", limit.as_secs()))
        }
        Err(error) if error.kind == RuntimeErrorKind::CannotStart => {
            ProbeOutcome::Failure(cut(error.message))
        }
        Err(error) => ProbeOutcome::Unknown(error.message),
    }
}

async fn http_probe(target: &HttpTarget, limit: Duration) -> ProbeOutcome {
    match http_get(target, limit).await {
        Ok((200..400, _)) => ProbeOutcome::Success,
        Ok((status, _)) => ProbeOutcome::Failure(format!("HTTP probe failed with statuscode: {status}")),
        Err(error) => ProbeOutcome::Failure(format!("Get {:?}: {error}", target.url())),
    }
}

async fn tcp(host: &str, port: u16, limit: Duration) -> ProbeOutcome {
    match tokio::time::timeout(limit, TcpStream::connect((host, port))).await {
        Ok(Ok(_)) => ProbeOutcome::Success,
        Ok(Err(error)) => {
            let why = if error.kind() == std::io::ErrorKind::ConnectionRefused {
                "connect: connection refused".to_owned()
            } else {
                error.to_string()
            };
            ProbeOutcome::Failure(format!("dial tcp {}: {why}", join(host, port)))
        }
        Err(_) => ProbeOutcome::Failure(format!("dial tcp {}: i/o timeout", join(host, port))),
    }
}

/// `host:port`, with brackets around an IPv6 address.
pub(crate) fn join(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

fn cut(mut text: String) -> String {
    let mut end = text.len().min(OUTPUT_LIMIT_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text
}
