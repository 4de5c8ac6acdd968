//! The Node's status in upstream's words.

use serde_json::{Value, json};
use trireme_schema::view::View;

use super::machine::{Machine, disk};
use crate::clock::moment_now;
use crate::shared::Shared;

/// Images told of (upstream's `nodeStatusMaxImages`).
const IMAGES_LIMIT: usize = 50;
/// Names told of one image.
const IMAGE_NAMES_LIMIT: usize = 5;

/// The status, and whether the node is ready.
pub(super) async fn of(shared: &Shared, machine: &Machine) -> (Value, bool) {
    let config = &shared.config;
    let facts = shared.facts();
    let features = shared.runtime.features();
    let (_, disk_bytes, ..) = disk(&config.data_dir);
    let kibi = |bytes: i64| format!("{}Ki", bytes / 1_024);
    let capacity = json!({
        "cpu": machine.cpus.to_string(),
        "memory": kibi(machine.memory_bytes),
        "ephemeral-storage": kibi(i64::try_from(disk_bytes).unwrap_or(i64::MAX)),
        "hugepages-1Gi": "0",
        "hugepages-2Mi": "0",
        "pods": config.max_pods.to_string(),
    });
    let mut allocatable = capacity.clone();
    let cpu = facts.allocatable.cpu_milli;
    allocatable["cpu"] = if cpu % 1_000 == 0 { (cpu / 1_000).to_string() } else { format!("{cpu}m") }.into();
    allocatable["memory"] = kibi(facts.allocatable.memory_bytes).into();
    allocatable["ephemeral-storage"] = facts.allocatable.ephemeral_bytes.to_string().into();
    let mut addresses: Vec<Value> =
        facts.host_ips.iter().map(|ip| json!({"type": "InternalIP", "address": ip})).collect();
    addresses.push(json!({"type": "Hostname", "address": config.node_name}));
    let (conditions, ready) = conditions(shared).await;
    let version = concat!("v1.35.0+trireme-", env!("CARGO_PKG_VERSION"));
    let mut status = json!({
        "capacity": capacity,
        "allocatable": allocatable,
        "addresses": addresses,
        "conditions": conditions,
        "images": images(shared).await,
        "nodeInfo": {
            "architecture": machine.architecture,
            "bootID": machine.boot_id,
            "containerRuntimeVersion": shared.runtime.version(),
            "kernelVersion": machine.kernel,
            "kubeProxyVersion": "",
            "kubeletVersion": version,
            "machineID": machine.machine_id,
            "operatingSystem": "linux",
            "osImage": machine.os_image,
            "systemUUID": machine.system_uuid,
        },
        "runtimeHandlers": [{"name": "", "features": {
            "recursiveReadOnlyMounts": features.recursive_read_only_mounts,
            "userNamespaces": features.user_namespaces,
        }}],
    });
    if config.api_port != 0 {
        status["daemonEndpoints"] = json!({"kubeletEndpoint": {"Port": config.api_port}});
    }
    (status, ready)
}

async fn images(shared: &Shared) -> Vec<Value> {
    let mut images = shared.runtime.images().await.unwrap_or_default();
    images.sort_by(|a, b| b.size.cmp(&a.size).then_with(|| a.id.cmp(&b.id)));
    let told = images.iter().take(IMAGES_LIMIT).map(|image| {
        let names: Vec<&String> = image.digests.iter().chain(&image.tags).take(IMAGE_NAMES_LIMIT).collect();
        json!({"names": names, "sizeBytes": image.size})
    });
    told.collect()
}

async fn conditions(shared: &Shared) -> (Vec<Value>, bool) {
    let pressure = shared.pressure.lock().clone();
    let under = |name: &str| pressure.contains(&name);
    let pick = |name: &'static str, bad: (&'static str, &'static str), good: (&'static str, &'static str)| {
        let (reason, message) = if under(name) { bad } else { good };
        (name, under(name), reason.to_owned(), message.to_owned())
    };
    let unmet = unmet(shared).await;
    let ready = unmet.is_empty();
    let (reason, message) = match ready {
        true => ("KubeletReady", "kubelet is posting ready status".to_owned()),
        false => ("KubeletNotReady", format!("[{}]", unmet.join(", "))),
    };
    let all = [
        pick(
            "MemoryPressure",
            ("KubeletHasInsufficientMemory", "kubelet has insufficient memory available"),
            ("KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
        ),
        pick(
            "DiskPressure",
            ("KubeletHasDiskPressure", "kubelet has disk pressure"),
            ("KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
        ),
        pick(
            "PIDPressure",
            ("KubeletHasInsufficientPID", "kubelet has insufficient PID available"),
            ("KubeletHasSufficientPID", "kubelet has sufficient PID available"),
        ),
        ("Ready", ready, reason.to_owned(), message),
    ];
    let known = shared.node.borrow().clone().unwrap_or_default();
    let now = moment_now().to_time();
    let told = all.into_iter().map(|(name, holds, reason, message)| {
        let status = if holds { "True" } else { "False" };
        let before = known.at("status").list("conditions").iter().find(|own| own.text("type") == name);
        let since =
            before.filter(|own| own.text("status") == status).map(|own| own.text("lastTransitionTime"));
        let since = since.filter(|text| !text.is_empty()).unwrap_or(&now).to_owned();
        json!({"type": name, "status": status, "reason": reason, "message": message,
            "lastHeartbeatTime": now, "lastTransitionTime": since})
    });
    (told.collect(), ready)
}

/// Why the node is not ready, in upstream's words.
async fn unmet(shared: &Shared) -> Vec<String> {
    let mut unmet = Vec::new();
    if *shared.shutting_down.borrow() {
        unmet.push("node is shutting down".to_owned());
    }
    for condition in shared.runtime.conditions().await.into_iter().filter(|own| !own.holds) {
        let what =
            if condition.name == "NetworkReady" { "container runtime network" } else { "container runtime" };
        unmet.push(format!(
            "{what} not ready: {}=false reason:{} message:{}",
            condition.name, condition.reason, condition.message
        ));
    }
    unmet
}
