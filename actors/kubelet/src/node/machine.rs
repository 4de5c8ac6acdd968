//! What the machine is and has.

use std::net::{IpAddr, UdpSocket};
use std::path::Path;

use trireme_kubelet_core::evict::{Reading, Signal};
use trireme_kubelet_core::resources::Amounts;
use trireme_kubelet_core::translate::{NodeFacts, parse_resolv_conf};

use crate::config::KubeletConfig;
use crate::shared::Shared;

/// What the machine is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Machine {
    pub(crate) architecture: &'static str,
    pub(crate) kernel: String,
    pub(crate) os_image: String,
    pub(crate) machine_id: String,
    pub(crate) system_uuid: String,
    pub(crate) boot_id: String,
    pub(crate) cpus: i64,
    pub(crate) memory_bytes: i64,
}

fn text(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

impl Machine {
    pub(crate) fn read() -> Self {
        let name = rustix::system::uname();
        let release = text("/etc/os-release");
        let pretty = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
        let machine_id = text("/etc/machine-id");
        Self {
            architecture: match std::env::consts::ARCH {
                "x86_64" => "amd64",
                "aarch64" => "arm64",
                other => other,
            },
            kernel: name.release().to_string_lossy().into_owned(),
            os_image: pretty.map_or("Linux", |own| own.trim_matches('"')).to_owned(),
            system_uuid: match text("/sys/class/dmi/id/product_uuid") {
                empty if empty.is_empty() => machine_id.clone(),
                uuid => uuid,
            },
            machine_id,
            boot_id: text("/proc/sys/kernel/random/boot_id"),
            cpus: std::thread::available_parallelism().map_or(1, |own| i64::try_from(own.get()).unwrap_or(1)),
            memory_bytes: memory("MemTotal"),
        }
    }
}

/// A line of /proc/meminfo, in bytes.
fn memory(name: &str) -> i64 {
    let all = text("/proc/meminfo");
    let line = all.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<i64>().ok());
    kilobytes.unwrap_or(0).saturating_mul(1_024)
}

/// What pods are told of the node.
pub(crate) fn facts(config: &KubeletConfig) -> NodeFacts {
    let machine = Machine::read();
    let host_ips = match config.node_ips.is_empty() {
        true => vec![own_address().to_string()],
        false => config.node_ips.clone(),
    };
    let disk = disk(&config.data_dir);
    NodeFacts {
        node_name: config.node_name.clone(),
        host_ips,
        cluster_dns: config.cluster_dns.clone(),
        cluster_domain: config.cluster_domain.clone(),
        resolver: parse_resolv_conf(&std::fs::read_to_string(&config.resolv_conf).unwrap_or_default()),
        hosts_file: std::fs::read_to_string("/etc/hosts").unwrap_or_default(),
        memory_bytes: machine.memory_bytes,
        allocatable: Amounts {
            cpu_milli: (machine.cpus * 1_000 - config.reserved.0).max(0),
            memory_bytes: (machine.memory_bytes - config.reserved.1 - eviction_memory(config)).max(0),
            ephemeral_bytes: i64::try_from(disk.1 / 10 * 9).unwrap_or(i64::MAX),
        },
        pids_limit: config.pod_pids_limit,
        logs_folder: config.pod_logs_dir.to_string_lossy().into_owned(),
    }
}

/// Memory that pods never get, because below it they are evicted.
fn eviction_memory(config: &KubeletConfig) -> i64 {
    let bound = config.eviction.iter().find(|(signal, _)| *signal == Signal::Memory);
    bound.map_or(0, |(_, bound)| i64::try_from(bound.of(0)).unwrap_or(0))
}

/// The address that packets to the world leave from. Nothing is sent.
fn own_address() -> IpAddr {
    let ask = || {
        let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
        socket.connect("192.0.2.1:9").ok()?;
        Some(socket.local_addr().ok()?.ip())
    };
    ask().unwrap_or(IpAddr::from([127, 0, 0, 1]))
}

/// Free and all bytes, free and all inodes of the filesystem of a folder (or of its nearest parent that is there).
pub(crate) fn disk(path: &Path) -> (u64, u64, u64, u64) {
    let mut at = path;
    loop {
        if let Ok(own) = rustix::fs::statvfs(at) {
            let bytes = |blocks: u64| blocks.saturating_mul(own.f_frsize);
            return (bytes(own.f_bavail), bytes(own.f_blocks), own.f_favail, own.f_files);
        }
        match at.parent() {
            Some(parent) => at = parent,
            None => return (0, 0, 0, 0),
        }
    }
}

/// How much is left of what pods share.
pub(crate) async fn readings(shared: &Shared) -> Vec<Reading> {
    let reading = |signal, available, capacity| Reading { signal, available, capacity };
    let unsigned = |value: i64| u64::try_from(value).unwrap_or(0);
    let mut all =
        vec![reading(Signal::Memory, unsigned(memory("MemAvailable")), unsigned(memory("MemTotal")))];
    let (free, size, inodes_free, inodes) = disk(&shared.config.data_dir);
    if size > 0 {
        all.push(reading(Signal::NodeDisk, free, size));
    }
    if inodes > 0 {
        all.push(reading(Signal::NodeInodes, inodes_free, inodes));
    }
    if let Ok(images) = shared.runtime.image_filesystem().await
        && images.capacity_bytes > 0
    {
        all.push(reading(Signal::ImageDisk, images.available_bytes, images.capacity_bytes));
    }
    if let Some((used, limit)) = processes() {
        all.push(reading(Signal::Pids, limit.saturating_sub(used), limit));
    }
    all
}

/// Processes there are and may be.
fn processes() -> Option<(u64, u64)> {
    let load = text("/proc/loadavg");
    let used = load.split_whitespace().nth(3)?.split_once('/')?.1.parse().ok()?;
    let limit = text("/proc/sys/kernel/pid_max").parse().ok()?;
    Some((used, limit))
}
