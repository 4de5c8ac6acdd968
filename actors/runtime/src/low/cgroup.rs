//! Control groups, version 1 and 2: making, limiting, reading, emptying and removing them.
//!
//! Paths are relative, the same in every hierarchy: `<root>/kubepods/...`. Version 1 counts when its memory and cpu
//! controllers are mounted (a mounted v2 hierarchy then has none of them), else version 2.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::fail::{OrFail, Outcome, invalid, unsupported};

/// Tries to remove a group whose last process is still going.
const REMOVE_TRIES: u32 = 100;
/// Between them, milliseconds.
const REMOVE_PAUSE_MS: u64 = 10;
/// Version 1 controllers in use.
const CONTROLLERS: [&str; 9] =
    ["cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "blkio", "pids", "hugetlb"];

/// A device that may be used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DeviceRule {
    /// `c`, `b`, or `a` for all.
    pub(crate) kind: char,
    /// `None`: any.
    pub(crate) major: Option<u32>,
    /// `None`: any.
    pub(crate) minor: Option<u32>,
    /// `r`, `w`, `m` letters.
    pub(crate) access: String,
}

/// What every container may use: making any node, null, zero, full, random, urandom, tty, console, ptmx, terminals.
pub(crate) fn default_devices() -> Vec<DeviceRule> {
    let rule =
        |kind, major, minor, access: &str| DeviceRule { kind, major, minor, access: access.to_owned() };
    let mut rules = vec![rule('c', None, None, "m"), rule('b', None, None, "m")];
    for (major, minor) in [(1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 1), (5, 2)] {
        rules.push(rule('c', Some(major), Some(minor), "rwm"));
    }
    rules.push(rule('c', Some(136), None, "rwm"));
    rules
}

/// Everything.
pub(crate) fn all_devices() -> Vec<DeviceRule> {
    vec![DeviceRule { kind: 'a', major: None, minor: None, access: "rwm".into() }]
}

/// The hierarchies of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Hierarchies {
    /// Mount of each controller.
    V1(BTreeMap<String, PathBuf>),
    /// The one mount.
    V2(PathBuf),
}

/// Where a group's processes are written to, and where its kills by lack of memory are counted: what a shim needs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct GroupFiles {
    /// Each takes a process id.
    pub(crate) procs: Vec<PathBuf>,
    /// Has a line `oom_kill N`.
    pub(crate) oom: Option<PathBuf>,
}

impl Hierarchies {
    /// Finds them.
    ///
    /// # Errors
    /// `Unsupported` when neither version can be used.
    pub(crate) fn detect() -> Outcome<Self> {
        let text =
            fs::read_to_string("/proc/self/mountinfo").or_fail(|| "cannot read the list of mounts".into())?;
        Self::from_mounts(&text, |v2| fs::read_to_string(v2.join("cgroup.controllers")).unwrap_or_default())
    }

    fn from_mounts(text: &str, controllers: impl Fn(&Path) -> String) -> Outcome<Self> {
        let mut v1 = BTreeMap::new();
        let mut v2 = None;
        for line in text.lines() {
            let Some((front, back)) = line.split_once(" - ") else { continue };
            let Some(point) = front.split(' ').nth(4) else { continue };
            let back: Vec<&str> = back.split(' ').collect();
            let [kind, _, options, ..] = back.as_slice() else { continue };
            match *kind {
                "cgroup" => {
                    for controller in options.split(',').filter(|name| CONTROLLERS.contains(name)) {
                        v1.entry(controller.to_owned()).or_insert_with(|| PathBuf::from(point));
                    }
                }
                "cgroup2" => v2 = v2.or_else(|| Some(PathBuf::from(point))),
                _ => {}
            }
        }
        if v1.contains_key("memory") && v1.contains_key("cpu") {
            return Ok(Self::V1(v1));
        }
        if let Some(v2) = v2 {
            let known = controllers(&v2);
            if known.split_whitespace().any(|name| name == "memory") {
                return Ok(Self::V2(v2));
            }
        }
        Err(unsupported(
            "no cgroup hierarchy with the memory and cpu controllers is mounted; mount cgroup2 at /sys/fs/cgroup",
        ))
    }

