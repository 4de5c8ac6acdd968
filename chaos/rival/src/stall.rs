//! `rival stall`: writes while the disk of one member takes seconds for every sync.

use std::time::Duration;

use anyhow::Result;
use clap::Args;
use trireme_store::calls::SetDiskFaults;

use crate::command::{Place, seconds};
use crate::figures::Figures;
use crate::load::{self, Shape, Work};
use crate::ours::Ours;
use crate::program;

/// The load.
const CLIENTS: usize = 16;
const CONNECTIONS: usize = 4;
const VALUE_BYTES: usize = 1024;

/// How slow and how long.
#[derive(Debug, Args)]
pub(crate) struct Settings {
    #[command(flatten)]
    place: Place,
    /// Seconds that each sync of the stalling disk takes longer.
    #[arg(long, default_value = "2", value_parser = seconds)]
    stall: Duration,
    /// Seconds of each phase.
    #[arg(long, default_value = "10", value_parser = seconds)]
    seconds: Duration,
}

pub(crate) async fn run(settings: Settings) -> Result<()> {
    let program = program::trireme(&settings.place)?;
    let folder = program::folder(&settings.place)?;
    let ours = Ours::start(&program, folder.path(), 3).await?;
    let shape = Shape { clients: CLIENTS, connections: CONNECTIONS, window: settings.seconds };
    let work = Work::Put { bytes: VALUE_BYTES };
    tell(&settings, "all disks healthy", load::run(&ours, work, shape).await?);
    let slow = |seconds: Duration| SetDiskFaults {
        sync_delay_ms: u64::try_from(seconds.as_millis()).unwrap_or(u64::MAX),
        dead_man_ms: 600_000,
        ..SetDiskFaults::default()
    };
    let leader = ours.leader().await?;
    let follower = (leader + 1) % 3;
    ours.session(follower).await?.call(slow(settings.stall)).await?;
    tell(&settings, "a follower's disk stalls", load::run(&ours, work, shape).await?);
    ours.session(follower).await?.call(slow(Duration::ZERO)).await?;
    let session = ours.session(leader).await?;
    let stalling = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(1)).await;
        session.call(slow(settings.stall)).await
    });
    let figures = load::run(&ours, work, shape).await?;
    stalling.await??;
    tell(&settings, "the leader's disk begins to stall after a second", figures);
    Ok(())
}

fn tell(settings: &Settings, phase: &str, figures: Figures) {
    let Figures { per_second, p50_ms, p99_ms, .. } = figures;
    #[expect(clippy::print_stdout, reason = "a command prints its result")]
    if settings.place.json {
        println!("{}", serde_json::json!({ "phase": phase, "figures": figures }));
    } else {
        println!("{phase}: {per_second:.0} puts/s, p50 {p50_ms:.2} ms, p99 {p99_ms:.2} ms");
    }
}
