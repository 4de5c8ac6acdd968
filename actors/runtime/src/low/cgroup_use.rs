//! What control groups used.

use std::collections::BTreeMap;
use std::fs;

use crate::low::cgroup::Hierarchies;

/// What a group used, as [`trireme_node::ContainerStats`] counts it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct GroupUse {
    pub(crate) cpu_nanos: u64,
    pub(crate) memory_usage: u64,
    pub(crate) memory_working_set: u64,
    pub(crate) memory_rss: u64,
    pub(crate) page_faults: (u64, u64),
    pub(crate) pids: u64,
}

impl Hierarchies {
    /// What the group used; zeros when it is gone.
    pub(crate) fn usage(&self, group: &str) -> GroupUse {
        let number = |controller: &str, file: &str| {
            let path = self.folder(controller, group).ok()?.join(file);
            fs::read_to_string(path).ok()?.trim().parse::<u64>().ok()
        };
        let lines = |controller: &str, file: &str| -> BTreeMap<String, u64> {
            let path = self.folder(controller, group).map(|folder| folder.join(file)).unwrap_or_default();
            let text = fs::read_to_string(path).unwrap_or_default();
            let line = |line: &str| {
                let (name, value) = line.split_once(' ')?;
                Some((name.to_owned(), value.trim().parse().ok()?))
            };
            text.lines().filter_map(line).collect()
        };
        let memory = lines("memory", "memory.stat");
        let of = |name: &str| memory.get(name).copied().unwrap_or(0);
        match self {
            Self::V1(_) => {
                let usage = number("memory", "memory.usage_in_bytes").unwrap_or(0);
                GroupUse {
                    cpu_nanos: number("cpuacct", "cpuacct.usage").unwrap_or(0),
                    memory_usage: usage,
                    memory_working_set: usage.saturating_sub(of("total_inactive_file")),
                    memory_rss: of("total_rss"),
                    page_faults: (of("total_pgfault"), of("total_pgmajfault")),
                    pids: number("pids", "pids.current").unwrap_or(0),
                }
            }
            Self::V2(_) => {
                let usage = number("", "memory.current").unwrap_or(0);
                GroupUse {
                    cpu_nanos: lines("", "cpu.stat")
                        .get("usage_usec")
                        .copied()
                        .unwrap_or(0)
                        .saturating_mul(1_000),
                    memory_usage: usage,
                    memory_working_set: usage.saturating_sub(of("inactive_file")),
                    memory_rss: of("anon"),
                    page_faults: (of("pgfault"), of("pgmajfault")),
                    pids: number("", "pids.current").unwrap_or(0),
                }
            }
        }
    }
}
