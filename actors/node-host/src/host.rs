//! [`NodeHost`]: the rooms of one machine's node, made and given to each other.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use thiserror::Error;
use trireme_client::Rest;
use trireme_dataplane::{BridgeConfig, BridgeNetwork, NetError};
use trireme_dns::{Dns, DnsConfig};
use trireme_kernel::supervision::{BackOff, Intensity, WhenExceeded};
use trireme_kernel::{ChildError, SupervisorRef, SupervisorSpec};
use trireme_kubelet::{AllowAll, Kubelet, KubeletConfig, KubeletHttp};
use trireme_kubelet_core::evict::{Bound, Signal};
use trireme_kubelet_core::garbage::ImagePolicy;
use trireme_node::{PodNetwork, Runtime, RuntimeError};
use trireme_proxy::{Kernel as ProxyKernel, PodRoutes, Proxy, ProxyConfig, ServicesConfig};
use trireme_runtime::{Builtin, BuiltinConfig, Registries};

use crate::dialer::LocalNode;
use crate::https_api::HttpsApi;

/// How long the node's actors may take to stop; containers go on.
const STOP_GRACE: Duration = Duration::from_secs(6);

/// What a node is made of.
pub struct NodeParts {
    /// The Node's name.
    pub name: String,
    /// The machine's data folder: images, pods, logs.
    pub data_dir: PathBuf,
    /// Sockets of shims; a short path.
    pub run_dir: PathBuf,
    /// Cgroup below which all pods lie, relative; empty: the root of the hierarchies.
    pub cgroup_root: String,
    /// The API as `system:node:<name>`.
    pub api: Rest,
    /// Mirrors and credentials of registries.
    pub registries: Registries,
    /// Program and first arguments that run a shim.
    pub shim_command: Vec<String>,
    /// The ranges of all pods of the cluster.
    pub pod_cidrs: Vec<IpNet>,
    /// The ranges of Services.
    pub service_cidrs: Vec<IpNet>,
    /// The addresses of the cluster's DNS.
    pub cluster_dns: Vec<IpAddr>,
    /// The cluster's domain.
    pub cluster_domain: String,
    /// The node's own addresses, the primary one first; empty: found out.
    pub node_ips: Vec<IpAddr>,
    /// When the node is short of something, so that pods go.
    pub eviction: Vec<(Signal, Bound)>,
    /// Labels of the Node.
    pub labels: BTreeMap<String, String>,
    /// Logs of pods; below the data folder when absent.
    pub pod_logs_dir: Option<PathBuf>,
    /// An image that was unused for this long goes; never when absent.
    pub image_maximum_age: Option<Duration>,
}

