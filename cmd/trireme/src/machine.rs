//! The composition root: one machine of a cluster, from its data folder to its tree of actors.

mod parts;
mod pods;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use parking_lot::Mutex;
use trireme_apiserver::ApiService;
use trireme_bus::{
    Bus, BusClock, BusConfig, BusParts, JoinService, NoPublishers, Publishers, RegistryService, Service,
};
use trireme_core::supervision::{BackOff, Intensity, SupervisorPolicy, WhenExceeded};
use trireme_faults::Faults;
use trireme_kernel::{CallOptions, Kernel, KernelConfig, SupervisorSpec};
use trireme_node_host::{BusNodes, NodeDoor, NodeHost};
use trireme_pki::{
    ClusterAuthority, Credentials, IdentityName, Issuer, JoinRole, LiveTrust, TlsProfile,
    install_crypto_provider,
};
use trireme_process::cluster::{ClusterActor, ClusterParts, JoinDoor, ListMembers};
use trireme_process::{FaultDesk, Inspector, Renewal, RenewalParts, machine_path, random_u64, write_whole};
use trireme_store::calls::Standing;
use trireme_store::{LeaderScope, ScopeChildren, StoreActor, StoreHost, StorePublishers, StoreService};

use parts::{save_admin, start_api, store_host};

use crate::agent_args::{AgentArgs, AgentComponent};
use crate::api_args::{ApiArgs, Component, Runtime};
use crate::cli::{MachineArgs, ServerArgs};
use crate::data_dir::DataDir;
use crate::leading::{Leading, leader_scope};
use crate::membership::{Membership, Way};
use crate::node::{NodeArgs, PodsWish};
use crate::permissions::permissions;
use crate::progress::print;
use crate::signals;

/// How long the tree may take to stop.
const STOP_GRACE: Duration = Duration::from_secs(8);
/// How long peers are given to hear that this machine leaves.
const GOODBYE: Duration = Duration::from_millis(500);
/// How long the tree may take to start.
const START_LIMIT: Duration = Duration::from_secs(30);

/// `trireme server`.
pub(crate) fn run_server(args: &ServerArgs) -> anyhow::Result<()> {
    let way = Way::new(JoinRole::Server, args.join, args.token.as_deref())?
        .signing_for(args.signing.cluster_signing_duration);
    let api = args.api.or_components(&Component::SERVER);
    crate::api::check_components(&api.components)?;
    crate::api::scheduler_settings(&api)?;
    let serving = Serving { listen: args.listen, history: args.store_history, api: &api, node: &args.node };
    let pods = api.runs(Component::Node) && api.runtime == Runtime::Builtin;
    let pods = pods.then(|| PodsWish::new(&args.node, &api.service_cidr)).transpose()?;
    Machine::start(&args.machine, way, Some(serving), pods)?.run()
}

/// `trireme agent`.
pub(crate) fn run_agent(args: &AgentArgs) -> anyhow::Result<()> {
    let way = Way::new(JoinRole::Agent, args.join, args.token.as_deref())?;
    let pods = args.components == AgentComponent::Node;
    let pods = pods.then(|| PodsWish::new(&args.node, &args.service_cidr)).transpose()?;
    if args.node.demo {
        bail!("--demo is for a machine that is server and node at once: trireme up --demo");
    }
    Machine::start(&args.machine, way, None, pods)?.run()
}

/// What servers do beside agents.
#[derive(Clone, Copy)]
pub(crate) struct Serving<'a> {
    listen: SocketAddr,
    /// How long the store keeps its history.
    pub(crate) history: Duration,
    /// How the Kubernetes API is served.
    pub(crate) api: &'a ApiArgs,
    /// How nodes are made: their ranges are cut by the leader.
    pub(crate) node: &'a NodeArgs,
}

struct Machine {
    args: MachineArgs,
    started: Instant,
    me: IdentityName,
    kernel: Kernel,
    bus: Bus,
    /// Servers have one.
    store: Option<Arc<StoreHost>>,
    /// Servers have one.
    api: Option<(ApiService, ApiArgs)>,
    /// Servers hold it.
    authority: Option<Arc<ClusterAuthority>>,
    /// How pods are to be run here, how servers come in to them, and what runs them once it stands.
    wish: Option<(PodsWish, Arc<NodeDoor>)>,
    /// How the API reaches nodes; servers with an API have it.
    nodes: Option<Arc<BusNodes>>,
    credentials: Arc<Credentials>,
    /// How long certificates live that this machine signs.
    lifetime: Duration,
    pods: Mutex<Option<Arc<NodeHost>>>,
    // Held as long as the machine runs.
    data: DataDir,
}

