//! Limits of control groups, and the devices they may use.

use trireme_node::Resources;

use crate::fail::{OrFail, Outcome};
use crate::low::cgroup::{DeviceRule, Hierarchies, write};

impl Hierarchies {
    /// Sets limits; what is `None` is left as it is.
    ///
    /// # Errors
    /// `Unsupported` when a controller that is needed is missing, else the kernel's.
    pub(crate) fn limit(&self, group: &str, limits: &Resources) -> Outcome<()> {
        match self {
            Self::V1(_) => self.limit_v1(group, limits),
            Self::V2(_) => self.limit_v2(group, limits),
        }
    }

    fn limit_v1(&self, group: &str, limits: &Resources) -> Outcome<()> {
        let set = |controller: &str, file: &str, value: String| {
            let folder = self.folder(controller, group)?;
            write(&folder.join(file), &value)
        };
        if let Some(shares) = limits.cpu_shares {
            set("cpu", "cpu.shares", shares.to_string())?;
        }
        if let Some(period) = limits.cpu_period.filter(|period| *period > 0) {
            set("cpu", "cpu.cfs_period_us", period.to_string())?;
        }
        if let Some(quota) = limits.cpu_quota {
            set("cpu", "cpu.cfs_quota_us", if quota <= 0 { "-1".into() } else { quota.to_string() })?;
        }
        if let Some(bytes) = limits.memory_limit {
            let bytes = if bytes <= 0 { "-1".to_owned() } else { bytes.to_string() };
            // The limit with swap may not be below the one without: which goes first depends on the direction.
            let with_swap = self.folder("memory", group)?.join("memory.memsw.limit_in_bytes");
            let swap = |bytes: &str| if with_swap.exists() { write(&with_swap, bytes) } else { Ok(()) };
            if set("memory", "memory.limit_in_bytes", bytes.clone()).is_err() {
                swap(&bytes)?;
                set("memory", "memory.limit_in_bytes", bytes.clone())?;
            }
            swap(&bytes)?;
        }
        if let Some(pids) = limits.pids_limit {
            set("pids", "pids.max", if pids <= 0 { "max".into() } else { pids.to_string() })?;
        }
        if !limits.cpuset_cpus.is_empty() {
            set("cpuset", "cpuset.cpus", limits.cpuset_cpus.clone())?;
        }
        for (size, bytes) in &limits.hugepages {
            set("hugetlb", &format!("hugetlb.{size}.limit_in_bytes"), bytes.to_string())?;
        }
        Ok(())
    }

    fn limit_v2(&self, group: &str, limits: &Resources) -> Outcome<()> {
        let folder = self.folder("", group)?;
        let set = |file: &str, value: String| write(&folder.join(file), &value);
        if let Some(shares) = limits.cpu_shares {
            set("cpu.weight", weight_of(shares).to_string())?;
        }
        if limits.cpu_quota.is_some() || limits.cpu_period.is_some() {
            let quota = limits.cpu_quota.filter(|quota| *quota > 0);
            let quota = quota.map_or("max".to_owned(), |quota| quota.to_string());
            set(
                "cpu.max",
                format!("{quota} {}", limits.cpu_period.filter(|period| *period > 0).unwrap_or(100_000)),
            )?;
        }
        if let Some(bytes) = limits.memory_limit {
            set("memory.max", if bytes <= 0 { "max".into() } else { bytes.to_string() })?;
            if folder.join("memory.swap.max").exists() {
                set("memory.swap.max", if bytes <= 0 { "max".into() } else { "0".into() })?;
            }
        }
        if let Some(pids) = limits.pids_limit {
            set("pids.max", if pids <= 0 { "max".into() } else { pids.to_string() })?;
        }
        if !limits.cpuset_cpus.is_empty() {
            set("cpuset.cpus", limits.cpuset_cpus.clone())?;
        }
        for (size, bytes) in &limits.hugepages {
            set(&format!("hugetlb.{size}.max"), bytes.to_string())?;
        }
        Ok(())
    }

    /// Allows a group these devices and no others.
    ///
    /// # Errors
    /// The kernel's.
    pub(crate) fn allow_devices(&self, group: &str, rules: &[DeviceRule]) -> Outcome<()> {
        let folder = self.folder("devices", group)?;
        if matches!(self, Self::V2(_)) {
            return crate::low::device_filter::attach(&folder, rules)
                .or_fail(|| format!("cannot guard the devices of {}", folder.display()));
        }
        write(&folder.join("devices.deny"), "a")?;
        for rule in rules {
            let number = |number: Option<u32>| number.map_or("*".to_owned(), |number| number.to_string());
            let text = match rule.kind {
                'a' => "a".to_owned(),
                kind => format!("{kind} {}:{} {}", number(rule.major), number(rule.minor), rule.access),
            };
            write(&folder.join("devices.allow"), &text)?;
        }
        Ok(())
    }
}

/// `cpu.weight` (1 to 10,000) of `cpu.shares` (2 to 262,144), as the CRI runtimes convert it.
fn weight_of(shares: u64) -> u64 {
    1 + (shares.clamp(2, 262_144) - 2) * 9_999 / 262_142
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_become_weights() {
        assert_eq!((weight_of(2), weight_of(1_024), weight_of(262_144)), (1, 39, 10_000));
    }
}
