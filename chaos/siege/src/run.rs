//! One siege under faults, from the first process to the verdict.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::sync::watch;
use tokio::task::JoinSet;
use trireme_core::Rng;
use trireme_laws::{History, HistoryError, Limits};
use trireme_mvcc::{Entry, Proposal};
use trireme_store::calls::Propose;

use crate::checks::{Check, Table};
use crate::clock::Clock;
use crate::fleet::{Fleet, FleetError};
use crate::link::Link;
use crate::nemesis::Nemesis;
use crate::recorder::Recorder;
use crate::report::Report;
use crate::schedule::{FaultKind, Schedule};
use crate::settings::Settings;
use crate::workload::watchers::Watcher;
use crate::workload::{Bell, CALL_DEADLINE, Client, fenced, hashes, lists, registers, sets};
use crate::{settle, truth};

/// How long clients go on once everything is healed.
const AFTERNOON: Duration = Duration::from_secs(2);
/// Changes that members keep, so that the whole log can be read at the end.
const HISTORY_CHANGES: u64 = 8_000_000;
/// Bytes of the same.
const HISTORY_BYTES: u64 = 2 * 1024 * 1024 * 1024;
/// What watchers follow; every member begins with one of each.
const PREFIXES: [&str; 2] = ["", "l/"];

