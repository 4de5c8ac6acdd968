//! [`sandbox_config`].

use std::collections::BTreeMap;

use serde_json::Value;
use trireme_node::{HostPort, Namespaces, SandboxConfig, Seccomp, SecurityContext};
use trireme_schema::view::View;

use super::dns::dns;
use super::{ConfigError, NodeFacts};
use crate::pod::{self, ContainerKind};
use crate::resources::{cgroup_parent, pod_resources};

/// Longest host name of a machine.
const HOSTNAME_LIMIT_CHARS: usize = 63;
/// Longest name the kernel takes.
const FQDN_LIMIT_CHARS: usize = 64;

/// A pod's host name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hostname {
    /// Without its domain.
    pub short: String,
    /// What `hostname` prints in the pod.
    pub shown: String,
}

/// The pod's host name by `hostname`, `subdomain`, `setHostnameAsFQDN` and `hostnameOverride`.
pub fn hostname(pod: &Value, cluster_domain: &str) -> Result<Hostname, ConfigError> {
    let spec = pod.at("spec");
    let forced = spec.text("hostnameOverride");
    if !forced.is_empty() {
        return Ok(Hostname { short: forced.to_owned(), shown: forced.to_owned() });
    }
    let own = spec.text("hostname");
    let mut short = if own.is_empty() { pod::name(pod).to_owned() } else { own.to_owned() };
    if short.len() > HOSTNAME_LIMIT_CHARS {
        short = short[..HOSTNAME_LIMIT_CHARS].trim_end_matches(['-', '.']).to_owned();
    }
    let subdomain = spec.text("subdomain");
    if !spec.is_true("setHostnameAsFQDN") || subdomain.is_empty() {
        return Ok(Hostname { shown: short.clone(), short });
    }
    let shown = format!("{short}.{subdomain}.{}.svc.{cluster_domain}", pod::namespace(pod));
    if shown.len() > FQDN_LIMIT_CHARS {
        return Err(ConfigError(format!(
            "failed to construct FQDN from pod hostname and cluster domain, FQDN {shown} is too long \
             ({FQDN_LIMIT_CHARS} characters is the max, {} characters requested)",
            shown.len()
        )));
    }
    Ok(Hostname { short, shown })
}

/// What the runtime is asked for. Also says whether the cluster's DNS was wanted but is not configured.
pub fn sandbox_config(
    pod: &Value,
    attempt: u32,
    facts: &NodeFacts,
) -> Result<(SandboxConfig, bool), ConfigError> {
    let spec = pod.at("spec");
    if spec.at("hostUsers") == &Value::Bool(false) {
        let why = "can't set `spec.hostUsers: false`, runtime does not support user namespaces";
        return Err(ConfigError(why.to_owned()));
    }
    let (dns, dns_missing) = dns(pod, facts);
    let host_network = spec.is_true("hostNetwork");
    let mut config = SandboxConfig {
        name: pod::name(pod).to_owned(),
        namespace: pod::namespace(pod).to_owned(),
        uid: pod::uid(pod).to_owned(),
        attempt,
        hostname: if host_network { String::new() } else { hostname(pod, &facts.cluster_domain)?.shown },
        log_directory: log_directory(pod, &facts.logs_folder),
        dns: Some(dns),
        host_ports: if host_network { Vec::new() } else { host_ports(pod)? },
        namespaces: Namespaces {
            host_network,
            host_pid: spec.is_true("hostPID"),
            host_ipc: spec.is_true("hostIPC"),
            shared_pid: spec.is_true("shareProcessNamespace"),
        },
        sysctls: sysctls(pod),
        cgroup_parent: cgroup_parent(pod),
        resources: pod_resources(pod, facts.pids_limit),
        security: sandbox_security(pod),
        labels: texts(pod.at("metadata").at("labels")),
        annotations: texts(pod.at("metadata").at("annotations")),
    };
    config.labels.insert("io.kubernetes.pod.name".into(), pod::name(pod).to_owned());
    config.labels.insert("io.kubernetes.pod.namespace".into(), pod::namespace(pod).to_owned());
    config.labels.insert("io.kubernetes.pod.uid".into(), pod::uid(pod).to_owned());
    Ok((config, dns_missing))
}

/// `<logs>/<namespace>_<name>_<uid>`.
pub fn log_directory(pod: &Value, logs: &str) -> String {
    format!("{logs}/{}_{}_{}", pod::namespace(pod), pod::name(pod), pod::uid(pod))
}

fn host_ports(pod: &Value) -> Result<Vec<HostPort>, ConfigError> {
    let mut ports = Vec::new();
    let listed = pod::containers(pod).into_iter().filter(|own| own.kind != ContainerKind::Ephemeral);
    for port in listed.flat_map(|container| container.spec.list("ports")) {
        let number = |name: &str| port.int(name).and_then(|value| u16::try_from(value).ok());
        let Some(host_port) = number("hostPort").filter(|value| *value > 0) else { continue };
        let host_ip = match port.text("hostIP") {
            "" | "0.0.0.0" | "::" => None,
            text => Some(text.parse().map_err(|_| ConfigError(format!("hostIP {text:?} is no address")))?),
        };
        let protocol = match port.text("protocol") {
            "" => "TCP",
            protocol => protocol,
        };
        ports.push(HostPort {
            protocol: protocol.to_owned(),
            host_port,
            host_ip,
            container_port: number("containerPort").unwrap_or(host_port),
        });
    }
    Ok(ports)
}

fn sysctls(pod: &Value) -> BTreeMap<String, String> {
    let own = pod.at("spec").at("securityContext").list("sysctls").iter();
    own.map(|sysctl| (sysctl.text("name").replace('/', "."), sysctl.text("value").to_owned())).collect()
}

fn sandbox_security(pod: &Value) -> SecurityContext {
    let context = pod.at("spec").at("securityContext");
    let id = |name: &str| context.int(name).and_then(|value| u32::try_from(value).ok());
    SecurityContext {
        privileged: pod::containers(pod)
            .iter()
            .any(|container| container.spec.at("securityContext").is_true("privileged")),
        run_as_user: id("runAsUser"),
        run_as_group: id("runAsGroup"),
        // Whatever its containers have, as upstream.
        seccomp: Seccomp::RuntimeDefault,
        ..SecurityContext::default()
    }
}

pub(super) fn texts(map: &Value) -> BTreeMap<String, String> {
    let entries = map.as_object().into_iter().flatten();
    entries.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_user_namespace_is_refused_in_upstreams_words() {
        let pod =
            json!({"metadata": {"name": "p", "namespace": "n", "uid": "u"}, "spec": {"hostUsers": false}});
        let refused = sandbox_config(&pod, 0, &NodeFacts::default()).unwrap_err();
        assert_eq!(refused.0, "can't set `spec.hostUsers: false`, runtime does not support user namespaces");
    }

    #[test]
    fn host_names() {
        let pod = |spec: Value| json!({"metadata": {"name": "web-0", "namespace": "n"}, "spec": spec});
        let shown = |spec: Value| hostname(&pod(spec), "cluster.local").map(|own| own.shown);
        assert_eq!(shown(json!({})).unwrap(), "web-0");
        assert_eq!(shown(json!({"hostname": "h", "subdomain": "s"})).unwrap(), "h");
        let full = json!({"hostname": "h", "subdomain": "s", "setHostnameAsFQDN": true});
        assert_eq!(shown(full).unwrap(), "h.s.n.svc.cluster.local");
        let long = json!({"hostname": "h".repeat(60), "subdomain": "s", "setHostnameAsFQDN": true});
        assert!(shown(long).unwrap_err().0.contains("is too long"));
    }
}
