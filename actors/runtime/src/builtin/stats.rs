//! What sandboxes and containers use.

use std::fs;
use std::time::{Duration, Instant};

use trireme_node::{ContainerId, ContainerState, ContainerStats, SandboxId, SandboxStats};

use super::records::{Phase, SandboxRecord};
use super::{Builtin, blocking};
use crate::disk::{Usage, usage};
use crate::fail::Outcome;
use crate::shim::spec::now_nanos;

/// Walking a writable layer costs; its size may be this old.
const SIZE_AGE: Duration = Duration::from_secs(10);

impl Builtin {
    pub(super) async fn measure_all(&self) -> Outcome<Vec<SandboxStats>> {
        let runtime = self.arc();
        blocking(move || {
            let ready: Vec<SandboxRecord> = {
                let state = runtime.state.lock();
                let ready = state.sandboxes.values().filter(|entry| entry.record.phase == Phase::Ready);
                ready.map(|entry| entry.record.clone()).collect()
            };
            Ok(ready.iter().map(|record| runtime.measure(record)).collect())
        })
        .await
    }

    fn measure(&self, sandbox: &SandboxRecord) -> SandboxStats {
        let running: Vec<(String, String, String, Option<std::path::PathBuf>)> = {
            let state = self.state.lock();
            let own = state.containers.values().filter(|entry| {
                entry.record.sandbox == sandbox.id && entry.state() == ContainerState::Running
            });
            own.map(|entry| {
                let record = &entry.record;
                let log = sandbox.log_path(&record.config);
                (record.id.clone(), record.config.name.clone(), record.group.clone(), log)
            })
            .collect()
        };
        let mut containers = Vec::new();
        for (id, name, group, log) in running {
            let size = self.writable_size(&sandbox.id, &id);
            let mut stats = self.of_group(&group);
            stats.id = Some(ContainerId(id));
            stats.name = name;
            stats.rootfs = (size.bytes, size.inodes);
            stats.log_bytes = log.and_then(|log| fs::metadata(log).ok()).map_or(0, |about| about.len());
            containers.push(stats);
        }
        let mut total = self.of_group(&sandbox.pod_group);
        total.pids = containers.iter().map(|one| one.pids).sum::<u64>() + 1;
        for one in &containers {
            total.rootfs.0 += one.rootfs.0;
            total.rootfs.1 += one.rootfs.1;
            total.log_bytes += one.log_bytes;
        }
        let config = &sandbox.config;
        let network = if config.namespaces.host_network { None } else { interface_bytes(sandbox.pause_pid) };
        SandboxStats {
            id: Some(SandboxId(sandbox.id.clone())),
            pod: (config.namespace.clone(), config.name.clone(), config.uid.clone()),
            total,
            containers,
            network,
        }
    }

    fn of_group(&self, group: &str) -> ContainerStats {
        let used = self.cgroups.usage(group);
        ContainerStats {
            at: now_nanos(),
            cpu_nanos: used.cpu_nanos,
            memory_usage: used.memory_usage,
            memory_working_set: used.memory_working_set,
            memory_rss: used.memory_rss,
            page_faults: used.page_faults,
            pids: used.pids,
            ..ContainerStats::default()
        }
    }

    fn writable_size(&self, sandbox: &str, id: &str) -> Usage {
        if let Some((at, size)) = self.sizes.lock().get(id)
            && at.elapsed() < SIZE_AGE
        {
            return *size;
        }
        let size = usage(&self.layout.container(sandbox, id).join("upper"));
        self.sizes.lock().insert(id.to_owned(), (Instant::now(), size));
        size
    }
}

/// Received and sent bytes of a process' `eth0`.
fn interface_bytes(pid: u32) -> Option<(u64, u64)> {
    parse_interface(&fs::read_to_string(format!("/proc/{pid}/net/dev")).ok()?)
}

fn parse_interface(text: &str) -> Option<(u64, u64)> {
    let line = text.lines().find_map(|line| line.trim_start().strip_prefix("eth0:"))?;
    let fields: Vec<&str> = line.split_whitespace().collect();
    Some((fields.first()?.parse().ok()?, fields.get(8)?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pods_interface_is_read() {
        let text = "Inter-| x\n face |bytes\n    lo: 1 2 3 4 5 6 7 8 9\n  eth0: 100 1 0 0 0 0 0 0 200 2 0 0 0 0 0 0\n";
        assert_eq!(parse_interface(text), Some((100, 200)));
        assert_eq!(parse_interface("lo: 1"), None);
    }
}