    /// Makes a group and what leads to it.
    ///
    /// # Errors
    /// The kernel's.
    pub(crate) fn create(&self, group: &str) -> Outcome<()> {
        check_name(group)?;
        match self {
            Self::V1(mounts) => {
                for (controller, mount) in mounts {
                    let mut at = mount.clone();
                    for part in parts(group) {
                        at.push(part);
                        make_folder(&at)?;
                        if controller == "cpuset" {
                            inherit_cpuset(&at)?;
                        }
                    }
                }
            }
            Self::V2(mount) => {
                let mut at = mount.clone();
                for part in parts(group) {
                    enable_controllers(&at)?;
                    at.push(part);
                    make_folder(&at)?;
                }
            }
        }
        Ok(())
    }

    /// All processes of the group end together when memory runs out (v2; v1 has no such thing).
    pub(crate) fn end_together(&self, group: &str) -> Outcome<()> {
        match self {
            Self::V1(_) => Ok(()),
            Self::V2(mount) => write(&mount.join(group).join("memory.oom.group"), "1"),
        }
    }

    /// What a shim writes and reads.
    pub(crate) fn files(&self, group: &str) -> GroupFiles {
        match self {
            Self::V1(mounts) => {
                let mut folders: Vec<&PathBuf> = mounts.values().collect();
                folders.dedup();
                GroupFiles {
                    procs: folders.iter().map(|mount| mount.join(group).join("cgroup.procs")).collect(),
                    oom: mounts.get("memory").map(|mount| mount.join(group).join("memory.oom_control")),
                }
            }
            Self::V2(mount) => GroupFiles {
                procs: vec![mount.join(group).join("cgroup.procs")],
                oom: Some(mount.join(group).join("memory.events")),
            },
        }
    }

    /// Kills what is in the group and below and removes them; a group that is not there is no error.
    ///
    /// # Errors
    /// It cannot be emptied in its time.
    pub(crate) fn remove(&self, group: &str) -> Outcome<()> {
        check_name(group)?;
        if parts(group).next().is_none() {
            return Err(invalid("the root cgroup is not removed"));
        }
        let mounts: Vec<PathBuf> = match self {
            Self::V1(mounts) => mounts.values().cloned().collect(),
            Self::V2(mount) => vec![mount.clone()],
        };
        for mount in mounts {
            remove_tree(&mount.join(group))?;
        }
        Ok(())
    }

    /// Kills everything in the group and below.
    pub(crate) fn kill(&self, group: &str) {
        let mount = match self {
            Self::V1(mounts) => mounts.get("pids").or_else(|| mounts.get("memory")),
            Self::V2(mount) => Some(mount),
        };
        if let Some(mount) = mount {
            kill_tree(&mount.join(group));
        }
    }

    pub(super) fn folder(&self, controller: &str, group: &str) -> Outcome<PathBuf> {
        match self {
            Self::V1(mounts) => mounts.get(controller).map(|mount| mount.join(group)).ok_or_else(|| {
                unsupported(format!("the cgroup controller {controller} is not mounted on this machine"))
            }),
            Self::V2(mount) => Ok(mount.join(group)),
        }
    }
}

/// `oom_kill` of a file that counts kills.
pub(crate) fn oom_kills(file: &Path) -> u64 {
    let text = fs::read_to_string(file).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
    line.and_then(|value| value.trim().parse().ok()).unwrap_or(0)
}

/// Kills everything that a `cgroup.procs` file lists.
pub(crate) fn kill_listed(procs: &Path) {
    for pid in fs::read_to_string(procs).unwrap_or_default().lines().filter_map(|line| line.parse().ok()) {
        // One that is gone already is no matter.
        let _ = super::sys::kill(pid, libc::SIGKILL);
    }
}

