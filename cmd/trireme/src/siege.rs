//! `trireme chaos run|check|replay`: sieges of real server processes, and judging what they recorded.

use std::path::Path;

use anyhow::{Context, bail};
use clap::builder::TypedValueParser;
use clap::{Args, ValueEnum};
use comfy_table::Table as Drawn;
use comfy_table::presets::NOTHING;
use trireme_siege::{FaultKind, Harm, Plan, Report, Settings, Standing, Table};

use crate::cli::Output;
use crate::progress::{print, say};

/// What a siege is told on the command line.
#[derive(Args, Clone, Debug)]
pub(crate) struct SiegeArgs {
    /// How many servers.
    #[arg(long, default_value_t = 3, value_parser = members_parser(), value_name = "3|5")]
    members: usize,

    /// How long faults happen, in seconds.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(5..=86_400), value_name = "SECONDS")]
    seconds: u64,

    /// Kinds of faults, comma separated: kill, kill-leader, kill-all, freeze, freeze-leader, minority, majority, ring,
    /// one-way, slow, lossy, duplicate, reorder, transfer, churn, kill-actor, slow-disk, failing-disk, no-room,
    /// torn-tail, clock, full-disk (root only); or `all` (all but full-disk), `everything` (as root), or `none`.
    #[arg(long, default_value = "all", value_name = "LIST")]
    faults: String,

    /// Clients per workload: registers, lists, sets.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=32), value_name = "N")]
    clients: u8,

    /// Keep the folder with logs and history also when all went well.
    #[arg(long)]
    keep: bool,

    /// Where logs and history go; a temporary folder otherwise.
    #[arg(long, value_name = "DIR")]
    folder: Option<std::path::PathBuf>,

    /// Measure failover instead: writers only, the leader is harmed again and again.
    #[arg(long, value_enum, value_name = "HARM")]
    failover: Option<FailoverHarm>,

    /// How often, with --failover.
    #[arg(long, default_value_t = 20, requires = "failover", value_parser = clap::value_parser!(u32).range(1..=10_000), value_name = "N")]
    rounds: u32,

    /// `table` for people, `json` for programs.
    #[arg(long, short, value_enum, default_value_t = Output::Table)]
    output: Output,
}

/// What happens to the leader in a failover run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FailoverHarm {
    /// SIGKILL.
    Kill,
    /// SIGSTOP.
    Freeze,
}

/// Sieges are of three or five.
fn members_parser() -> impl TypedValueParser<Value = usize> {
    clap::builder::PossibleValuesParser::new(["3", "5"]).map(|number| if number == "5" { 5 } else { 3 })
}

/// `trireme chaos run` and `replay`: the same seed plans the same faults.
pub(crate) fn run(args: &SiegeArgs, seed: u64) -> anyhow::Result<()> {
    let settings = settings(args, seed)?;
    say(&format!("siege of {} servers, seed {seed}", settings.members));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let report = runtime.block_on(async {
        let mut stop = crate::signals::stop()?;
        tokio::select! {
            report = trireme_siege::run(&settings) => report.map_err(anyhow::Error::from),
            signal = stop.recv() => Err(anyhow::anyhow!("{signal}: the siege was given up; its servers are killed")),
        }
    })?;
    match args.output {
        Output::Json => print(&serde_json::to_string_pretty(&report)?),
        Output::Table => show(&report),
    }
    match report.passed() {
        true => Ok(()),
        false => bail!(
            "not every law was shown to hold; the same faults again: trireme chaos replay --seed {seed} \
             --members {} --seconds {} --faults {} --clients {}",
            args.members,
            args.seconds,
            args.faults,
            args.clients
        ),
    }
}

/// `trireme chaos check`.
pub(crate) fn check(file: &Path, output: Output) -> anyhow::Result<()> {
    let table = trireme_siege::check_file(file)?;
    match output {
        Output::Json => print(&serde_json::to_string_pretty(&table)?),
        Output::Table => show_table(&table),
    }
    if table.is_clean() { Ok(()) } else { bail!("the history does not hold") }
}

fn settings(args: &SiegeArgs, seed: u64) -> anyhow::Result<Settings> {
    let plan = match args.failover {
        Some(harm) => {
            let harm = match harm {
                FailoverHarm::Kill => Harm::Kill,
                FailoverHarm::Freeze => Harm::Freeze,
            };
            Plan::Failover { harm, rounds: args.rounds }
        }
        None => Plan::Faults { seconds: args.seconds, kinds: kinds(&args.faults)? },
    };
    Ok(Settings {
        program: std::env::current_exe().context("cannot find this program's own file")?,
        members: args.members,
        seed,
        clients: usize::from(args.clients),
        folder: args.folder.clone(),
        keep: args.keep,
        plan,
    })
}

fn kinds(list: &str) -> anyhow::Result<Vec<FaultKind>> {
    match list {
        "all" => Ok(FaultKind::unprivileged()),
        "everything" => Ok(FaultKind::ALL.to_vec()),
        "none" => Ok(Vec::new()),
        names => names.split(',').map(|name| Ok(name.trim().parse()?)).collect(),
    }
}

fn show(report: &Report) {
    for note in &report.notes {
        print(note);
    }
    let Report { operations, acknowledged, unknown, logged, .. } = report;
    print(&format!(
        "\n{operations} operations, {acknowledged} acknowledged, {unknown} of unknown outcome, {logged} writes in the log\n"
    ));
    show_table(&report.table);
    if let Some(failover) = &report.failover {
        match failover.gaps {
            Some(gaps) => print(&format!(
                "\nwriters' gap over {} rounds: p50 {:.0} ms, p99 {:.0} ms, max {:.0} ms (p99 below 500 ms: {})",
                failover.rounds,
                gaps.p50_ms,
                gaps.p99_ms,
                gaps.max_ms,
                if failover.within_target { "yes" } else { "NO" }
            )),
            None => print("\nno gap was measured"),
        }
    }
    for (what, file) in [("history", &report.history), ("smallest failing history", &report.failing)] {
        if let Some(file) = file {
            print(&format!("{what}: {}", file.display()));
        }
    }
}

fn show_table(table: &Table) {
    let mut drawn = Drawn::new();
    drawn.load_preset(NOTHING).set_header(["CHECK", "VERDICT", "RECORDS"]);
    for row in &table.rows {
        drawn.add_row([row.check.to_string(), row.standing.to_string(), row.records.to_string()]);
    }
    print(&drawn.to_string());
    for row in
        table.rows.iter().filter(|row| matches!(row.standing, Standing::Violated | Standing::Undecided))
    {
        print(&format!("\n{}: {}", row.check, row.explanation.as_deref().unwrap_or_default()));
        for record in &row.failing {
            print(&format!("  {record}"));
        }
    }
}
