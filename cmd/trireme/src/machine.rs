//! The composition root: one machine of a cluster, from its data folder to its tree of actors.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use parking_lot::Mutex;
use trireme_bus::{Bus, BusClock, BusConfig, BusParts, JoinService, NoPublishers, RegistryService};
use trireme_core::supervision::{BackOff, Intensity, SupervisorPolicy, WhenExceeded};
use trireme_faults::Faults;
use trireme_kernel::{CallOptions, Kernel, KernelConfig, SupervisorSpec};
use trireme_pki::{IdentityKind, IdentityName, JoinRole, LiveTrust, TlsProfile, install_crypto_provider};
use trireme_process::cluster::{ClusterActor, ClusterParts, JoinDoor, ListMembers};
use trireme_process::{
    Admin, FaultDesk, Inspector, Renewal, RenewalParts, machine_path, random_u64, write_whole,
};

use crate::cli::{AgentArgs, MachineArgs, ServerArgs};
use crate::data_dir::DataDir;
use crate::membership::{Membership, Way};
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
    let way = Way::new(JoinRole::Server, args.join, args.token.as_deref())?;
    Machine::start(&args.machine, way, Some(args.listen))?.run()
}

/// `trireme agent`.
pub(crate) fn run_agent(args: &AgentArgs) -> anyhow::Result<()> {
    let way = Way::new(JoinRole::Agent, args.join, args.token.as_deref())?;
    Machine::start(&args.machine, way, None)?.run()
}

struct Machine {
    args: MachineArgs,
    started: Instant,
    me: IdentityName,
    kernel: Kernel,
    bus: Bus,
    // Held as long as the machine runs.
    _data: DataDir,
}

impl Machine {
    fn start(args: &MachineArgs, way: Way, listen: Option<SocketAddr>) -> anyhow::Result<Self> {
        let started = Instant::now();
        install_crypto_provider();
        trireme_kernel::install_panic_hook();
        let data = DataDir::open(&args.data.data_dir)?;
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
        let door = JoinDoor::new(kernel.registry(), machine_path(&me, "cluster"));
        let bus = Bus::start(BusParts {
            profile: TlsProfile::new(Arc::clone(&membership.credentials), trust.clone()),
            listen: profile.listen,
            config: BusConfig::default(),
            permissions: permissions(),
            service: Arc::new(RegistryService::new(kernel.registry())),
            publishers: Arc::new(NoPublishers),
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
            cluster: membership.credentials.identity().cluster().clone(),
            trust,
            bus: bus.clone(),
            address,
            file: data.ledger(),
            dialled: Mutex::new(BTreeSet::new()),
        };
        let renewal = RenewalParts {
            credentials: Arc::clone(&membership.credentials),
            alt_names: profile.alt_names(),
            folder: data.pki(),
        };
        let tree = kernel
            .root()
            .add_supervisor(SupervisorSpec::new(me.to_string()).intensity(endless().intensity))?;
        tree.add(FaultDesk::spec(faults))?;
        bus.attach(&kernel, &tree)?;
        tree.add(ClusterActor::spec(Arc::new(cluster)))?;
        tree.add(Renewal::spec(renewal))?;
        tree.add(Inspector::spec(me.clone(), kernel.registry()))?;
        Ok(Self { args: args.clone(), started, me, kernel, bus, _data: data })
    }

    /// Runs until told to stop, then stops in order.
    fn run(self) -> anyhow::Result<()> {
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
            let left = self.kernel.shutdown(STOP_GRACE).await;
            self.bus.shutdown(GOODBYE).await;
            tracing::info!(actors_left = left, "stopped");
            ready.map(|_| ())
        })
    }

    /// The tree is up when its last part answers from the book on disk.
    async fn ready(&self) -> anyhow::Result<()> {
        let path = machine_path(&self.me, "cluster");
        let members =
            self.kernel.registry().call(&path, ListMembers {}, CallOptions::within(START_LIMIT)).await;
        let members = members.context("the machine's tree of actors did not start")?;
        let millis = self.started.elapsed().as_millis();
        tracing::info!(machine = %self.me, address = ?self.bus.listen_address(), members = members.len(), "up");
        if let Some(file) = &self.args.ready_file {
            write_whole(file, b"ready\n").with_context(|| format!("cannot write {}", file.display()))?;
        }
        print(&format!("ready in {millis} ms"));
        Ok(())
    }
}

/// The policy at the top of the tree: whatever fails is started again, ever more slowly; nothing is given up.
fn endless() -> SupervisorPolicy {
    SupervisorPolicy {
        intensity: Intensity { when_exceeded: WhenExceeded::BackOff, ..Intensity::default() },
        back_off: BackOff { max: Duration::from_secs(2), ..BackOff::default() },
        ..SupervisorPolicy::default()
    }
}

/// Servers leave a way for their administrator in the data folder.
fn save_admin(data: &DataDir, membership: &Membership, address: Option<SocketAddr>) -> anyhow::Result<()> {
    let (Some(authority), Some(address)) = (&membership.authority, address) else { return Ok(()) };
    let mut servers = vec![address];
    let known = membership.book.servers().filter(|(name, _)| name.kind() == IdentityKind::Server);
    servers.extend(known.map(|(_, known)| known).filter(|known| *known != address));
    let admin = match Admin::load(&data.admin()) {
        Ok(admin) if !admin.is_stale(authority) => Admin { servers, ..admin },
        _ => Admin::issue(authority, servers)?,
    };
    if address.ip().is_unspecified() {
        bail!("--listen {address}: name an address that other machines can dial, not all of them");
    }
    Ok(admin.save(&data.admin())?)
}
