//! Capabilities by name, and the set a container gets.

use crate::fail::{Outcome, invalid};

/// By number, as `linux/capability.h` lists them.
const NAMES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// What a container has without asking (the set every runtime gives).
const DEFAULT: [&str; 14] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "FSETID",
    "FOWNER",
    "MKNOD",
    "NET_RAW",
    "SETGID",
    "SETUID",
    "SETFCAP",
    "SETPCAP",
    "NET_BIND_SERVICE",
    "SYS_CHROOT",
    "KILL",
    "AUDIT_WRITE",
];

/// `CAP_SYS_ADMIN`.
pub(crate) const SYS_ADMIN: u64 = 1 << 21;

/// A capability's bit, by its name with or without `CAP_`.
pub(crate) fn bit(name: &str) -> Option<u64> {
    let upper = name.to_ascii_uppercase();
    let name = upper.strip_prefix("CAP_").unwrap_or(&upper);
    NAMES.iter().position(|known| *known == name).map(|at| 1 << at)
}

/// All that there is to give: what the kernel knows, and this process has itself.
pub(crate) fn all() -> u64 {
    let last = std::fs::read_to_string("/proc/sys/kernel/cap_last_cap").ok();
    let last = last.and_then(|text| text.trim().parse::<u32>().ok()).unwrap_or(40).min(62);
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let own = status.lines().find_map(|line| line.strip_prefix("CapBnd:"));
    let own = own.and_then(|text| u64::from_str_radix(text.trim(), 16).ok()).unwrap_or(u64::MAX);
    ((1 << (last + 1)) - 1) & own
}

/// The set of a container: all when privileged, else the default set, `ALL` first, then names added and dropped.
///
/// # Errors
/// `Invalid` for a name that no kernel knows.
pub(crate) fn set(privileged: bool, add: &[String], drop: &[String]) -> Outcome<u64> {
    if privileged {
        return Ok(all());
    }
    let of = |names: &[String]| {
        names.iter().filter(|name| !is_all(name)).try_fold(0, |mask, name| {
            let bit = bit(name).ok_or_else(|| invalid(format!("unknown capability \"{name}\"")))?;
            Ok(mask | bit)
        })
    };
    let mut mask = DEFAULT.iter().filter_map(|name| bit(name)).fold(0, |mask, bit| mask | bit);
    if add.iter().any(|name| is_all(name)) {
        mask = all();
    }
    if drop.iter().any(|name| is_all(name)) {
        mask = 0;
    }
    mask |= of(add)?;
    mask &= !of(drop)?;
    Ok(mask & all())
}

fn is_all(name: &str) -> bool {
    name.eq_ignore_ascii_case("ALL")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_follow_add_and_drop() {
        let names = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let default = set(false, &[], &[]).unwrap();
        assert_eq!(default, 0xa804_25fb);
        assert_eq!(set(false, &names(&["NET_ADMIN"]), &names(&["ALL"])).unwrap(), 1 << 12);
        assert_eq!(set(false, &names(&["ALL"]), &names(&["CAP_SYS_ADMIN"])).unwrap(), all() & !SYS_ADMIN);
        assert_eq!(set(false, &[], &names(&["chown"])).unwrap(), default & !1);
        assert!(set(false, &names(&["FLY"]), &[]).unwrap_err().message.contains("FLY"));
    }
}
