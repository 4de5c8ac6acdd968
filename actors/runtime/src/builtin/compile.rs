//! From what is asked to what a shim is told: pure but for looking at devices and profile files of the node.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use trireme_node::{ContainerConfig, DeviceMount, Mount, SandboxConfig, Seccomp};

use crate::fail::{OrFail, Outcome, invalid};
use crate::image::spec::{ImageConfig, ProcessConfig};
use crate::low::cgroup::{DeviceRule, all_devices, default_devices};
use crate::low::user::WantedUser;
use crate::low::{capability, seccomp, seccomp_default};
use crate::shim::spec::{DeviceSpec, PidSpace, ProcessSpec};

/// Devices of the node that a privileged container sees.
const DEVICES_LIMIT: usize = 4_096;
/// Bytes of a seccomp profile.
const PROFILE_LIMIT_BYTES: u64 = 4 * 1024 * 1024;

/// The container's first process.
///
/// # Errors
/// `Invalid`: no command, an unknown capability, a damaged profile.
pub(crate) fn process(
    config: &ContainerConfig,
    sandbox: &SandboxConfig,
    image: &ImageConfig,
) -> Outcome<ProcessSpec> {
    let none = ProcessConfig::default();
    let image = image.config.as_ref().unwrap_or(&none);
    let arguments = arguments(config, image);
    if arguments.is_empty() {
        return Err(invalid("no command specified: neither the image nor the container names a program"));
    }
    let security = &config.security;
    let capabilities =
        capability::set(security.privileged, &security.add_capabilities, &security.drop_capabilities)?;
    let working_dir = if config.working_dir.is_empty() {
        image.working_dir.clone().unwrap_or_default()
    } else {
        config.working_dir.clone()
    };
    if !working_dir.is_empty() && !working_dir.starts_with('/') {
        return Err(invalid(format!("the working directory \"{working_dir}\" is no absolute path")));
    }
    Ok(ProcessSpec {
        arguments,
        environment: environment(config, sandbox, image),
        working_dir,
        user: WantedUser {
            uid: security.run_as_user,
            gid: security.run_as_group,
            image: image.user.clone().unwrap_or_default(),
            extra: security.supplemental_groups.clone(),
            strict: security.strict_groups,
        },
        capabilities,
        no_new_privileges: security.no_new_privileges,
        filters: filters(config, capabilities)?,
        oom_score_adj: config.resources.oom_score_adj,
        terminal: config.tty,
    })
}

fn arguments(config: &ContainerConfig, image: &ProcessConfig) -> Vec<String> {
    let (mut all, rest) = if config.command.is_empty() {
        let rest =
            if config.args.is_empty() { image.cmd.clone().unwrap_or_default() } else { config.args.clone() };
        (image.entrypoint.clone().unwrap_or_default(), rest)
    } else {
        (config.command.clone(), config.args.clone())
    };
    all.extend(rest);
    all
}

fn environment(config: &ContainerConfig, sandbox: &SandboxConfig, image: &ProcessConfig) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    let mut set = |name: &str, setting: String| {
        all.retain(|known| known.split('=').next() != Some(name));
        all.push(setting);
    };
    let host = if sandbox.hostname.is_empty() { node_name() } else { sandbox.hostname.clone() };
    set("HOSTNAME", format!("HOSTNAME={host}"));
    for setting in image.env.iter().flatten() {
        set(setting.split('=').next().unwrap_or_default(), setting.clone());
    }
    for variable in &config.envs {
        set(&variable.name, format!("{}={}", variable.name, variable.value));
    }
    all
}

fn node_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

fn filters(config: &ContainerConfig, capabilities: u64) -> Outcome<Vec<Vec<seccomp::Instruction>>> {
    // A privileged container is never filtered, as upstream.
    if config.security.privileged {
        return Ok(Vec::new());
    }
    seccomp_filters(&config.security.seccomp, capabilities)
}

/// The filters of a process with these powers.
///
/// # Errors
/// `Invalid`: a damaged profile.
pub(crate) fn seccomp_filters(
    wanted: &Seccomp,
    capabilities: u64,
) -> Outcome<Vec<Vec<seccomp::Instruction>>> {
    match wanted {
        Seccomp::Unconfined => Ok(Vec::new()),
        Seccomp::RuntimeDefault => seccomp::compile(&seccomp_default::profile(capabilities)),
        Seccomp::Localhost(path) => {
            let shown = || format!("cannot load seccomp profile \"{path}\"");
            let about = fs::metadata(path).or_fail(shown)?;
            if about.len() > PROFILE_LIMIT_BYTES {
                return Err(invalid(format!("{}: it has more than {PROFILE_LIMIT_BYTES} bytes", shown())));
            }
            seccomp::compile(&seccomp::parse(&fs::read(path).or_fail(shown)?)?)
        }
    }
}

