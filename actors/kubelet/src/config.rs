//! [`KubeletConfig`].

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use trireme_kubelet_core::evict::{Bound, DEFAULT_THRESHOLDS, Signal};
use trireme_kubelet_core::garbage::ImagePolicy;

/// How a kubelet behaves. [`KubeletConfig::new`] gives the defaults.
#[derive(Clone, Debug)]
pub struct KubeletConfig {
    /// The Node's name.
    pub node_name: String,
    /// Pods' folders: `<data_dir>/pods/<uid>`.
    pub data_dir: PathBuf,
    /// Logs: `<pod_logs_dir>/<namespace>_<name>_<uid>/<container>/<attempt>.log`.
    pub pod_logs_dir: PathBuf,
    /// Manifests of static pods; `None`: there are none.
    pub static_pods_dir: Option<PathBuf>,
    /// Seccomp profiles that pods name.
    pub seccomp_dir: PathBuf,
    /// Addresses of the cluster's DNS; empty: pods get the node's resolver.
    pub cluster_dns: Vec<String>,
    /// `cluster.local`.
    pub cluster_domain: String,
    /// The node's resolver file.
    pub resolv_conf: PathBuf,
    /// Addresses of the node, the primary one first. Empty: found out at the start.
    pub node_ips: Vec<String>,
    /// Where the kubelet's HTTP API is reached, for the Node's `daemonEndpoints`; 0: nowhere.
    pub api_port: u16,
    /// Labels given to the Node when it registers.
    pub node_labels: BTreeMap<String, String>,
    /// Taints given to the Node when it is made: (key, value, effect).
    pub node_taints: Vec<(String, String, String)>,
    /// `spec.providerID`.
    pub provider_id: String,
    /// Pods this node takes.
    pub max_pods: u32,
    /// Processes a pod may have; `None`: no limit.
    pub pod_pids_limit: Option<i64>,
    /// Taken off the capacity: CPU in thousandths, memory in bytes.
    pub reserved: (i64, i64),
    /// How often the lease is renewed.
    pub lease_renew: Duration,
    /// `leaseDurationSeconds`.
    pub lease_duration: Duration,
    /// How often the Node's status is looked at; it is written when it changed or was not written for `status_report`.
    pub status_update: Duration,
    /// Longest time without writing the Node's status.
    pub status_report: Duration,
    /// How often volumes of running pods are brought up to date.
    pub volume_refresh: Duration,
    /// How often the runtime is asked without an event.
    pub relist: Duration,
    /// How often garbage is looked for and pressure is measured.
    pub housekeeping: Duration,
    /// When images go.
    pub images: ImagePolicy,
    /// Thresholds of eviction.
    pub eviction: Vec<(Signal, Bound)>,
    /// How long a pressure condition stays after the last sign of it.
    pub pressure_transition: Duration,
    /// Sysctls allowed beyond the safe ones: names, or prefixes ending in `*`.
    pub unsafe_sysctls: Vec<String>,
    /// Longest log file before it is rotated, bytes.
    pub log_max_bytes: u64,
    /// Files kept of one container's log.
    pub log_max_files: u32,
}

impl KubeletConfig {
    /// Defaults for a node; all folders below `data_dir`.
    pub fn new(node_name: impl Into<String>, data_dir: impl Into<PathBuf>) -> Self {
        let data_dir = data_dir.into();
        Self {
            node_name: node_name.into(),
            pod_logs_dir: data_dir.join("logs"),
            static_pods_dir: None,
            seccomp_dir: data_dir.join("seccomp"),
            data_dir,
            cluster_dns: Vec::new(),
            cluster_domain: "cluster.local".into(),
            resolv_conf: "/etc/resolv.conf".into(),
            node_ips: Vec::new(),
            api_port: 0,
            node_labels: BTreeMap::new(),
            node_taints: Vec::new(),
            provider_id: String::new(),
            max_pods: 110,
            pod_pids_limit: None,
            reserved: (0, 0),
            lease_renew: Duration::from_secs(1),
            lease_duration: Duration::from_secs(3),
            status_update: Duration::from_secs(5),
            status_report: Duration::from_secs(300),
            volume_refresh: Duration::from_secs(20),
            relist: Duration::from_secs(10),
            housekeeping: Duration::from_secs(10),
            images: ImagePolicy::default(),
            eviction: DEFAULT_THRESHOLDS.to_vec(),
            pressure_transition: Duration::from_secs(300),
            unsafe_sysctls: Vec::new(),
            log_max_bytes: 10 << 20,
            log_max_files: 5,
        }
    }
}
