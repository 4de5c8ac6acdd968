//! Every few seconds: is the node short of something, does a pod use more local storage than it may, which images, folders
//! and log files can go.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;
use trireme_kubelet_core::evict::{PodUse, Reading, Signal, message, over_local_limit, rank, short};
use trireme_kubelet_core::garbage::ImageLedger;
use trireme_kubelet_core::pod;
use trireme_kubelet_core::worker::Ending;
use trireme_node::{ContainerState, SandboxStats};
use trireme_schema::view::View;

use crate::clock::{moment_now, tick_now};
use crate::node::readings;
use crate::shared::{PodEntry, Shared};

/// Grace of pods evicted because the node is short (upstream: none for hard thresholds, then the kernel's minimum).
const HARD_EVICTION_GRACE: Duration = Duration::from_secs(1);

/// Keeps house for ever.
pub(crate) async fn keep(shared: Arc<Shared>) -> String {
    let mut ledger = ImageLedger::default();
    let mut pressed: BTreeMap<&'static str, Instant> = BTreeMap::new();
    loop {
        tokio::time::sleep(shared.config.housekeeping).await;
        let stats = shared.runtime.stats().await.unwrap_or_default();
        let readings = readings(&shared).await;
        let low = short(&readings, &shared.config.eviction);
        note_pressure(&shared, &low, &mut pressed);
        local_storage(&shared, &stats).await;
        let freed = images(&shared, &mut ledger, &readings).await;
        let disk = |reading: &Reading| {
            matches!(reading.signal, Signal::NodeDisk | Signal::NodeInodes | Signal::ImageDisk)
        };
        if let Some(reading) = low.iter().find(|reading| !freed || !disk(reading)) {
            evict_one(&shared, reading, &stats).await;
        }
        rotate_logs(&shared).await;
        folders(&shared).await;
    }
}

fn note_pressure(shared: &Shared, low: &[Reading], pressed: &mut BTreeMap<&'static str, Instant>) {
    for reading in low {
        pressed.insert(reading.signal.condition(), Instant::now());
    }
    pressed.retain(|_, at| at.elapsed() < shared.config.pressure_transition);
    *shared.pressure.lock() = pressed.keys().copied().collect();
}

fn use_of(stats: &[SandboxStats], uid: &str) -> PodUse {
    let own = stats.iter().filter(|own| own.pod.2 == uid);
    own.fold(PodUse::default(), |sum, own| {
        let disk: u64 = own.containers.iter().map(|container| container.rootfs.0 + container.log_bytes).sum();
        PodUse {
            memory_bytes: sum.memory_bytes + own.total.memory_working_set,
            disk_bytes: sum.disk_bytes + disk,
            pids: sum.pids + own.total.pids,
        }
    })
}

/// Evicts the first pod in order; the next round measures again before another one goes.
async fn evict_one(shared: &Shared, reading: &Reading, stats: &[SandboxStats]) {
    let active: Vec<PodEntry> = shared
        .entries()
        .into_iter()
        .filter(|own| own.is_active() && own.ending.is_none() && !own.removed)
        .collect();
    let used: Vec<(Arc<Value>, PodUse)> =
        active.iter().map(|own| (Arc::clone(&own.pod), use_of(stats, pod::uid(&own.pod)))).collect();
    let views: Vec<(&Value, PodUse)> = used.iter().map(|(pod, used)| (pod.as_ref(), *used)).collect();
    let bound = shared.config.eviction.iter().find(|(signal, _)| *signal == reading.signal);
    let threshold = bound.map_or(0, |(_, bound)| bound.of(reading.capacity));
    let name = shared.config.node_name.as_str();
    let resource = reading.signal.resource();
    shared.events.node(name, true, "EvictionThresholdMet", format!("Attempting to reclaim {resource}"));
    let Some(victim) = rank(reading.signal, &views).first().copied() else { return };
    let own = use_of(stats, pod::uid(victim));
    let message = message(reading, threshold, victim, &own);
    evict(shared, victim, message, Some(HARD_EVICTION_GRACE));
}

fn evict(shared: &Shared, pod: &Value, message: String, grace: Option<Duration>) {
    shared.events.pod(pod, None, true, "Evicted", message.clone());
    let ending = Ending { reason: "Evicted".into(), message, grace, disruption: true };
    shared.end_pod(pod::uid(pod), ending);
}

