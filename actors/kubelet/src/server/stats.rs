//! `/stats/summary`.

use serde_json::{Value, json};
use trireme_kubelet_core::pod;
use trireme_node::ContainerStats;

use crate::clock::{moment, moment_now};
use crate::node::readings;
use crate::shared::Shared;
use trireme_kubelet_core::evict::Signal;

/// What the node and its pods use.
pub(super) async fn summary(shared: &Shared) -> Value {
    let stats = shared.runtime.stats().await.unwrap_or_default();
    let now = moment_now().to_time();
    let mut pods = Vec::new();
    for own in &stats {
        let (namespace, name, uid) = &own.pod;
        let entry = shared.entry(uid);
        let mut told = json!({
            "podRef": {"name": name, "namespace": namespace, "uid": uid},
            "startTime": entry.as_ref().map(|own| own.with_status()["status"]["startTime"].clone()),
            "containers": own.containers.iter().map(container).collect::<Vec<_>>(),
            "cpu": cpu(&own.total), "memory": memory(&own.total),
            "process_stats": {"process_count": own.total.pids},
        });
        if let Some((received, sent)) = own.network {
            told["network"] = json!({"time": now, "name": "eth0", "rxBytes": received, "txBytes": sent,
                "interfaces": [{"name": "eth0", "rxBytes": received, "txBytes": sent}]});
        }
        if let Some(entry) = &entry {
            let volumes = shared.volumes.empty_dir_use(&entry.pod).await;
            let written: u64 = own.containers.iter().map(|own| own.rootfs.0 + own.log_bytes).sum();
            let total = written + volumes.iter().map(|(_, used)| used).sum::<u64>();
            told["ephemeral-storage"] = json!({"time": now, "usedBytes": total});
            told["volume"] = volumes
                .iter()
                .map(|(name, used)| json!({"name": name, "time": now, "usedBytes": used}))
                .collect();
            told["podRef"]["namespace"] = pod::namespace(&entry.pod).into();
        }
        pods.push(told);
    }
    json!({"node": node(shared, &now).await, "pods": pods})
}

async fn node(shared: &Shared, now: &str) -> Value {
    let readings = readings(shared).await;
    let of = |signal: Signal| readings.iter().find(|own| own.signal == signal).copied();
    let mut node = json!({"nodeName": shared.config.node_name});
    if let Some(memory) = of(Signal::Memory) {
        let used = memory.capacity.saturating_sub(memory.available);
        node["memory"] = json!({"time": now, "availableBytes": memory.available, "usageBytes": used,
            "workingSetBytes": used});
    }
    if let Some(nanos) = cpu_nanos() {
        node["cpu"] = json!({"time": now, "usageCoreNanoSeconds": nanos});
    }
    let disk = |reading: trireme_kubelet_core::evict::Reading| {
        json!({"time": now, "availableBytes": reading.available, "capacityBytes": reading.capacity,
            "usedBytes": reading.capacity.saturating_sub(reading.available)})
    };
    if let Some(reading) = of(Signal::NodeDisk) {
        node["fs"] = disk(reading);
        if let Some(inodes) = of(Signal::NodeInodes) {
            node["fs"]["inodesFree"] = inodes.available.into();
            node["fs"]["inodes"] = inodes.capacity.into();
        }
    }
    if let Ok(images) = shared.runtime.image_filesystem().await {
        let fs = json!({"time": now, "availableBytes": images.available_bytes,
            "capacityBytes": images.capacity_bytes, "usedBytes": images.used_bytes});
        node["runtime"] = json!({"imageFs": fs, "containerFs": fs});
    }
    if let Some(pids) = of(Signal::Pids) {
        node["rlimit"] = json!({"time": now, "maxpid": pids.capacity,
            "curproc": pids.capacity.saturating_sub(pids.available)});
    }
    node
}

/// CPU time that the machine has used since its start.
pub(super) fn cpu_nanos() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/stat").ok()?;
    let line = text.lines().next()?.strip_prefix("cpu ")?;
    let ticks: Vec<u64> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    // user, nice, system, irq, softirq, steal: all but idle and waiting.
    let busy: u64 = [0, 1, 2, 5, 6, 7].iter().filter_map(|at| ticks.get(*at)).sum();
    let per_second = rustix::param::clock_ticks_per_second();
    Some(busy.saturating_mul(1_000_000_000 / per_second.max(1)))
}

fn container(own: &ContainerStats) -> Value {
    let at = moment(own.at).to_time();
    json!({"name": own.name, "cpu": cpu(own), "memory": memory(own),
        "rootfs": {"time": at, "usedBytes": own.rootfs.0, "inodesUsed": own.rootfs.1},
        "logs": {"time": at, "usedBytes": own.log_bytes}})
}

fn cpu(own: &ContainerStats) -> Value {
    json!({"time": moment(own.at).to_time(), "usageCoreNanoSeconds": own.cpu_nanos})
}

fn memory(own: &ContainerStats) -> Value {
    json!({"time": moment(own.at).to_time(), "usageBytes": own.memory_usage,
        "workingSetBytes": own.memory_working_set, "rssBytes": own.memory_rss,
        "pageFaults": own.page_faults.0, "majorPageFaults": own.page_faults.1})
}