/// A further process: the container's own with another command.
pub(crate) fn exec(own: &ProcessSpec, command: Vec<String>, terminal: bool) -> ProcessSpec {
    ProcessSpec { arguments: command, terminal, ..own.clone() }
}

/// Which process namespace.
pub(crate) fn pid_space(config: &ContainerConfig, sandbox: &SandboxConfig) -> PidSpace {
    match &config.target_pid_of {
        Some(target) => PidSpace::Container(target.0.clone()),
        None if sandbox.namespaces.host_pid => PidSpace::Host,
        None if sandbox.namespaces.shared_pid => PidSpace::Sandbox,
        None => PidSpace::Own,
    }
}

/// The container's mounts and the sandbox' own files, unless the container brings its own.
pub(crate) fn mounts(
    config: &ContainerConfig,
    sandbox: &SandboxConfig,
    folder: &Path,
) -> Outcome<Vec<Mount>> {
    let mut mounts = config.mounts.clone();
    for mount in &mounts {
        if !mount.container_path.starts_with('/') || mount.container_path.split('/').any(|part| part == "..")
        {
            return Err(invalid(format!("\"{}\" is no absolute path in a container", mount.container_path)));
        }
        if mount.recursive_read_only && (!mount.read_only || mount.propagation != Default::default()) {
            return Err(invalid("recursive read-only mount needs readOnly and private propagation"));
        }
    }
    let mut files = vec![("resolv.conf", "/etc/resolv.conf"), ("hosts", "/etc/hosts")];
    if !sandbox.namespaces.host_network {
        files.push(("hostname", "/etc/hostname"));
    }
    for (file, path) in files {
        if mounts.iter().all(|mount| mount.container_path != path) {
            mounts.push(Mount {
                host_path: folder.join(file).display().to_string(),
                container_path: path.to_owned(),
                read_only: config.security.read_only_rootfs,
                ..Mount::default()
            });
        }
    }
    Ok(mounts)
}

/// Device nodes to make, and devices to allow.
///
/// # Errors
/// `Invalid` when a path is no device.
pub(crate) fn devices(config: &ContainerConfig) -> Outcome<(Vec<DeviceSpec>, Vec<DeviceRule>)> {
    if config.security.privileged {
        return Ok((node_devices(), all_devices()));
    }
    let (mut nodes, mut rules) = (Vec::new(), default_devices());
    for mount in &config.devices {
        let node = device(mount)?;
        rules.push(DeviceRule {
            kind: if node.block { 'b' } else { 'c' },
            major: Some(node.major),
            minor: Some(node.minor),
            access: if mount.permissions.is_empty() { "rwm".to_owned() } else { mount.permissions.clone() },
        });
        nodes.push(node);
    }
    Ok((nodes, rules))
}

fn device(mount: &DeviceMount) -> Outcome<DeviceSpec> {
    let about =
        fs::metadata(&mount.host_path).or_fail(|| format!("cannot find the device {}", mount.host_path))?;
    let kind = about.file_type();
    if !kind.is_char_device() && !kind.is_block_device() {
        return Err(invalid(format!("{} is no device", mount.host_path)));
    }
    let path = if mount.container_path.is_empty() { &mount.host_path } else { &mount.container_path };
    Ok(DeviceSpec {
        path: path.clone(),
        block: kind.is_block_device(),
        major: rustix::fs::major(about.rdev()),
        minor: rustix::fs::minor(about.rdev()),
        mode: about.mode() & 0o777,
        uid: about.uid(),
        gid: about.gid(),
    })
}

fn node_devices() -> Vec<DeviceSpec> {
    // Terminals, shared memory and queues are the container's own.
    const OWN: [&str; 7] = ["pts", "shm", "mqueue", "fd", "console", "ptmx", "hugepages"];
    let mut found = BTreeMap::new();
    let mut folders = vec![Path::new("/dev").to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let Ok(kind) = entry.file_type() else { continue };
            let path = entry.path();
            let top = folder == Path::new("/dev");
            if found.len() >= DEVICES_LIMIT || (top && OWN.iter().any(|own| entry.file_name() == *own)) {
                continue;
            }
            if kind.is_dir() {
                folders.push(path);
            } else if kind.is_char_device() || kind.is_block_device() {
                let text = path.display().to_string();
                let mount = DeviceMount {
                    host_path: text.clone(),
                    container_path: text.clone(),
                    ..Default::default()
                };
                found.extend(device(&mount).ok().map(|node| (text, node)));
            }
        }
    }
    found.into_values().collect()
}

