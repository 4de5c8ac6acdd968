//! `rival compare`.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::command::{Place, seconds};
use crate::etcd::{self, Etcd};
use crate::figures::Figures;
use crate::load::{self, Work};
use crate::ours::Ours;
use crate::system::System;
use crate::table::{self, Row};
use crate::{program, watching};

/// Tasks of the loaded rows.
const MANY_CLIENTS: usize = 64;
/// Connections that they share.
const CONNECTIONS: usize = 4;
/// Bytes of the values.
const VALUES: [usize; 2] = [256, 1024];
/// Watchers, and writes for them per second.
const WATCHERS: usize = 200;
const WATCHED_WRITES_PER_SECOND: u32 = 50;
/// Time for both systems to finish what a round left to do.
const REST: Duration = Duration::from_millis(1000);

/// What to measure.
#[derive(Debug, Args)]
pub(crate) struct Settings {
    #[command(flatten)]
    place: Place,
    /// Rounds of each row and system; the medians count.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Seconds of one round.
    #[arg(long, default_value = "3", value_parser = seconds)]
    seconds: Duration,
    /// Sizes of the clusters.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 3])]
    members: Vec<usize>,
    /// Only rows whose name contains this: put, get or watch.
    #[arg(long)]
    only: Option<String>,
    /// Measures ours alone; no ratios then.
    #[arg(long)]
    alone: bool,
}

/// One row to be measured.
#[derive(Debug, Clone, Copy)]
enum Case {
    Load(Work, usize, usize),
    Watch,
}

impl Case {
    fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for clients in [MANY_CLIENTS, 1] {
            for bytes in VALUES {
                all.push(Self::Load(Work::Put { bytes }, bytes, clients));
                // Of what was just written.
                all.push(Self::Load(Work::Get, bytes, clients));
            }
        }
        all.push(Self::Watch);
        all
    }

    fn name(self) -> String {
        match self {
            Self::Load(Work::Put { .. }, bytes, _) => format!("put {bytes} B"),
            Self::Load(Work::Get, bytes, _) => format!("linearizable get {bytes} B"),
            Self::Watch => format!("watch event after the put's answer, {WATCHERS} watchers"),
        }
    }

    fn clients(self) -> usize {
        if let Self::Load(_, _, clients) = self { clients } else { 1 }
    }
}

pub(crate) async fn run(settings: Settings) -> Result<()> {
    let program = program::trireme(&settings.place)?;
    let rival = match (settings.alone, etcd::installed()) {
        (true, _) => None,
        (false, Some(program)) => Some(program),
        (false, None) => bail!(
            "etcd is not installed (no etcd in PATH; Debian: apt install etcd-server). With --alone ours is measured without it"
        ),
    };
    let folder = program::folder(&settings.place)?;
    let mut rows = Vec::new();
    for members in &settings.members {
        let dir = folder.path().join(format!("of-{members}"));
        std::fs::create_dir_all(&dir)?;
        rows.extend(with_members(&settings, *members, &program, rival.as_deref(), &dir).await?);
    }
    #[expect(clippy::print_stdout, reason = "a command prints its result")]
    if settings.place.json {
        println!("{:#}", table::json(&rows));
    } else {
        println!("{}", table::table(&rows));
    }
    Ok(())
}

async fn with_members(
    settings: &Settings,
    members: usize,
    program: &Path,
    rival: Option<&Path>,
    dir: &Path,
) -> Result<Vec<Row>> {
    let ours = Ours::start(program, dir, members).await.context("our servers")?;
    let etcd = match rival {
        Some(rival) => Some(Etcd::start(rival, dir, members).await.context("etcd")?),
        None => None,
    };
    let mut rows = Vec::new();
    for case in Case::all() {
        if settings.only.as_ref().is_some_and(|only| !case.name().contains(only.as_str())) {
            continue;
        }
        let (mut of_ours, mut of_etcd) = (Vec::new(), Vec::new());
        for round in 0..settings.rounds {
            of_ours.push(one(&ours, case, settings.seconds, round).await?);
            if let Some(etcd) = &etcd {
                of_etcd.push(one(etcd, case, settings.seconds, round).await?);
            }
        }
        let (ours, etcd) = (Figures::median(&of_ours), Figures::median(&of_etcd));
        let paced = matches!(case, Case::Watch);
        let row = Row { members, what: case.name(), clients: case.clients(), ours, etcd, paced };
        #[expect(clippy::print_stderr, reason = "a long run shows that it goes on")]
        {
            eprintln!("{members} members, {}, {} clients: {ours:?} {etcd:?}", row.what, row.clients);
        }
        rows.push(row);
    }
    tell_memory(members, &ours, etcd.as_ref())?;
    Ok(rows)
}

async fn one(system: &dyn System, case: Case, window: Duration, round: usize) -> Result<Figures> {
    let processor = || -> Result<f64> { system.pids().into_iter().map(program::processor_seconds).sum() };
    let before = processor()?;
    let started = std::time::Instant::now();
    let figures = match case {
        Case::Load(work, _, clients) => {
            let shape = load::Shape { clients, connections: CONNECTIONS, window };
            load::run(system, work, shape).await?
        }
        Case::Watch => {
            let shape = watching::Shape {
                watchers: WATCHERS,
                connections: CONNECTIONS,
                writes_per_second: WATCHED_WRITES_PER_SECOND,
                window,
            };
            watching::run(system, round, shape).await?
        }
    };
    let operations = figures.per_second * started.elapsed().as_secs_f64();
    tokio::time::sleep(REST).await;
    // With what was left to do afterwards.
    let server_us = (processor()? - before) / operations * 1e6;
    Ok(Figures { server_us, ..figures })
}

fn tell_memory(members: usize, ours: &Ours, etcd: Option<&Etcd>) -> Result<()> {
    let most = |system: &dyn System| -> Result<u64> {
        let pids = system.pids();
        let resident: Vec<u64> =
            pids.into_iter().map(|pid| Ok(program::memory_bytes(pid)?.0 >> 20)).collect::<Result<_>>()?;
        Ok(resident.into_iter().max().unwrap_or(0))
    };
    let etcd = etcd.map(|etcd| most(etcd)).transpose()?;
    #[expect(clippy::print_stderr, reason = "beside the table")]
    {
        eprintln!(
            "{members} members: largest resident server after all rows: ours {} MiB, etcd {} MiB",
            most(ours)?,
            etcd.map_or_else(|| "-".to_owned(), |mib| mib.to_string())
        );
    }
    Ok(())
}
