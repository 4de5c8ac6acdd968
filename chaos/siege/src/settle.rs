//! The end of a siege: everything healed, clients silent, last reads, last states.

use std::time::{Duration, Instant};

use trireme_laws::Record;
use trireme_laws::convergence::{FinalState, Reached};
use trireme_store::calls::{Standing, StoreStatus};

use crate::nemesis::{Nemesis, leader_of, votes};
use crate::recorder::Recorder;
use crate::workload::{Client, epoch, hashes, lists, registers, sets};

/// How long the cluster may take to be whole again.
const RECOVERY_LIMIT: Duration = Duration::from_secs(60);
/// How long members may take to reach the same state once nothing is written.
const CONVERGENCE_LIMIT: Duration = Duration::from_secs(20);
/// Pause between two looks.
const LOOK: Duration = Duration::from_millis(50);
/// Epochs whose keys are read once more at the end.
const EPOCHS_READ: u64 = 4;
/// Keys per epoch that are read once more: the workloads use fewer.
const KEYS_READ: u64 = 4;

/// Waits until all members vote and follow one leader that they all know.
///
/// # Errors
/// Says what is missing.
pub(crate) async fn whole(nemesis: &Nemesis) -> Result<Duration, String> {
    let since = Instant::now();
    let mut asked = Instant::now();
    loop {
        let all = nemesis.look().await;
        let Some(missing) = missing(&all) else { return Ok(since.elapsed()) };
        if since.elapsed() > RECOVERY_LIMIT {
            return Err(format!("the cluster is not whole after {RECOVERY_LIMIT:?}: {missing}"));
        }
        // Members ask to be taken in by themselves; one that cannot is helped now and then.
        if asked.elapsed() > RECOVERY_LIMIT / 6 {
            asked = Instant::now();
            nemesis.readmit().await;
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// What keeps the cluster from being whole: the leader decides who votes, and everybody must be in its term.
fn missing(all: &[Option<StoreStatus>]) -> Option<String> {
    let Some(leader) = leader_of(all) else { return Some("no member leads".to_owned()) };
    let leader_status = all[leader].as_ref().expect("the leader was found by its status");
    let term = leader_status.raft.term;
    let mut missing = Vec::new();
    for (index, status) in all.iter().enumerate() {
        let name = format!("s{}", index + 1);
        match status {
            None => missing.push(format!("{name} does not answer")),
            Some(_) if !votes(all, &name) => missing.push(format!("{name} does not vote")),
            Some(status) if status.standing != Standing::Voter => {
                missing.push(format!("{name} says that it is {:?}", status.standing));
            }
            Some(status) if status.raft.term != term || status.raft.leader != leader_status.raft.leader => {
                let of = status.raft.term;
                missing.push(format!(
                    "{name} is in term {of} under another leader, s{} leads {term}",
                    leader + 1
                ));
            }
            Some(_) => {}
        }
    }
    (!missing.is_empty()).then(|| missing.join(", "))
}

/// Reads what the last epochs left, through this client's members, and gives the last revision seen.
pub(crate) async fn last_reads(client: &mut Client) {
    let now = epoch(client.now());
    for epoch in now.saturating_sub(EPOCHS_READ)..=now {
        for key in 0..KEYS_READ {
            registers::read(client, &format!("r/{epoch}/{key}"), &mut Default::default()).await;
            lists::read_and_record(client, &format!("l/{epoch}/{key}")).await;
        }
        sets::read(client, &format!("s/{epoch}/")).await;
        client.elsewhere();
    }
}

/// Waits until all members have applied the same and records their states, the same or not.
pub(crate) async fn finals(nemesis: &Nemesis, recorder: &Recorder) -> Vec<Option<StoreStatus>> {
    let since = Instant::now();
    loop {
        let all = nemesis.look().await;
        let indexes: std::collections::BTreeSet<_> =
            all.iter().map(|status| status.as_ref().map(|status| status.hash.index)).collect();
        let together = indexes.len() == 1 && !indexes.contains(&None);
        if !together && since.elapsed() < CONVERGENCE_LIMIT {
            tokio::time::sleep(LOOK).await;
            continue;
        }
        for (index, status) in all.iter().enumerate() {
            let member = index as u64 + 1;
            let reached = status.as_ref().map(|status| Reached {
                index: status.hash.index,
                revision: status.revision.get(),
                hash: hashes::fold(&status.hash),
            });
            if let Some(status) = status {
                hashes::push(recorder, member, &status.hash);
            }
            recorder.push(Record::Final(FinalState { member, at: recorder.clock.now(), reached }));
        }
        return all;
    }
}
