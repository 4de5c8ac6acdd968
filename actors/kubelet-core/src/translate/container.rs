//! [`container_config`].

use std::collections::BTreeMap;

use serde_json::Value;
use trireme_node::{ContainerConfig, ContainerId, Image, Mount, Seccomp, SecurityContext};
use trireme_schema::view::View;

use super::env::{Environment, expand};
use super::{ConfigError, NodeFacts};
use crate::pod::{self, Container};
use crate::resources::container_resources;
use crate::worker::{IDENTITY_ANNOTATION, RESOURCES_ANNOTATION};

/// Hidden in containers unless `procMount: Unmasked` or privileged (containerd's list).
const MASKED_PATHS: [&str; 13] = [
    "/proc/asound",
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
    "/sys/devices/system/cpu/cpu0/thermal_throttle",
];
/// Read-only in containers unless privileged.
const READ_ONLY_PATHS: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// What a container is made from, besides its pod.
#[derive(Clone, Debug)]
pub struct ContainerInputs<'a> {
    /// The pod.
    pub pod: &'a Value,
    /// The container.
    pub container: Container<'a>,
    /// Counts starts.
    pub attempt: u32,
    /// The image that is here.
    pub image: &'a Image,
    /// Its environment.
    pub environment: &'a Environment,
    /// Its mounts, resolved.
    pub mounts: Vec<Mount>,
    /// The container whose processes an ephemeral one sees.
    pub target: Option<ContainerId>,
    /// The node.
    pub facts: &'a NodeFacts,
    /// Where seccomp profiles lie on the node.
    pub seccomp_folder: &'a str,
}

/// What the runtime is asked for.
pub fn container_config(inputs: ContainerInputs<'_>) -> Result<ContainerConfig, ConfigError> {
    let ContainerInputs {
        pod,
        container,
        attempt,
        image,
        environment,
        mounts,
        target,
        facts,
        seccomp_folder,
    } = inputs;
    let spec = container.spec;
    verify_non_root(pod, spec, image)?;
    let vars = environment.map();
    let words = |name: &str| {
        let list = spec.list(name).iter().filter_map(Value::as_str);
        list.map(|word| expand(word, |name| vars.get(name).cloned())).collect::<Vec<_>>()
    };
    let name = container.name();
    let labels = BTreeMap::from([
        ("io.kubernetes.container.name".to_owned(), name.to_owned()),
        ("io.kubernetes.pod.name".to_owned(), pod::name(pod).to_owned()),
        ("io.kubernetes.pod.namespace".to_owned(), pod::namespace(pod).to_owned()),
        ("io.kubernetes.pod.uid".to_owned(), pod::uid(pod).to_owned()),
    ]);
    let annotations = BTreeMap::from([
        (IDENTITY_ANNOTATION.to_owned(), container.identity()),
        (RESOURCES_ANNOTATION.to_owned(), spec.at("resources").to_string()),
        ("io.kubernetes.container.restartCount".to_owned(), attempt.to_string()),
    ]);
    Ok(ContainerConfig {
        name: name.to_owned(),
        attempt,
        image: image.id.clone(),
        user_image: spec.text("image").to_owned(),
        command: words("command"),
        args: words("args"),
        working_dir: spec.text("workingDir").to_owned(),
        envs: environment.vars.clone(),
        mounts,
        log_path: format!("{name}/{attempt}.log"),
        stdin: spec.is_true("stdin"),
        stdin_once: spec.is_true("stdinOnce"),
        tty: spec.is_true("tty"),
        resources: container_resources(pod, spec, facts.memory_bytes),
        security: security(pod, spec, seccomp_folder)?,
        stop_signal: spec.at("lifecycle").text("stopSignal").to_owned(),
        target_pid_of: target,
        labels,
        annotations,
        ..ContainerConfig::default()
    })
}

/// The container's own setting, or the pod's.
fn merged<'a>(pod: &'a Value, container: &'a Value, name: &str) -> &'a Value {
    let own = container.at("securityContext").at(name);
    if own.is_null() { pod.at("spec").at("securityContext").at(name) } else { own }
}

/// User and group that the pod asks for.
pub fn effective_user(pod: &Value, container: &Value) -> (Option<u32>, Option<u32>) {
    let id = |name: &str| merged(pod, container, name).as_i64().and_then(|id| u32::try_from(id).ok());
    (id("runAsUser"), id("runAsGroup"))
}