fn parts(group: &str) -> impl Iterator<Item = &str> {
    group.split('/').filter(|part| !part.is_empty())
}

fn check_name(group: &str) -> Outcome<()> {
    if group.starts_with('/') || parts(group).any(|part| part == ".." || part == ".") {
        return Err(invalid(format!("\"{group}\" is no relative path of a cgroup")));
    }
    Ok(())
}

fn make_folder(at: &Path) -> Outcome<()> {
    match fs::create_dir(at) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other.or_fail(|| format!("cannot make the cgroup {}", at.display())),
    }
}

pub(super) fn write(path: &Path, value: &str) -> Outcome<()> {
    fs::write(path, value).or_fail(|| format!("cannot write \"{value}\" to {}", path.display()))
}

/// Version 1 takes no process into a group without CPUs and memory nodes.
fn inherit_cpuset(at: &Path) -> Outcome<()> {
    let Some(above) = at.parent() else { return Ok(()) };
    for file in ["cpuset.cpus", "cpuset.mems"] {
        let own = fs::read_to_string(at.join(file))
            .or_fail(|| format!("cannot read {}", at.join(file).display()))?;
        if own.trim().is_empty() {
            let given = fs::read_to_string(above.join(file)).or_fail(|| format!("cannot read {file}"))?;
            write(&at.join(file), given.trim())?;
        }
    }
    Ok(())
}

fn enable_controllers(at: &Path) -> Outcome<()> {
    let known = fs::read_to_string(at.join("cgroup.controllers")).unwrap_or_default();
    let on = fs::read_to_string(at.join("cgroup.subtree_control")).unwrap_or_default();
    let on: Vec<&str> = on.split_whitespace().collect();
    for controller in known.split_whitespace().filter(|name| !on.contains(name)) {
        let wanted = ["cpu", "cpuset", "memory", "pids", "io", "hugetlb"].contains(&controller);
        if wanted && let Err(error) = fs::write(at.join("cgroup.subtree_control"), format!("+{controller}")) {
            if matches!(controller, "memory" | "cpu") {
                return Err(error).or_fail(|| format!("cannot turn {controller} on below {}", at.display()));
            }
            tracing::debug!(controller, %error, at = %at.display(), "a controller stays off");
        }
    }
    Ok(())
}

fn kill_tree(at: &Path) {
    kill_listed(&at.join("cgroup.procs"));
    for entry in fs::read_dir(at).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            kill_tree(&entry.path());
        }
    }
}

fn remove_tree(at: &Path) -> Outcome<()> {
    for entry in fs::read_dir(at).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_tree(&entry.path())?;
        }
    }
    let mut tries = 0;
    loop {
        match fs::remove_dir(at) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) if error.raw_os_error() == Some(libc::EBUSY) && tries < REMOVE_TRIES => {
                tries += 1;
                kill_listed(&at.join("cgroup.procs"));
                std::thread::sleep(std::time::Duration::from_millis(REMOVE_PAUSE_MS));
            }
            other => return other.or_fail(|| format!("cannot remove the cgroup {}", at.display())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_with_the_controllers_counts() {
        let v1 = "30 29 0:26 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
                  31 29 0:27 / /sys/fs/cgroup/memory rw shared:3 - cgroup cgroup rw,memory\n";
        let v2 = "32 29 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
        let both = format!("{v1}{v2}");
        let Ok(Hierarchies::V1(mounts)) = Hierarchies::from_mounts(&both, |_| String::new()) else {
            panic!("v1 is there");
        };
        assert_eq!(mounts["cpuacct"], Path::new("/sys/fs/cgroup/cpu,cpuacct"));
        let found = Hierarchies::from_mounts(v2, |_| "cpu memory pids".into()).unwrap();
        assert_eq!(found, Hierarchies::V2("/sys/fs/cgroup/unified".into()));
        assert!(Hierarchies::from_mounts(v2, |_| "pids".into()).is_err());
        assert!(check_name("a/../b").is_err() && check_name("/a").is_err() && check_name("a/b").is_ok());
    }
}
