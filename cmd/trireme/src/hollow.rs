//! `trireme hollow`, and hollow nodes in the process of a server (`--runtime hollow`).

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use trireme_hollow::{Hollow, HollowConfig, NodePlan, Rules, connect};
use trireme_pki::install_crypto_provider;
use trireme_process::random_u64;

use crate::progress::print;
use crate::signals;

#[derive(Args, Clone, Debug)]
pub(crate) struct HollowArgs {
    /// The cluster, as `trireme up --kubeconfig` writes it.
    #[arg(long, env = "KUBECONFIG", value_name = "FILE")]
    kubeconfig: PathBuf,

    #[command(flatten)]
    fleet: FleetArgs,
}

/// What hollow nodes are, and what their pods do.
#[derive(Args, Clone, Debug)]
pub(crate) struct FleetArgs {
    /// How many nodes.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=16_384), value_name = "N")]
    nodes: u32,

    /// What their names begin with.
    #[arg(long, default_value = "hollow-", value_name = "TEXT")]
    name_prefix: String,

    /// Zones that they are spread over; 0 for none.
    #[arg(long, default_value_t = 0, value_name = "N")]
    zones: u32,

    /// Longest time from bound to running, as `250ms`; each pod draws its own.
    #[arg(long, default_value = "0s", value_parser = humantime::parse_duration, value_name = "DURATION")]
    start_within: Duration,

    /// Time from running to ready.
    #[arg(long, default_value = "0s", value_parser = humantime::parse_duration, value_name = "DURATION")]
    ready_after: Duration,

    /// How many of a thousand pods that are to end fail.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=1_000), value_name = "N")]
    fail_per_mille: u64,

    /// Time between two renewals of a node's lease.
    #[arg(long, default_value = "10s", value_parser = humantime::parse_duration, value_name = "DURATION")]
    lease_every: Duration,

    /// Decides delays and failures; drawn at random when left out.
    #[arg(long)]
    seed: Option<u64>,
}

impl FleetArgs {
    fn config(&self) -> HollowConfig {
        let nodes =
            NodePlan { prefix: self.name_prefix.clone(), zones: self.zones, ..NodePlan::new(self.nodes) };
        let rules = Rules {
            start: (Duration::ZERO, self.start_within),
            ready: self.ready_after,
            fail_per_mille: self.fail_per_mille,
            ..Rules::default()
        };
        let seed = self.seed.unwrap_or_else(random_u64);
        HollowConfig { nodes, rules, lease_every: self.lease_every.max(Duration::from_millis(100)), seed }
    }
}

/// Runs until told to stop.
pub(crate) fn run(args: &HollowArgs) -> anyhow::Result<()> {
    install_crypto_provider();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let mut stop = signals::stop()?;
        let file = &args.kubeconfig;
        let text = std::fs::read_to_string(file)
            .with_context(|| format!("--kubeconfig: cannot read {}", file.display()))?;
        let hollow = Hollow::register(connect(&text).await?, args.fleet.config()).await?;
        print(&format!("{} nodes registered", args.fleet.nodes));
        tokio::select! {
            () = hollow.run() => {}
            signal = stop.recv() => tracing::info!(%signal, "stopping"),
        }
        Ok(())
    })
}

/// Hollow nodes in this process: registered when it returns, and alive until the runtime ends.
///
/// # Errors
/// The API refuses them.
pub(crate) async fn start_here(kubeconfig: &str, nodes: u32) -> anyhow::Result<()> {
    let config = HollowConfig {
        nodes: NodePlan::new(nodes),
        rules: Rules::default(),
        lease_every: Duration::from_secs(10),
        seed: random_u64(),
    };
    let hollow = Hollow::register(connect(kubeconfig).await?, config).await?;
    tokio::spawn(hollow.run());
    Ok(())
}