impl Machine {
    fn start(
        args: &MachineArgs,
        way: Way,
        serving: Option<Serving<'_>>,
        pods: Option<PodsWish>,
    ) -> anyhow::Result<Self> {
        let started = Instant::now();
        install_crypto_provider();
        trireme_kernel::install_panic_hook();
        let data = DataDir::open(&args.data.data_dir)?;
        let listen = serving.map(|serving| serving.listen);
        let profile =
            crate::membership::Profile::decide(&data, args.node_name.as_deref(), way.role(), listen)?;
        let faults = Faults::new();
        let kernel = Kernel::start(KernelConfig {
            faults: faults.clone(),
            seed: random_u64(),
            root: endless(),
            ..KernelConfig::new(&profile.name)
        })?;
        let membership = kernel.io().block_on(Membership::obtain(&data, &profile, &way))?;
        let me = membership.credentials.identity().identity_name().clone();
        let trust = LiveTrust::new(membership.book.trust().clone());
        let api_trust = trust.clone();
        let store = store_host(&data, &membership, &kernel);
        let (behind, publishers) = services(&kernel, store.as_ref());
        let wish = pods.map(|pods| (pods, NodeDoor::new(me.name(), Arc::clone(&behind))));
        let service = wish.as_ref().map_or(behind, |(_, door)| Arc::clone(door) as Arc<dyn Service>);
        let door = JoinDoor::new(kernel.registry(), machine_path(&me, "cluster"));
        let bus = Bus::start(BusParts {
            profile: TlsProfile::new(Arc::clone(&membership.credentials), trust.clone()),
            listen: profile.listen,
            config: BusConfig::default(),
            permissions: permissions(),
            service,
            publishers,
            join: membership.authority.as_ref().map(|_| Arc::new(door) as Arc<dyn JoinService>),
            faults: faults.clone(),
            io: kernel.io().clone(),
            clock: BusClock::continuing(kernel.now()),
            instance: random_u64(),
        })?;
        let address = bus.listen_address();
        profile.remember(&data, address)?;
        save_admin(&data, &membership, address)?;
        let cluster = ClusterParts {
            me: me.clone(),
            authority: membership.authority.clone(),
            issuer: Issuer::new(membership.credentials.identity().cluster().clone())
                .with_machine_lifetime(way.lifetime()),
            trust,
            bus: bus.clone(),
            address,
            file: data.ledger(),
            dialled: Mutex::new(BTreeSet::new()),
        };
        let credentials = Arc::clone(&membership.credentials);
        let renewal = RenewalParts { credentials, alt_names: profile.alt_names(), folder: data.pki() };
        let api = start_api(serving, address, store.as_ref(), &membership, api_trust, &kernel)?;
        // After the API, through which the leader's actors write; before it is waited for, since it needs the store.
        let authority = membership.authority.as_ref();
        let leading = serving.map(|serving| Leading::new(serving, api.as_ref(), authority)).transpose()?;
        let scope = leading.map(leader_scope);
        plant(&kernel, &bus, &me, Machinery { faults, cluster, renewal, store: store.as_ref().zip(scope) })?;
        let nodes = api.is_some().then(|| Arc::new(BusNodes::new(bus.clone())));
        let authority = membership.authority.clone();
        Ok(Self {
            args: args.clone(),
            started,
            me,
            kernel,
            bus,
            store,
            api,
            authority,
            wish,
            nodes,
            credentials: membership.credentials,
            lifetime: way.lifetime(),
            pods: Mutex::new(None),
            data,
        })
    }

    /// Runs until told to stop, then stops in order.
    fn run(mut self) -> anyhow::Result<()> {
        self.kernel.io().clone().block_on(async move {
            let mut stop = signals::stop()?.or_stdin_eof(self.args.stop_on_stdin_eof)?;
            let ready = tokio::select! {
                ready = self.ready() => ready.map(|()| true),
                signal = stop.recv() => {
                    tracing::info!(%signal, "stopping before this machine is up");
                    Ok(false)
                }
            };
            if matches!(ready, Ok(true)) {
                let signal = stop.recv().await;
                tracing::info!(%signal, "stopping");
            }
            if let Some((api, _)) = self.api.take() {
                api.shutdown().await;
            }
            if let Some(store) = &self.store {
                store.hand_over().await;
            }
            let left = self.kernel.shutdown(STOP_GRACE).await;
            let pods = self.pods.lock().take();
            if let Some(node) = pods
                && let Err(error) = node.tear_down().await
            {
                tracing::warn!(%error, "not all of the node is gone");
            }
            if let Some(store) = &self.store {
                store.close().await;
            }
            self.bus.shutdown(GOODBYE).await;
            tracing::info!(actors_left = left, "stopped");
            ready.map(|_| ())
        })
    }

    /// The tree is up when its last part answers from the book on disk.
    async fn ready(&self) -> anyhow::Result<()> {
        let demo = self.wish.as_ref().is_some_and(|(wish, _)| wish.node.demo);
        let folder = self.args.data.data_dir.clone();
        let packed = demo.then(|| tokio::task::spawn_blocking(move || crate::demo::pack(&folder)));
        let path = machine_path(&self.me, "cluster");
        let members =
            self.kernel.registry().call(&path, ListMembers {}, CallOptions::within(START_LIMIT)).await;
        let members = members.context("the machine's tree of actors did not start")?;
        if let Some(store) = &self.store {
            store_stands(store, START_LIMIT).await?;
        }
        if let (Some((api, args)), Some(store)) = (&self.api, &self.store) {
            crate::api::ready(api, store, args, &self.data.admin(), &self.args.data.data_dir).await?;
        }
        self.expect_nodes()?;
        self.run_pods().await?;
        let millis = self.started.elapsed().as_millis();
        tracing::info!(machine = %self.me, address = ?self.bus.listen_address(), members = members.len(), "up");
        if let Some(file) = &self.args.ready_file {
            write_whole(file, b"ready\n").with_context(|| format!("cannot write {}", file.display()))?;
        }
        print(&format!("ready in {millis} ms"));
        if let Some(packed) = packed {
            packed.await??;
            crate::demo::show(&self.administrator()?.rest().await?).await?;
        }
        Ok(())
    }
}

