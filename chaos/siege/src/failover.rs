//! How long writers wait when the leader is gone.
//!
//! Writers at every member write as fast as they are answered; the leader is harmed round after round. A round's
//! gap is the longest time without an acknowledgement to anybody that touches the time from the harm on: an
//! acknowledgement that was on its way when the leader died does not cut the gap in two.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use trireme_laws::{Action, Answer, History};
use trireme_mvcc::{Key, Operation, Proposal};
use trireme_store::calls::Propose;

use crate::checks::{Check, Table};
use crate::link::Link;
use crate::outcome::Told;
use crate::percentiles::Percentiles;
use crate::recorder::Recorder;
use crate::report::Report;
use crate::run::{Camp, SiegeError};
use crate::settings::Settings;
use crate::settle;
use crate::workload::{Bell, value};

/// Writers at each member.
const WRITERS_PER_MEMBER: usize = 2;
/// How long a writer waits for one answer before it writes the next value elsewhere.
const DEADLINE: Duration = Duration::from_millis(1_000);
/// Writing goes on undisturbed for so long before each round.
const CALM: Duration = Duration::from_millis(700);
/// How long the harm lasts; the gap must be over by then.
const HARM_LASTS: Duration = Duration::from_millis(2_000);
/// The design's limit for the 99th percentile.
const TARGET_P99_MS: f64 = 500.0;

/// What happens to the leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Harm {
    /// SIGKILL.
    Kill,
    /// SIGSTOP.
    Freeze,
}

/// What was measured.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FailoverReport {
    /// What happened to the leader.
    pub harm: Harm,
    /// Rounds carried out.
    pub rounds: usize,
    /// Writers' gaps.
    pub gaps: Option<Percentiles>,
    /// Each gap in milliseconds, in order.
    pub each_ms: Vec<u64>,
    /// Whether the 99th percentile is below 500 ms.
    pub within_target: bool,
}

/// Acknowledgement times of all writers.
#[derive(Clone, Default)]
struct Acknowledged(Arc<Mutex<Vec<u64>>>);

/// Runs the rounds.
pub(crate) async fn run(
    settings: &Settings,
    folder: &Path,
    harm: Harm,
    rounds: u32,
) -> Result<(Report, History), SiegeError> {
    let mut camp = Camp::pitch(settings, folder, false).await?;
    let times = Acknowledged::default();
    let mut writers = JoinSet::new();
    for (index, link) in
        camp.links().into_iter().cycle().take(settings.members * WRITERS_PER_MEMBER).enumerate()
    {
        let writer = Writer {
            key: format!("r/0/{index}"),
            link,
            recorder: camp.recorder.clone(),
            bell: camp.bell.clone(),
            times: times.clone(),
        };
        writers.spawn(writer.run());
    }
    let mut problems = Vec::new();
    let mut gaps = Vec::new();
    for round in 1..=rounds {
        if let Err(missing) = settle::whole(&camp.nemesis).await {
            problems.push(format!("round {round}: {missing}"));
            break;
        }
        tokio::time::sleep(CALM).await;
        match one_round(&camp, harm, &times).await {
            Ok(gap) => gaps.push(gap),
            Err(problem) => problems.push(format!("round {round}: {problem}")),
        }
    }
    camp.bell.ring();
    while writers.join_next().await.is_some() {}
    problems.extend(camp.nemesis.heal().await.err());
    problems.extend(settle::whole(&camp.nemesis).await.err());
    // What was acknowledged must still be there.
    let mut last = camp.client(0);
    for index in 0..settings.members * WRITERS_PER_MEMBER {
        crate::workload::registers::read(&mut last, &format!("r/0/{index}"), &mut Default::default()).await;
    }
    settle::finals(&camp.nemesis, &camp.recorder).await;
    camp.fleet.end().await;
    let ended: Vec<String> = camp.fleet.members.iter().flat_map(|member| member.ended()).collect();
    let (history, notes) = camp.recorder.take().map_err(SiegeError::TooManyRecords)?;
    Ok((report(settings, harm, gaps, &history, notes, &problems, &ended), history))
}

async fn one_round(camp: &Camp, harm: Harm, times: &Acknowledged) -> Result<u64, String> {
    let leader = camp.nemesis.leader().await.ok_or("no member leads")?;
    let member = &camp.fleet.members[leader];
    times.0.lock().clear();
    // The last acknowledgement before the harm must be among the times.
    tokio::time::sleep(CALM).await;
    let at = camp.recorder.clock.now();
    let hit = match harm {
        Harm::Kill => member.kill().await,
        Harm::Freeze => member.freeze().await,
    };
    if !hit {
        return Err(format!("{} was not there to be harmed", member.name));
    }
    tokio::time::sleep(HARM_LASTS).await;
    let until = camp.recorder.clock.now();
    match harm {
        Harm::Kill => drop(member.start(None).await.map_err(|error| error.to_string())?),
        Harm::Freeze => drop(member.thaw().await),
    }
    let gap = longest_gap(&times.0.lock(), at, until);
    camp.recorder.note(format!("{} {harm:?}: gap {} ms", member.name, gap / 1_000_000));
    Ok(gap)
}