/// Why a node cannot be put together.
#[derive(Debug, Error)]
pub enum NodeHostError {
    /// The runtime.
    #[error("the container runtime cannot start")]
    Runtime(#[from] RuntimeError),
    /// The pod network.
    #[error("the pod network cannot start")]
    Network(#[from] NetError),
    /// The tree of actors.
    #[error("the node's actors cannot start")]
    Tree(#[from] ChildError),
    /// The process is stopping.
    #[error("the process stops before the node is taken away: {0}")]
    Stopped(String),
}

/// A node of this machine.
pub struct NodeHost {
    parts: NodeParts,
    api: Arc<HttpsApi>,
    network: Arc<BridgeNetwork>,
    runtime: Arc<Builtin>,
    kubelet: Kubelet,
}

impl NodeHost {
    /// Opens the network and the runtime, which finds again what still runs.
    ///
    /// # Errors
    /// Missing privileges or kernel features, by name.
    pub async fn open(parts: NodeParts) -> Result<Self, NodeHostError> {
        let api = Arc::new(HttpsApi::new(parts.api.clone()));
        let mut bridge = BridgeConfig::new(parts.data_dir.join("network.json"), Vec::new());
        bridge.cluster_cidrs.clone_from(&parts.pod_cidrs);
        bridge.service_cidrs.clone_from(&parts.service_cidrs);
        bridge.node_addresses.clone_from(&parts.node_ips);
        let network = BridgeNetwork::open(bridge)?;
        let runtime = Builtin::open(BuiltinConfig {
            data_dir: parts.data_dir.clone(),
            run_dir: parts.run_dir.clone(),
            cgroup_root: parts.cgroup_root.clone(),
            network: Arc::clone(&network) as Arc<dyn PodNetwork>,
            registries: parts.registries.clone(),
            shim_command: parts.shim_command.clone(),
        })
        .await?;
        let defaults = KubeletConfig::new(parts.name.clone(), parts.data_dir.join("kubelet"));
        let config = KubeletConfig {
            pod_logs_dir: parts.pod_logs_dir.clone().unwrap_or_else(|| defaults.pod_logs_dir.clone()),
            images: ImagePolicy { maximum_age: parts.image_maximum_age, ..defaults.images },
            cluster_dns: parts.cluster_dns.iter().map(ToString::to_string).collect(),
            cluster_domain: parts.cluster_domain.clone(),
            node_ips: parts.node_ips.iter().map(ToString::to_string).collect(),
            node_labels: parts.labels.clone(),
            eviction: parts.eviction.clone(),
            ..defaults
        };
        let kubelet = Kubelet::new(config, Arc::clone(&runtime) as Arc<dyn Runtime>, api.clone());
        Ok(Self { parts, api, network, runtime, kubelet })
    }

    /// Adds `/node/<name>` to a process' root.
    ///
    /// # Errors
    /// The tree refuses it: it is stopping, or has one of that name.
    pub fn plant(&self, root: &SupervisorRef) -> Result<(), NodeHostError> {
        let forever =
            Intensity { restarts: 20, window: Duration::from_secs(10), when_exceeded: WhenExceeded::BackOff };
        let back_off =
            BackOff { first: Duration::from_millis(20), max: Duration::from_secs(5), jitter_percent: 20 };
        let spec = SupervisorSpec::new(format!("node/{}", self.parts.name));
        self.plant_in(&root.add_supervisor(spec.grace(STOP_GRACE).intensity(forever).back_off(back_off))?)
    }

    /// Adds the node's actors to a supervisor that is there: an agent's own, which is called like its node.
    ///
    /// # Errors
    /// As [`NodeHost::plant`].
    pub fn plant_in(&self, tree: &SupervisorRef) -> Result<(), NodeHostError> {
        tree.add(PodRoutes::spec(self.parts.name.clone(), Arc::clone(&self.network), self.api.clone()))?;
        let proxy = ProxyConfig {
            node_name: self.parts.name.clone(),
            services: self.services(),
            answered_here: self.parts.cluster_dns.iter().copied().collect(),
        };
        tree.add(Proxy::spec(proxy, self.api.clone()))?;
        if !self.parts.cluster_dns.is_empty() {
            let dns = DnsConfig {
                domain: self.parts.cluster_domain.clone(),
                ..DnsConfig::new(self.parts.cluster_dns.clone())
            };
            tree.add(Dns::spec(dns, self.api.clone()))?;
        }
        tree.add_supervisor(self.kubelet.spec())?;
        Ok(())
    }

    /// Ends every pod of this machine and takes away what the node made: networks, rules, mounts. Images and logs stay.
    /// The node's actors must have stopped.
    ///
    /// # Errors
    /// What could not be taken away; the rest is gone nevertheless.
    pub async fn tear_down(&self) -> Result<(), NodeHostError> {
        let pods = self.runtime.tear_down().await;
        let services = self.services();
        let network = Arc::clone(&self.network);
        let volumes = self.parts.data_dir.join("kubelet");
        let rest = tokio::task::spawn_blocking(move || {
            unmount_below(&volumes);
            let rules = ProxyKernel::open(services).and_then(|mut kernel| kernel.remove());
            rules.and(network.remove())
        });
        let rest = rest.await.map_err(|error| NodeHostError::Stopped(error.to_string()))?;
        pods?;
        Ok(rest?)
    }

    fn services(&self) -> ServicesConfig {
        ServicesConfig { cluster_cidrs: self.parts.pod_cidrs.clone(), ..ServicesConfig::default() }
    }

    /// The kubelet.
    pub fn kubelet(&self) -> &Kubelet {
        &self.kubelet
    }

    /// The runtime.
    pub fn runtime(&self) -> &Arc<Builtin> {
        &self.runtime
    }

    /// The pod network.
    pub fn network(&self) -> &Arc<BridgeNetwork> {
        &self.network
    }

    /// The kubelet's HTTP API, for callers that were judged already.
    pub fn http(&self) -> KubeletHttp {
        self.kubelet.http_service(Arc::new(AllowAll))
    }

    /// How the API server of this process reaches the node.
    pub fn dialer(&self) -> LocalNode {
        LocalNode::new(self.parts.name.clone(), self.http())
    }
}

/// Takes away all mounts below a folder, the deepest first.
fn unmount_below(folder: &Path) {
    let Ok(table) = std::fs::read_to_string("/proc/self/mountinfo") else { return };
    let points = table.lines().filter_map(|line| line.split(' ').nth(4));
    let mut points: Vec<&Path> = points.map(Path::new).filter(|point| point.starts_with(folder)).collect();
    points.sort_by_key(|point| std::cmp::Reverse(point.components().count()));
    for point in points {
        if let Err(error) = rustix::mount::unmount(point, rustix::mount::UnmountFlags::DETACH) {
            tracing::warn!(point = %point.display(), %error, "a volume stays mounted");
        }
    }
}