/// A signal by name (`SIGTERM`, `TERM`, `SIGRTMIN+3`) or number.
///
/// # Errors
/// `Invalid` for one that is not known.
pub(crate) fn signal(name: &str) -> Outcome<i32> {
    let upper = name.trim().to_ascii_uppercase();
    let short = upper.strip_prefix("SIG").unwrap_or(&upper);
    if short.is_empty() {
        return Ok(libc::SIGTERM);
    }
    let number = match short {
        "HUP" => libc::SIGHUP,
        "INT" => libc::SIGINT,
        "QUIT" => libc::SIGQUIT,
        "ILL" => libc::SIGILL,
        "TRAP" => libc::SIGTRAP,
        "ABRT" | "IOT" => libc::SIGABRT,
        "BUS" => libc::SIGBUS,
        "FPE" => libc::SIGFPE,
        "KILL" => libc::SIGKILL,
        "USR1" => libc::SIGUSR1,
        "SEGV" => libc::SIGSEGV,
        "USR2" => libc::SIGUSR2,
        "PIPE" => libc::SIGPIPE,
        "ALRM" => libc::SIGALRM,
        "TERM" => libc::SIGTERM,
        "STKFLT" => libc::SIGSTKFLT,
        "CHLD" | "CLD" => libc::SIGCHLD,
        "CONT" => libc::SIGCONT,
        "STOP" => libc::SIGSTOP,
        "TSTP" => libc::SIGTSTP,
        "TTIN" => libc::SIGTTIN,
        "TTOU" => libc::SIGTTOU,
        "URG" => libc::SIGURG,
        "XCPU" => libc::SIGXCPU,
        "XFSZ" => libc::SIGXFSZ,
        "VTALRM" => libc::SIGVTALRM,
        "PROF" => libc::SIGPROF,
        "WINCH" => libc::SIGWINCH,
        "IO" | "POLL" => libc::SIGIO,
        "PWR" => libc::SIGPWR,
        "SYS" => libc::SIGSYS,
        // Real-time signals begin at 34: the C library keeps two.
        "RTMIN" => 34,
        "RTMAX" => 64,
        other => match (other.strip_prefix("RTMIN+"), other.strip_prefix("RTMAX-")) {
            (Some(up), _) => 34 + up.parse::<i32>().unwrap_or(-100),
            (_, Some(down)) => 64 - down.parse::<i32>().unwrap_or(100),
            (None, None) => other.parse().unwrap_or(0),
        },
    };
    if (1..=64).contains(&number) { Ok(number) } else { Err(invalid(format!("unknown signal \"{name}\""))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_and_arguments_replace_the_images_as_upstream_documents() {
        let image = ProcessConfig {
            entrypoint: Some(vec!["ep".into()]),
            cmd: Some(vec!["cmd".into()]),
            ..ProcessConfig::default()
        };
        let of = |command: &[&str], args: &[&str]| {
            let own = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
            let config = ContainerConfig { command: own(command), args: own(args), ..Default::default() };
            arguments(&config, &image).join(" ")
        };
        assert_eq!(of(&[], &[]), "ep cmd");
        assert_eq!(of(&["c"], &[]), "c");
        assert_eq!(of(&[], &["a"]), "ep a");
        assert_eq!(of(&["c"], &["a"]), "c a");
    }

    #[test]
    fn signals_have_names_and_numbers() {
        for (name, want) in
            [("SIGTERM", 15), ("", 15), ("kill", 9), ("SIGRTMIN+3", 37), ("RTMAX-1", 63), ("12", 12)]
        {
            assert_eq!(signal(name).unwrap(), want, "{name}");
        }
        for bad in ["SIGNOPE", "0", "65", "RTMIN+40", "-1"] {
            assert!(signal(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn later_settings_win_and_the_name_of_the_pod_is_known() {
        let image = ProcessConfig { env: Some(vec!["A=1".into(), "B=1".into()]), ..ProcessConfig::default() };
        let variable = trireme_node::EnvVar { name: "B".into(), value: "2=2".into() };
        let config = ContainerConfig { envs: vec![variable], ..Default::default() };
        let sandbox = SandboxConfig { hostname: "pod".into(), ..Default::default() };
        assert_eq!(environment(&config, &sandbox, &image), ["HOSTNAME=pod", "A=1", "B=2=2"]);
    }
}