/// The longest time without an acknowledgement that ends after `at`, up to `until`. The times are sorted.
fn longest_gap(times: &[u64], at: u64, until: u64) -> u64 {
    let mut sorted: Vec<u64> = times.iter().copied().filter(|time| *time <= until).collect();
    sorted.sort_unstable();
    let first = sorted.partition_point(|time| *time <= at);
    // From the last acknowledgement before the harm (or the harm itself) through all later ones to the end.
    let from = first.checked_sub(1).map_or(at, |before| sorted[before]);
    let mut last = from;
    let mut longest = 0;
    for time in sorted[first..].iter().copied().chain([until]) {
        longest = longest.max(time - last);
        last = time;
    }
    longest
}

struct Writer {
    key: String,
    link: Link,
    recorder: Recorder,
    bell: Bell,
    times: Acknowledged,
}

impl Writer {
    /// One write after the other, always to the same member, as a process that runs beside it would.
    async fn run(self) {
        let mut process = self.recorder.process();
        while !self.bell.rang() {
            let name = self.recorder.value();
            let put =
                Operation::Put { key: Key::from(self.key.as_str()), value: value::encode(name), lease: None };
            let proposal = Proposal::transaction(vec![], vec![put]);
            let timeout_ms = u64::try_from(DEADLINE.as_millis()).expect("a second");
            let call = self.recorder.clock.now();
            let answer = self.link.call("store", &Propose { proposal, timeout_ms }, DEADLINE).await;
            let told = Told::of(answer);
            let now = self.recorder.clock.now();
            if let Told::Done(_) = told {
                self.times.0.lock().push(now);
            }
            let doubt = matches!(told, Told::Unsure(_));
            self.recorder.operation(trireme_laws::Operation {
                process,
                call,
                returned: (!doubt).then_some(now),
                key: self.key.clone(),
                action: Action::Write { value: name },
                outcome: told.outcome(Answer::Done),
            });
            if doubt {
                process = self.recorder.process();
            }
            if !matches!(told, Told::Done(_)) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    }
}

fn report(
    settings: &Settings,
    harm: Harm,
    gaps: Vec<u64>,
    history: &History,
    notes: Vec<String>,
    problems: &[String],
    ended: &[String],
) -> Report {
    let mut table = Table::judge(history, &trireme_laws::Limits::default());
    // Writers alone leave no lists, sets, watches or fenced writes: those laws are not on trial here.
    table.rows.retain(|row| row.records > 0);
    table.add(Check::Recovery, settings.members, problems);
    table.add(Check::Processes, settings.members, ended);
    let each_ms = gaps.iter().map(|gap| gap / 1_000_000).collect();
    let rounds = gaps.len();
    let gaps = Percentiles::of(gaps);
    let within_target = gaps.is_some_and(|gaps| gaps.p99_ms < TARGET_P99_MS);
    let acknowledged = history.operations.iter().filter(|operation| operation.is_acknowledged()).count();
    let unknown = history.operations.iter().filter(|op| op.outcome == trireme_laws::Outcome::Unknown).count();
    Report {
        seed: settings.seed,
        members: settings.members,
        schedule: None,
        notes,
        operations: history.operations.len(),
        acknowledged,
        unknown,
        logged: 0,
        table,
        failover: Some(FailoverReport { harm, rounds, gaps, each_ms, within_target }),
        history: None,
        failing: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_acknowledgement_on_its_way_does_not_hide_the_gap() {
        // Harm at 100; one straggler at 105, service again at 400.
        let times = [10, 50, 95, 105, 400, 410, 480];
        assert_eq!(longest_gap(&times, 100, 500), 295);
    }

    #[test]
    fn the_gap_begins_with_the_last_acknowledgement_before_the_harm() {
        assert_eq!(longest_gap(&[10, 90, 300, 310], 100, 320), 210);
    }

    #[test]
    fn a_service_that_never_comes_back_is_a_gap_to_the_end() {
        assert_eq!(longest_gap(&[10, 90], 100, 2_000), 1_910);
        assert_eq!(longest_gap(&[], 100, 2_000), 1_900);
    }
}
