//! The node of a machine, as the command line asks for it.

mod ways;

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use serde_json::{Value, json};
use trireme_bus::Bus;
use trireme_client::{Ask, Rest, Servers};
use trireme_kernel::{Kernel, SupervisorRef};
use trireme_kubelet_core::evict::read_thresholds;
use trireme_manager::ClusterRange;
use trireme_node_host::{NodeHost, NodeParts};
use trireme_pki::Credentials;
use trireme_runtime::Registries;

pub(crate) use ways::{Administrator, OwnPapers, welcome};

/// How long a node may take to be Ready: its range of pod addresses comes from the leader.
const READY_LIMIT: Duration = Duration::from_secs(60);
/// Where the sockets of shims lie; paths of sockets are short.
const RUN_ROOT: &str = "/run/trireme";
/// How large a part of the pods' range a node gets, as upstream.
const NODE_PREFIX_V4: u8 = 24;
const NODE_PREFIX_V6: u8 = 64;
/// Which address of the range of Services is the cluster's DNS, as kubeadm has it.
const DNS_OFFSET: u32 = 10;

/// What runs pods on a machine.
#[derive(Args, Clone, Debug)]
pub(crate) struct NodeArgs {
    /// The ranges that the addresses of pods come from, one for each family, comma-separated; each node gets a part.
    #[arg(long, default_value = "10.244.0.0/16", value_delimiter = ',', value_name = "CIDR")]
    pub(crate) pod_cidr: Vec<ipnet::IpNet>,

    /// Mirrors and credentials of registries: a registries.yaml as k3s has it.
    #[arg(long, value_name = "FILE")]
    pub(crate) registries: Option<PathBuf>,

    /// The domain of the cluster's DNS names.
    #[arg(long, default_value = "cluster.local", value_name = "DOMAIN")]
    pub(crate) cluster_domain: String,

    /// The node's own address; found by its default route when absent.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) node_ip: Vec<IpAddr>,

    /// When the node is short of something and pods go: SIGNAL<BOUND, comma-separated. The default is k3s's for disks: upstream's
    /// 15 % of a large disk keeps machines idle that have tens of gigabytes left.
    #[arg(
        long,
        default_value = "memory.available<100Mi,nodefs.available<5%,nodefs.inodesFree<5%,imagefs.available<5%",
        value_name = "THRESHOLDS"
    )]
    pub(crate) eviction_hard: String,

    /// Folder of the logs of pods; below the data folder when absent.
    #[arg(long, value_name = "DIR")]
    pub(crate) pod_logs_dir: Option<PathBuf>,

    /// An image that no container used for this long goes, however much room there is (as 336h; never when absent).
    #[arg(long, value_parser = humantime::parse_duration, value_name = "DURATION")]
    pub(crate) image_maximum_gc_age: Option<Duration>,

    /// Run a small application in pods, packed from this program itself, and show its answer.
    #[arg(long)]
    pub(crate) demo: bool,
}

/// What the nodes' ranges of pod addresses are cut from.
///
/// # Errors
/// A range is too small for one node.
pub(crate) fn pod_ranges(args: &NodeArgs) -> anyhow::Result<Vec<ClusterRange>> {
    let cut = |range: &ipnet::IpNet| {
        let of_a_node = if range.addr().is_ipv4() { NODE_PREFIX_V4 } else { NODE_PREFIX_V6 };
        ClusterRange::new(&range.to_string(), of_a_node.max(range.prefix_len())).context("--pod-cidr")
    };
    args.pod_cidr.iter().map(cut).collect()
}

/// What a node needs from its machine.
pub(crate) struct NodeMachine<'a> {
    pub(crate) name: &'a str,
    pub(crate) data_dir: &'a Path,
    /// The node's own papers.
    pub(crate) credentials: Arc<Credentials>,
    /// Where the API is.
    pub(crate) servers: Arc<dyn Servers>,
}

/// What a machine that runs pods was told.
#[derive(Clone, Debug)]
pub(crate) struct PodsWish {
    pub(crate) node: NodeArgs,
    pub(crate) service_cidr: ipnet::IpNet,
}

impl PodsWish {
    /// # Errors
    /// The range of Services is none, or this process may not run pods.
    pub(crate) fn new(node: &NodeArgs, service_cidr: &str) -> anyhow::Result<Self> {
        if !rustix::process::geteuid().is_root() {
            bail!(
                "the built-in runtime needs root: namespaces, mounts and cgroups. Without it all but pods runs: \
                 --components api,controllers,scheduler (on agents --components none)"
            );
        }
        Ok(Self { node: node.clone(), service_cidr: service_cidr.parse().context("--service-cidr")? })
    }
}

/// The servers of the cluster, as an agent's node reaches their APIs.
pub(crate) fn linked_servers(bus: &Bus, node: &str) -> Arc<dyn Servers> {
    Arc::new(ways::LinkedServers::new(bus.clone(), node))
}