/// Why a siege gave no verdict.
#[derive(Debug, Error)]
pub enum SiegeError {
    /// The servers are not there.
    #[error(transparent)]
    Fleet(#[from] FleetError),
    /// The cluster of servers does not work even before the first fault.
    #[error("before the first fault: {0}")]
    Unfit(String),
    /// The recording is not whole.
    #[error("more than {0} records; run a shorter siege or fewer clients")]
    TooManyRecords(usize),
    /// A file cannot be read or written.
    #[error("{file}: {source}")]
    File {
        /// Which.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file is no history.
    #[error("{file}: {source}")]
    History {
        /// Which.
        file: PathBuf,
        /// What is wrong with it.
        source: HistoryError,
    },
    /// A setting that makes no sense.
    #[error("{0}")]
    Settings(String),
}

/// The servers with what every task shares.
pub(crate) struct Camp {
    pub(crate) fleet: Arc<Fleet>,
    pub(crate) nemesis: Arc<Nemesis>,
    pub(crate) recorder: Recorder,
    pub(crate) bell: Bell,
    rng: Rng,
}

impl Camp {
    /// Starts the servers and waits until they are one cluster.
    pub(crate) async fn pitch(settings: &Settings, folder: &Path, disks: bool) -> Result<Self, SiegeError> {
        let recorder = Recorder::new(Clock::start());
        let fleet = Fleet::start(&settings.program, folder, settings.members, disks).await?;
        let fleet = Arc::new(fleet);
        let nemesis = Nemesis::new(Arc::clone(&fleet), recorder.clone());
        let took = settle::whole(&nemesis).await.map_err(SiegeError::Unfit)?;
        recorder.note(format!(
            "{} members vote, {} ms after the last start",
            settings.members,
            took.as_millis()
        ));
        Ok(Self { fleet, nemesis, recorder, bell: Bell::default(), rng: Rng::new(settings.seed) })
    }

    /// Ways to all members, for one client.
    pub(crate) fn links(&self) -> Vec<Link> {
        self.fleet.members.iter().map(|member| member.link()).collect()
    }

    /// A client with randomness of its own that begins at this member.
    pub(crate) fn client(&mut self, at: usize) -> Client {
        let rng = Rng::new(self.rng.next_u64());
        Client::new(self.recorder.clone(), rng, self.bell.clone(), self.links(), at)
    }

    /// Lets members keep the whole history.
    async fn remember_all(&self) -> Result<(), SiegeError> {
        let limits = trireme_mvcc::Limits {
            history_changes: HISTORY_CHANGES,
            history_bytes: HISTORY_BYTES,
            ..trireme_mvcc::Limits::default()
        };
        let call = Propose { proposal: Proposal::new(Entry::Configure(limits)), timeout_ms: 1_500 };
        let unfit = |why: String| SiegeError::Unfit(format!("the limits were not set: {why}"));
        let answer = self.nemesis.control[0].call("store", &call, CALL_DEADLINE).await;
        let committed =
            answer.map_err(|error| unfit(error.to_string()))?.map_err(|e| unfit(e.to_string()))?;
        committed.outcome.map_err(|error| unfit(error.to_string()))?;
        Ok(())
    }

    fn spawn_clients(&mut self, clients: usize, tasks: &mut JoinSet<()>) {
        for number in 0..clients {
            let client = self.client(number);
            tasks.spawn(registers::run(client));
            let client = self.client(number + 1);
            tasks.spawn(lists::run(client));
            let client = self.client(number + 2);
            tasks.spawn(sets::run(client));
        }
        for index in 0..self.fleet.members.len() {
            let member = self.fleet.members[index].link();
            let client = self.client(index);
            tasks.spawn(fenced::run(client, member));
            let (recorder, bell) = (self.recorder.clone(), self.bell.clone());
            tasks.spawn(hashes::run(recorder, bell, self.fleet.members[index].link(), index as u64 + 1));
        }
    }

    fn spawn_watchers(&mut self, end: &watch::Receiver<Option<u64>>) -> JoinSet<Result<(), String>> {
        let mut watchers = JoinSet::new();
        for at in 0..self.fleet.members.len() {
            for (kind, prefix) in PREFIXES.into_iter().enumerate() {
                let watcher = Watcher {
                    number: (at * PREFIXES.len() + kind) as u64 + 1,
                    prefix: prefix.to_owned(),
                    links: self.links(),
                    at,
                    rng: Rng::new(self.rng.next_u64()),
                    recorder: self.recorder.clone(),
                    end: end.clone(),
                };
                watchers.spawn(watcher.run());
            }
        }
        watchers
    }
}

/// Runs one siege under faults in a folder that exists.
pub(crate) async fn run(
    settings: &Settings,
    folder: &Path,
    seconds: u64,
    kinds: &[FaultKind],
) -> Result<(Report, History), SiegeError> {
    let schedule = Schedule::plan(settings.seed, settings.members, seconds, kinds);
    let mut camp = Camp::pitch(settings, folder, kinds.contains(&FaultKind::FullDisk)).await?;
    camp.remember_all().await?;
    let (tell_end, end) = watch::channel(None);
    let mut watchers = camp.spawn_watchers(&end);
    let mut clients = JoinSet::new();
    camp.spawn_clients(settings.clients, &mut clients);

    let begun = tokio::time::Instant::now();
    Arc::clone(&camp.nemesis).run(schedule.clone()).await;
    tokio::time::sleep_until(begun + Duration::from_secs(seconds)).await;

    let mut problems = Vec::new();
    problems.extend(camp.nemesis.heal().await.err());
    camp.nemesis.readmit().await;
    match settle::whole(&camp.nemesis).await {
        Ok(took) => camp.recorder.note(format!("whole again {} ms after healing", took.as_millis())),
        Err(missing) => problems.push(missing),
    }
    let (_, before) = camp.recorder.operations();
    tokio::time::sleep(AFTERNOON).await;
    let (_, behind) = camp.recorder.operations();
    if behind == before {
        problems.push(format!("no operation was acknowledged in {AFTERNOON:?} after healing"));
    }
    camp.bell.ring();
    while clients.join_next().await.is_some() {}
    let mut last = camp.client(0);
    settle::last_reads(&mut last).await;

    let finals = settle::finals(&camp.nemesis, &camp.recorder).await;
    let reached = finals.iter().flatten().map(|status| status.revision.get()).max().unwrap_or(0);
    let revision = reached.max(camp.recorder.highest_revision());
    tell_end.send_replace(Some(revision));
    while let Some(ended) = watchers.join_next().await {
        match ended {
            Ok(Ok(())) => {}
            Ok(Err(problem)) => problems.push(problem),
            Err(error) => problems.push(format!("a watcher failed: {error}")),
        }
    }
    let log = read_truth(&camp, revision, &mut problems).await;
    let mut ended = Vec::new();
    for member in &camp.fleet.members {
        // Looking notes a process that has ended meanwhile.
        let _alive = member.is_running().await;
        ended.extend(member.ended());
    }
    camp.fleet.end().await;
    let (mut history, notes) = camp.recorder.take().map_err(SiegeError::TooManyRecords)?;
    history.log = log;
    Ok(judge(settings, schedule, history, notes, &problems, &ended).await)
}

async fn read_truth(
    camp: &Camp,
    revision: u64,
    problems: &mut Vec<String>,
) -> Vec<trireme_laws::watch::LoggedWrite> {
    let mut failures = Vec::new();
    for link in camp.links() {
        match truth::read(&link, revision).await {
            Ok(told) if told.holes.is_empty() => return told.log,
            Ok(told) => {
                let name = &link.server.name;
                problems.push(format!("a watch of everything at {name} left out revisions {:?}", told.holes));
                return told.log;
            }
            Err(error) => failures.push(error),
        }
    }
    problems.push(format!("no member tells its log: {}", failures.join("; ")));
    Vec::new()
}

async fn judge(
    settings: &Settings,
    schedule: Schedule,
    history: History,
    notes: Vec<String>,
    problems: &[String],
    ended: &[String],
) -> (Report, History) {
    let judged = tokio::task::spawn_blocking(move || (Table::judge(&history, &Limits::default()), history));
    let (mut table, history) = judged.await.expect("checkers do not panic");
    table.add(Check::Recovery, settings.members, problems);
    table.add(Check::Processes, settings.members, ended);
    let count = |matches: fn(&trireme_laws::Outcome) -> bool| {
        history.operations.iter().filter(|operation| matches(&operation.outcome)).count()
    };
    let report = Report {
        seed: settings.seed,
        members: settings.members,
        schedule: Some(schedule),
        notes,
        operations: history.operations.len(),
        acknowledged: count(|outcome| matches!(outcome, trireme_laws::Outcome::Ok { .. })),
        unknown: count(|outcome| matches!(outcome, trireme_laws::Outcome::Unknown)),
        logged: history.log.len(),
        table,
        failover: None,
        history: None,
        failing: None,
    };
    (report, history)
}
