//! `rival rest`.

use std::time::Duration;

use anyhow::Result;
use clap::Args;

use crate::command::{Place, seconds};
use crate::etcd::{self, Etcd};
use crate::ours::Ours;
use crate::program;
use crate::system::System;

/// Time for a new cluster to calm down.
const SETTLE: Duration = Duration::from_secs(5);

/// How long and how large.
#[derive(Debug, Args)]
pub(crate) struct Settings {
    #[command(flatten)]
    place: Place,
    /// Members of the cluster.
    #[arg(long, default_value_t = 3)]
    members: usize,
    /// Seconds to watch.
    #[arg(long, default_value = "20", value_parser = seconds)]
    seconds: Duration,
}

pub(crate) async fn run(settings: Settings) -> Result<()> {
    let program = program::trireme(&settings.place)?;
    let folder = program::folder(&settings.place)?;
    let ours = Ours::start(&program, folder.path(), settings.members).await?;
    let leader = ours.leader().await?;
    let mut result = vec![("ours", watch(&ours.pids(), settings.seconds).await?)];
    drop(ours);
    if let Some(rival) = etcd::installed() {
        let etcd = Etcd::start(&rival, folder.path(), settings.members).await?;
        result.push(("etcd", watch(&etcd.pids(), settings.seconds).await?));
    }
    #[expect(clippy::print_stdout, reason = "a command prints its result")]
    for (name, servers) in result {
        for (index, (percent, resident, proportional)) in servers.into_iter().enumerate() {
            if settings.place.json {
                let line = serde_json::json!({ "system": name, "server": index, "percent_of_a_core": percent,
                    "resident_mib": resident, "proportional_mib": proportional });
                println!("{line}");
            } else {
                let leads = if name == "ours" && index == leader { ", leads" } else { "" };
                println!(
                    "{name} server {index}{leads}: {percent:.2} % of one core, {resident:.1} MiB resident, \
                     {proportional:.1} MiB proportional"
                );
            }
        }
    }
    Ok(())
}

/// Per process: per cent of one core, resident and proportional MiB.
async fn watch(pids: &[u32], window: Duration) -> Result<Vec<(f64, f64, f64)>> {
    tokio::time::sleep(SETTLE).await;
    let used = || pids.iter().map(|pid| program::processor_seconds(*pid)).collect::<Result<Vec<_>>>();
    let before = used()?;
    tokio::time::sleep(window).await;
    let after = used()?;
    let mut result = Vec::new();
    for (pid, (before, after)) in pids.iter().zip(before.into_iter().zip(after)) {
        let (resident, proportional) = program::memory_bytes(*pid)?;
        #[expect(clippy::cast_precision_loss, reason = "memory of a process stays far below 2^52")]
        let mib = |bytes: u64| bytes as f64 / 1_048_576.0;
        result.push(((after - before) / window.as_secs_f64() * 100.0, mib(resident), mib(proportional)));
    }
    Ok(result)
}
