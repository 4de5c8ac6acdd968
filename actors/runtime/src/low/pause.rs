//! The pause process: holds a sandbox' namespaces and, as their first process, reaps what is left over in them.
//!
//! It is a forked copy of its shim that never execs: nothing has to be found, loaded or trusted in the sandbox. It
//! keeps no capability, no descriptor, an empty root, cannot be traced, and is filtered.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use crate::low::rootfs::{SHM_BYTES, Tell, Told};
use crate::low::seccomp;
use crate::low::sys;
use crate::low::terminal::{self, Note};
use crate::shim::spec::SandboxSpec;

/// In the child: becomes the pause process.
pub(crate) fn run(spec: &SandboxSpec, parent: OwnedFd) -> ! {
    if let Err(failed) = prepare(spec) {
        // Nobody to tell when the parent is gone.
        let _ = terminal::say(&parent, &Note::Failed(failed), None);
        sys::leave(127)
    }
    let _ = terminal::say(&parent, &Note::Ready, None);
    let _ = sys::close_from(0);
    loop {
        match sys::wait_for_signal(&[libc::SIGCHLD, libc::SIGTERM, libc::SIGINT]) {
            libc::SIGCHLD => while sys::reap().is_some() {},
            _ => sys::leave(0),
        }
    }
}

fn prepare(spec: &SandboxSpec) -> Told<()> {
    sys::reset_signals();
    sys::set_name(c"pause");
    rustix::process::setsid().tell(|| "cannot start a session".into())?;
    for file in &spec.group.procs {
        std::fs::write(file, "0").tell(|| format!("cannot join the cgroup {}", file.display()))?;
    }
    // Without the privilege to lower it (CAP_SYS_RESOURCE) the score stays.
    let _ = std::fs::write("/proc/self/oom_score_adj", "-998");
    let mut spaces = libc::CLONE_NEWNS;
    if !spec.host_network {
        spaces |= libc::CLONE_NEWNET | libc::CLONE_NEWUTS;
    }
    if !spec.host_ipc {
        spaces |= libc::CLONE_NEWIPC;
    }
    sys::unshare(spaces).tell(|| "cannot make the sandbox' namespaces".into())?;
    if !spec.host_network && !spec.host_name.is_empty() {
        sys::set_host_name(&spec.host_name)
            .tell(|| format!("cannot set the host name {}", spec.host_name))?;
    }
    for (name, value) in sysctls(spec) {
        let path = sysctl_path(&name)?;
        std::fs::write(&path, &value).tell(|| format!("cannot set the sysctl {name} to \"{value}\""))?;
    }
    hide()?;
    for number in 0..63_u32 {
        // Numbers beyond the kernel's last one are refused, which is as good.
        let _ = sys::prctl(libc::PR_CAPBSET_DROP, number.into());
    }
    sys::prctl2(libc::PR_SET_NO_NEW_PRIVS, 1, 0).tell(|| "cannot set no_new_privs".into())?;
    let (user, group, groups) = &spec.user;
    sys::become_user(*user, *group, groups)
        .tell(|| format!("cannot become user {user} of group {group} for the pod's sandbox"))?;
    sys::set_capabilities(0).tell(|| "cannot give capabilities up".into())?;
    sys::prctl(libc::PR_SET_DUMPABLE, 0).tell(|| "cannot forbid tracing".into())?;
    seccomp::install(&spec.filters).tell(|| "cannot install the sandbox' seccomp filter".into())
}

/// The pod's own, and low ports and pings for everybody, as containerd 2 sets it.
fn sysctls(spec: &SandboxSpec) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    if !spec.host_network {
        all.insert("net.ipv4.ip_unprivileged_port_start".to_owned(), "0".to_owned());
        all.insert("net.ipv4.ping_group_range".to_owned(), "0 2147483647".to_owned());
    }
    all.extend(spec.sysctls.clone());
    all
}

/// `net.ipv4.conf.eth0/1.x` and `net/ipv4/...` as `sysctl` reads names.
fn sysctl_path(name: &str) -> Told<PathBuf> {
    let slashes = name.find('/').is_some_and(|slash| name.find('.').is_none_or(|dot| slash < dot));
    let swap = |letter| match letter {
        '.' => '/',
        '/' => '.',
        other => other,
    };
    let path = if slashes { name.to_owned() } else { name.chars().map(swap).collect() };
    if path.split('/').any(|part| part.is_empty() || part == "..") {
        return Err(format!("\"{name}\" is no name of a sysctl"));
    }
    Ok(Path::new("/proc/sys").join(path))
}

/// An empty root with nothing but the shared memory folder that containers will see.
fn hide() -> Told<()> {
    let shown = || "cannot make the sandbox' root".to_owned();
    let none = libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;
    sys::mount("none", Path::new("/"), "", libc::MS_REC | libc::MS_PRIVATE, "").tell(shown)?;
    // Any folder will do: this mount is seen by nobody else.
    let root = Path::new("/proc");
    sys::mount("tmpfs", root, "tmpfs", none, "mode=755,size=64k").tell(shown)?;
    std::env::set_current_dir(root).tell(shown)?;
    std::fs::create_dir_all("dev/shm").tell(shown)?;
    let size = format!("mode=1777,size={SHM_BYTES}");
    sys::mount("shm", Path::new("dev/shm"), "tmpfs", none, &size).tell(shown)?;
    sys::pivot_here().tell(shown)?;
    sys::detach(Path::new(".")).tell(shown)?;
    std::env::set_current_dir("/").tell(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_sysctls_lead_below_proc_sys_only() {
        let path = |name| sysctl_path(name).map(|path| path.display().to_string());
        assert_eq!(path("net.ipv4.tcp_syncookies").unwrap(), "/proc/sys/net/ipv4/tcp_syncookies");
        assert_eq!(
            path("net.ipv4.conf.eth0/1.rp_filter").unwrap(),
            "/proc/sys/net/ipv4/conf/eth0.1/rp_filter"
        );
        assert_eq!(path("net/ipv4/x").unwrap(), "/proc/sys/net/ipv4/x");
        for bad in ["", "../x", "a..b", "net/../../x"] {
            assert!(path(bad).is_err(), "{bad}");
        }
    }
}