/// What every machine's own actors are made of.
struct Machinery<'a> {
    faults: Faults,
    cluster: ClusterParts,
    renewal: RenewalParts,
    /// Servers have a store, and what runs where its leader is.
    store: Option<(&'a Arc<StoreHost>, ScopeChildren)>,
}

/// Starts the machine's tree of actors.
fn plant(kernel: &Kernel, bus: &Bus, me: &IdentityName, parts: Machinery<'_>) -> anyhow::Result<()> {
    let policy = endless();
    let spec = SupervisorSpec::new(me.to_string()).intensity(policy.intensity).back_off(policy.back_off);
    let tree = kernel.root().add_supervisor(spec)?;
    tree.add(FaultDesk::spec(parts.faults))?;
    bus.attach(kernel, &tree)?;
    tree.add(ClusterActor::spec(Arc::new(parts.cluster)))?;
    tree.add(Renewal::spec(parts.renewal))?;
    tree.add(Inspector::spec(me.clone(), kernel.registry()))?;
    if let Some((store, scope)) = parts.store {
        store.set_bus(bus.clone());
        tree.add(StoreActor::spec(Arc::clone(store)))?;
        tree.add(LeaderScope::spec(Arc::clone(store), kernel.root(), scope))?;
    }
    Ok(())
}

/// What the bus hands requests and subscriptions to.
fn services(kernel: &Kernel, store: Option<&Arc<StoreHost>>) -> (Arc<dyn Service>, Arc<dyn Publishers>) {
    let registry = Arc::new(RegistryService::new(kernel.registry()));
    match store {
        Some(store) => (
            Arc::new(StoreService::new(Arc::clone(store), registry)),
            Arc::new(StorePublishers::new(Arc::clone(store))),
        ),
        None => (registry, Arc::new(NoPublishers)),
    }
}

/// The member is in the cluster; whether there is a quorum is not for one machine to wait for.
///
/// A member that was part of the cluster before waits however long its database takes to open: ending it would only
/// make it begin anew. A server that nobody has ever taken in gives up, since most likely something is wrong with the
/// way in.
async fn store_stands(store: &StoreHost, limit: Duration) -> anyhow::Result<()> {
    let mut standing = store.standing();
    loop {
        let settled = standing.wait_for(|standing| !matches!(standing, Standing::Joining { .. }));
        match tokio::time::timeout(limit, settled).await.map(|settled| settled.map(|now| now.clone())) {
            Ok(Ok(Standing::Refused { why })) => bail!("{why}"),
            Ok(Ok(_)) => return Ok(()),
            Ok(Err(_)) => bail!("the store was closed before this server was part of the cluster"),
            Err(_) => {}
        }
        let why = match &*store.standing().borrow() {
            Standing::Joining { why: Some(why) } => why.clone(),
            _ => "no server has answered".to_owned(),
        };
        if store.never_admitted() {
            bail!(
                "this server was not taken into the cluster within {limit:?}: {why}. Check that the servers of the \
                 cluster run and can be reached from here (trireme raft status on one of them), then start it again"
            );
        }
        tracing::warn!(why, waited = ?limit, "this server is a member, but its store does not stand yet: waiting on");
    }
}

/// The policy at the top of the tree: whatever fails is started again, ever more slowly; nothing is given up.
fn endless() -> SupervisorPolicy {
    SupervisorPolicy {
        intensity: Intensity { when_exceeded: WhenExceeded::BackOff, ..Intensity::default() },
        back_off: BackOff { max: Duration::from_secs(1), ..BackOff::default() },
        ..SupervisorPolicy::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trireme_pki::IdentityKind;
    use trireme_raft::store::StoreConfig;
    use trireme_store::HostParts;

    /// Its database is still being opened, as a large one on a slow disk is: it is nobody who was never taken in.
    #[tokio::test]
    async fn a_known_member_waits_however_long_its_database_takes_to_open() {
        let folder = tempfile::tempdir().expect("a folder");
        let host = StoreHost::new(HostParts {
            me: IdentityName::new(IdentityKind::Server, "s1").expect("a name"),
            cluster: "c".to_owned(),
            dir: folder.path().join("store"),
            member_file: folder.path().join("store.json"),
            alone: false,
            config: StoreConfig::default(),
            io: tokio::runtime::Handle::current(),
        });
        let limit = Duration::from_millis(10);
        let stood = tokio::time::timeout(limit * 20, store_stands(&host, limit)).await;
        assert!(stood.is_err(), "it gave up: {stood:?}");
    }
}