/// Opens the node's rooms and plants its actors: in the machine's own tree where it is called like the node.
///
/// # Errors
/// What the machine lacks, and what to do.
pub(crate) async fn start(
    wish: &PodsWish,
    machine: NodeMachine<'_>,
    kernel: &Kernel,
    own_tree: Option<SupervisorRef>,
) -> anyhow::Result<NodeHost> {
    let PodsWish { node: args, service_cidr } = wish;
    let registries = match &args.registries {
        None => Registries::default(),
        Some(file) => Registries::load(file).with_context(|| format!("--registries: {}", file.display()))?,
    };
    let api = Rest::roaming(machine.credentials, machine.servers)?;
    let program = std::env::current_exe().context("the program's own path cannot be read")?;
    let data_dir = machine.data_dir.canonicalize().context("the data folder")?;
    let parts = NodeParts {
        name: machine.name.to_owned(),
        run_dir: Path::new(RUN_ROOT).join(short_name(&data_dir)),
        // Two clusters of one computer may have nodes of one name.
        cgroup_root: format!("trireme-{}-{}", machine.name, short_name(&data_dir)),
        data_dir,
        api,
        registries,
        shim_command: vec![program.display().to_string(), "shim".to_owned()],
        pod_cidrs: args.pod_cidr.clone(),
        service_cidrs: vec![*service_cidr],
        cluster_dns: dns_address(*service_cidr).into_iter().collect(),
        cluster_domain: args.cluster_domain.clone(),
        node_ips: args.node_ip.clone(),
        eviction: read_thresholds(&args.eviction_hard)
            .map_err(anyhow::Error::msg)
            .context("--eviction-hard")?,
        labels: BTreeMap::new(),
        pod_logs_dir: args.pod_logs_dir.clone(),
        image_maximum_age: args.image_maximum_gc_age,
    };
    let host = NodeHost::open(parts).await.context(
        "this machine cannot run pods (--components api,controllers,scheduler runs everything but them)",
    )?;
    match own_tree {
        Some(tree) => host.plant_in(&tree)?,
        None => host.plant(&kernel.root())?,
    }
    Ok(host)
}

/// Waits until the cluster calls the node Ready.
///
/// # Errors
/// It does not become so in time; names the condition.
pub(crate) async fn ready(host: &NodeHost) -> anyhow::Result<()> {
    let mut node = host.kubelet().node();
    let wait = async {
        loop {
            let condition = node.borrow_and_update().as_ref().map(|node| ready_condition(node));
            if condition.as_ref().is_some_and(|found| found["status"] == "True")
                || node.changed().await.is_err()
            {
                return;
            }
        }
    };
    if tokio::time::timeout(READY_LIMIT, wait).await.is_err() {
        let seen = host.kubelet().node().borrow().as_ref().map(|node| ready_condition(node));
        let why = seen.as_ref().and_then(|found| found["message"].as_str()).unwrap_or("it is not registered");
        bail!("the node is not Ready after {READY_LIMIT:?}: {why}");
    }
    Ok(())
}

fn ready_condition(node: &Value) -> Value {
    let conditions = node["status"]["conditions"].as_array().into_iter().flatten();
    conditions.into_iter().find(|condition| condition["type"] == "Ready").cloned().unwrap_or_default()
}

/// Makes what nodes rely on: the Service whose address their DNS answers on, so that the address is nobody else's and the
/// name resolves; and the permission to follow Services, EndpointSlices and Nodes, which upstream's proxy has as a user of
/// its own and here the node itself.
///
/// # Errors
/// The API refuses.
async fn prepare_cluster(admin: &Rest, service_cidr: ipnet::IpNet) -> anyhow::Result<()> {
    let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
        "metadata": {"name": "trireme:node-proxier"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "system:node-proxier"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "system:nodes"}]});
    ensure(admin, "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", &binding).await?;
    let Some(address) = dns_address(service_cidr) else { return Ok(()) };
    let port = |name: &str, protocol: &str| json!({"name": name, "port": 53, "protocol": protocol, "targetPort": 53});
    let service = json!({"apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "kube-dns", "namespace": "kube-system", "labels": {"k8s-app": "kube-dns",
            "kubernetes.io/cluster-service": "true", "kubernetes.io/name": "CoreDNS"}},
        "spec": {"clusterIP": address.to_string(), "ports": [port("dns", "UDP"), port("dns-tcp", "TCP")]}});
    ensure(admin, "/api/v1/namespaces/kube-system/services", &service).await
}

async fn ensure(admin: &Rest, path: &str, object: &Value) -> anyhow::Result<()> {
    // First a look: for a Service that is there, a create is told that its address is taken, not that it exists.
    let own = format!("{path}/{}", object["metadata"]["name"].as_str().unwrap_or_default());
    if admin.json(&Ask::get(&own)).await.is_ok() {
        return Ok(());
    }
    match admin.json(&Ask::send(http::Method::POST, path, object)).await {
        Ok(_) => Ok(()),
        Err(error) if error.code() == Some(409) => Ok(()),
        // Another server was first.
        Err(_) if admin.json(&Ask::get(&own)).await.is_ok() => Ok(()),
        Err(error) => Err(error).with_context(|| format!("{path} does not take what nodes rely on")),
    }
}

/// The cluster's DNS: the tenth address of the range of Services; `None` when the range is too small.
fn dns_address(range: ipnet::IpNet) -> Option<IpAddr> {
    let address = match range {
        ipnet::IpNet::V4(range) => IpAddr::from((u32::from(range.network()) + DNS_OFFSET).to_be_bytes()),
        ipnet::IpNet::V6(range) => {
            IpAddr::from((u128::from(range.network()) + u128::from(DNS_OFFSET)).to_be_bytes())
        }
    };
    range.contains(&address).then_some(address)
}

/// What tells the nodes of one computer apart where paths must be short.
fn short_name(data_dir: &Path) -> String {
    let mut hasher = DefaultHasher::new();
    data_dir.hash(&mut hasher);
    format!("{:08x}", hasher.finish() & 0xffff_ffff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dns_has_the_tenth_address() {
        assert_eq!(dns_address("10.96.0.0/12".parse().unwrap()), Some("10.96.0.10".parse().unwrap()));
        assert_eq!(dns_address("fd00:96::/108".parse().unwrap()), Some("fd00:96::a".parse().unwrap()));
        assert_eq!(dns_address("10.0.0.0/29".parse().unwrap()), None);
    }
}
