//! `rival capacity`: many objects.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use bytes::Bytes;
use clap::Args;
use tokio::task::JoinSet;

use crate::command::Place;
use crate::figures::Figures;
use crate::load::{self, Shape, Work};
use crate::ours::Ours;
use crate::program;
use crate::system::{Session, System};

/// Tasks that fill the store.
const FILLERS: usize = 64;
const CONNECTIONS: usize = 4;
/// The load while a member joins.
const CLIENTS: usize = 16;
const VALUE_BYTES: usize = 1024;
/// Length of the load before the member joins, and least length while it does.
const WINDOW: Duration = Duration::from_secs(5);
/// Time for the stored state and snapshots to be written.
const SETTLE: Duration = Duration::from_secs(3);

/// How many.
#[derive(Debug, Args)]
pub(crate) struct Settings {
    #[command(flatten)]
    place: Place,
    /// Objects of 1 KiB.
    #[arg(long, default_value_t = 100_000)]
    objects: usize,
}

pub(crate) async fn run(settings: Settings) -> Result<()> {
    let program = program::trireme(&settings.place)?;
    let folder = program::folder(&settings.place)?;
    let mut ours = Ours::start(&program, folder.path(), 1).await?;
    let filled = Instant::now();
    fill(&ours, settings.objects).await?;
    let tell = |what: &str, value: f64, unit: &str| say(settings.place.json, what, value, unit);
    tell("filled in", filled.elapsed().as_secs_f64(), "s");
    tokio::time::sleep(SETTLE).await;
    tell("resident after filling", resident_mib(&ours, 0)?, "MiB");
    let restarted = ours.restart(0, &name(0)).await?;
    tell("restart to the first linearizable read", restarted.as_secs_f64(), "s");
    tokio::time::sleep(SETTLE).await;
    tell("resident after the restart", resident_mib(&ours, 0)?, "MiB");

    let shape = Shape { clients: CLIENTS, connections: CONNECTIONS, window: WINDOW };
    let before = load::run(&ours, Work::Put { bytes: VALUE_BYTES }, shape).await?;
    tell("write p99 before a member joins", before.p99_ms, "ms");
    let (during, joined) = while_joining(&mut ours).await?;
    tell("a new member votes after", joined.as_secs_f64(), "s");
    tell("write p99 while it joins", during.p99_ms, "ms");
    tell("ratio", during.p99_ms / before.p99_ms, "");
    tell("resident of the new member", resident_mib(&ours, 1)?, "MiB");
    Ok(())
}

fn say(json: bool, what: &str, value: f64, unit: &str) {
    #[expect(clippy::print_stdout, reason = "a command prints its result")]
    if json {
        println!("{}", serde_json::json!({ "what": what, "value": value, "unit": unit }));
    } else {
        println!("{what}: {value:.2} {unit}");
    }
}

fn name(index: usize) -> String {
    format!("/registry/capacity/{index:08}")
}

fn resident_mib(ours: &Ours, index: usize) -> Result<f64> {
    let pid = *ours.pids().get(index).context("the server has ended")?;
    #[expect(clippy::cast_precision_loss, reason = "memory of a process stays far below 2^52")]
    Ok(program::memory_bytes(pid)?.0 as f64 / 1_048_576.0)
}

async fn fill(ours: &Ours, objects: usize) -> Result<()> {
    let mut sessions: Vec<Arc<dyn Session>> = Vec::new();
    for _ in 0..CONNECTIONS {
        sessions.push(ours.connect().await?.into());
    }
    let mut tasks: JoinSet<Result<()>> = JoinSet::new();
    for filler in 0..FILLERS {
        let session = Arc::clone(&sessions[filler % CONNECTIONS]);
        tasks.spawn(async move {
            for index in (filler..objects).step_by(FILLERS) {
                session.put(&name(index), Bytes::from(vec![b'c'; VALUE_BYTES])).await?;
            }
            Ok(())
        });
    }
    while let Some(task) = tasks.join_next().await {
        task.context("a filler panicked")??;
    }
    Ok(())
}

/// A second server joins under load. Gives the load's figures until then and the time it took.
async fn while_joining(ours: &mut Ours) -> Result<(Figures, Duration)> {
    let mut sessions: Vec<Arc<dyn Session>> = Vec::new();
    for _ in 0..CONNECTIONS {
        sessions.push(ours.connect().await?.into());
    }
    let stop = Arc::new(tokio::sync::watch::Sender::new(false));
    let mut tasks: JoinSet<Result<Vec<Duration>>> = JoinSet::new();
    for client in 0..CLIENTS {
        let (session, stop) = (Arc::clone(&sessions[client % CONNECTIONS]), stop.subscribe());
        tasks.spawn(async move {
            let mut taken = Vec::new();
            while !*stop.borrow() {
                let at = Instant::now();
                session
                    .put(&format!("/registry/joining/{client:03}"), Bytes::from(vec![b'j'; VALUE_BYTES]))
                    .await?;
                taken.push(at.elapsed());
            }
            Ok(taken)
        });
    }
    let started = Instant::now();
    ours.grow().await?;
    let joined = started.elapsed();
    stop.send_replace(true);
    let mut taken = Vec::new();
    while let Some(task) = tasks.join_next().await {
        taken.extend(task.context("a client panicked")??);
    }
    Ok((Figures::of(taken, started.elapsed()), joined))
}