/// Refuses root where `runAsNonRoot` stands, in upstream's words.
pub fn verify_non_root(pod: &Value, container: &Value, image: &Image) -> Result<(), ConfigError> {
    if merged(pod, container, "runAsNonRoot") != &Value::Bool(true) {
        return Ok(());
    }
    let place = format!("(pod: {:?}, container: {})", pod::display(pod), container.text("name"));
    match (effective_user(pod, container).0, image.uid, image.username.as_str()) {
        (Some(0), ..) => Err(ConfigError(format!("container's runAsUser breaks non-root policy {place}"))),
        (Some(_), ..) => Ok(()),
        (None, Some(0), _) | (None, None, "") => {
            Err(ConfigError(format!("container has runAsNonRoot and image will run as root {place}")))
        }
        (None, None, name) => Err(ConfigError(format!(
            "container has runAsNonRoot and image has non-numeric user ({name}), cannot verify user is non-root {place}"
        ))),
        (None, Some(_), _) => Ok(()),
    }
}

fn security(pod: &Value, container: &Value, seccomp_folder: &str) -> Result<SecurityContext, ConfigError> {
    let own = container.at("securityContext");
    let context = pod.at("spec").at("securityContext");
    let privileged = own.is_true("privileged");
    let (run_as_user, run_as_group) = effective_user(pod, container);
    let groups = context.list("supplementalGroups").iter().chain(Some(context.at("fsGroup")));
    let groups = groups.filter_map(Value::as_i64).filter_map(|group| u32::try_from(group).ok()).collect();
    let names = |list: &str| {
        let all = own.at("capabilities").list(list).iter().filter_map(Value::as_str);
        all.map(|name| name.trim_start_matches("CAP_").to_owned()).collect::<Vec<_>>()
    };
    let unmasked = privileged || own.text("procMount") == "Unmasked";
    let paths = |list: &[&str]| match unmasked {
        true => Vec::new(),
        false => list.iter().map(|path| (*path).to_owned()).collect(),
    };
    Ok(SecurityContext {
        privileged,
        run_as_user,
        run_as_group,
        supplemental_groups: groups,
        strict_groups: context.text("supplementalGroupsPolicy") == "Strict",
        read_only_rootfs: own.is_true("readOnlyRootFilesystem"),
        no_new_privileges: own.at("allowPrivilegeEscalation") == &Value::Bool(false),
        add_capabilities: names("add"),
        drop_capabilities: names("drop"),
        seccomp: seccomp(merged(pod, container, "seccompProfile"), privileged, seccomp_folder)?,
        masked_paths: paths(&MASKED_PATHS),
        read_only_paths: paths(&READ_ONLY_PATHS),
    })
}

fn seccomp(profile: &Value, privileged: bool, folder: &str) -> Result<Seccomp, ConfigError> {
    match profile.text("type") {
        _ if privileged => Ok(Seccomp::Unconfined),
        "" | "Unconfined" => Ok(Seccomp::Unconfined),
        "RuntimeDefault" => Ok(Seccomp::RuntimeDefault),
        "Localhost" => Ok(Seccomp::Localhost(format!("{folder}/{}", profile.text("localhostProfile")))),
        other => Err(ConfigError(format!("seccompProfile type {other:?} is not known"))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn non_root_is_checked_in_upstreams_words() {
        let pod = json!({"metadata": {"name": "p", "namespace": "n", "uid": "u"},
            "spec": {"securityContext": {"runAsNonRoot": true}}});
        let check = |user: Value, uid: Option<u32>, name: &str| {
            let container = json!({"name": "c", "securityContext": {"runAsUser": user}});
            let image = Image { uid, username: name.into(), ..Image::default() };
            verify_non_root(&pod, &container, &image).map_err(|error| error.0)
        };
        let at = "(pod: \"p_n(u)\", container: c)";
        let root = format!("container has runAsNonRoot and image will run as root {at}");
        assert_eq!(check(Value::Null, Some(0), ""), Err(root.clone()));
        assert_eq!(check(Value::Null, None, ""), Err(root));
        assert!(check(Value::Null, None, "nobody").unwrap_err().contains("non-numeric user (nobody)"));
        assert!(check(json!(0), None, "").unwrap_err().contains("breaks non-root policy"));
        assert_eq!(check(json!(7), Some(0), ""), Ok(()));
        assert_eq!(check(Value::Null, Some(8), ""), Ok(()));
    }
}