/// emptyDir `sizeLimit` and `ephemeral-storage` limits.
async fn local_storage(shared: &Shared, stats: &[SandboxStats]) {
    for entry in shared.entries().into_iter().filter(|own| own.is_active() && own.ending.is_none()) {
        let pod = &entry.pod;
        let empty_dirs = shared.volumes.empty_dir_use(pod).await;
        let own = stats.iter().filter(|own| own.pod.2 == pod::uid(pod));
        let containers: Vec<(String, u64)> = own
            .flat_map(|own| &own.containers)
            .map(|container| (container.name.clone(), container.rootfs.0 + container.log_bytes))
            .collect();
        // Memory volumes are bounded by their size and counted as memory.
        let on_disk: Vec<(String, u64)> = empty_dirs
            .into_iter()
            .filter(|(name, _)| {
                let volume = pod.at("spec").list("volumes").iter().find(|own| own.text("name") == name);
                volume.is_some_and(|own| own.at("emptyDir").text("medium").is_empty())
            })
            .collect();
        if let Some(message) = over_local_limit(pod, &on_disk, &containers) {
            evict(shared, pod, message, Some(HARD_EVICTION_GRACE));
        }
    }
}

/// Removes images that may go. True when one went.
async fn images(shared: &Shared, ledger: &mut ImageLedger, readings: &[Reading]) -> bool {
    let (Ok(images), Ok(snapshot)) = (shared.runtime.images().await, shared.lister.snapshot().await) else {
        return false;
    };
    let in_use: BTreeSet<String> = snapshot.containers.iter().map(|own| own.config.image.clone()).collect();
    let disk = readings.iter().find(|own| own.signal == Signal::ImageDisk);
    let disk = disk.map_or((0, 0), |own| (own.capacity.saturating_sub(own.available), own.capacity));
    let mut any = false;
    for id in ledger.plan(tick_now(), &images, &in_use, disk, shared.config.images) {
        match shared.runtime.remove_image(&id).await {
            Ok(()) => any = true,
            Err(error) => tracing::warn!(%error, image = id, "an unused image was not removed"),
        }
    }
    any
}

/// Folders of pods that nobody knows any more.
async fn folders(shared: &Shared) {
    if shared.services.borrow().is_none() {
        // Nothing was listed yet: nobody is unknown.
        return;
    }
    let Ok(snapshot) = shared.lister.snapshot().await else { return };
    for uid in shared.volumes.pods().await {
        let held = snapshot.sandboxes.iter().any(|own| own.config.uid == uid);
        if held || shared.pods.lock().contains_key(&uid) {
            continue;
        }
        let released = shared.volumes.release(&uid).await;
        let removed = match released {
            Ok(()) => shared.volumes.remove_pod(&uid).await,
            Err(error) => Err(error),
        };
        if let Err(error) = removed {
            tracing::warn!(error, uid, "a forgotten pod's folder is still there");
        }
    }
}

/// Log files beyond their limit are moved away; the runtime opens a new one.
async fn rotate_logs(shared: &Shared) {
    let Ok(snapshot) = shared.lister.snapshot().await else { return };
    for container in snapshot.containers.iter().filter(|own| own.state == ContainerState::Running) {
        let path = PathBuf::from(&container.log_path);
        let long = tokio::fs::metadata(&path).await.is_ok_and(|own| own.len() > shared.config.log_max_bytes);
        if !long {
            continue;
        }
        let stamp = moment_now().to_time().replace(['-', ':', 'Z'], "").replace('T', "-");
        let moved = PathBuf::from(format!("{}.{stamp}", path.display()));
        if let Err(error) = tokio::fs::rename(&path, &moved).await {
            tracing::warn!(%error, path = %path.display(), "a log was not rotated");
            continue;
        }
        if let Err(error) = shared.runtime.reopen_log(&container.id).await {
            tracing::warn!(%error, path = %path.display(), "the log was not opened anew: it goes back");
            drop(tokio::fs::rename(&moved, &path).await);
            continue;
        }
        prune(&path, shared.config.log_max_files).await;
    }
}

async fn prune(path: &Path, keep: u32) {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return };
    let prefix = format!("{}.", name.to_string_lossy());
    let Ok(mut entries) = tokio::fs::read_dir(folder).await else { return };
    let mut old = Vec::new();
    while let Ok(Some(entry)) = entries.next_entry().await {
        if entry.file_name().to_string_lossy().starts_with(&prefix) {
            old.push(entry.path());
        }
    }
    old.sort();
    let spare = old.len().saturating_sub(usize::try_from(keep.saturating_sub(1)).unwrap_or(usize::MAX));
    for path in old.into_iter().take(spare) {
        if let Err(error) = tokio::fs::remove_file(&path).await {
            tracing::warn!(%error, path = %path.display(), "an old log is still there");
        }
    }
}
