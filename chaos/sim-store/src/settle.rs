//! The end of a run: everything healed, clients silent, last states.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use trireme_laws::Record;
use trireme_laws::convergence::{FinalState, Reached};
use trireme_mvcc::{KeyRange, ListRequest, State};
use trireme_raft::MemberId;
use trireme_raft::store::Store;

use crate::cluster::Cluster;
use crate::recorder::Recorder;
use crate::scribe::{Scribe, fold};

/// How long the members may take to agree once all faults are over, in virtual time.
const AGREEMENT_LIMIT: Duration = Duration::from_secs(40);
/// Pause between two looks.
const LOOK: Duration = Duration::from_millis(50);

/// Tells watchers where the run ends. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct End(Arc<Mutex<(Option<u64>, bool)>>);

impl End {
    /// The last revision, once it is known.
    pub(crate) fn revision(&self) -> Option<u64> {
        self.0.lock().0
    }

    /// Whether nobody waits any longer.
    pub(crate) fn given_up(&self) -> bool {
        self.0.lock().1
    }

    pub(crate) fn at(&self, revision: u64) {
        self.0.lock().0 = Some(revision);
    }

    pub(crate) fn give_up(&self) {
        self.0.lock().1 = true;
    }
}

/// The member that leads in the highest term, as the members themselves say.
pub(crate) fn leader(cluster: &Cluster) -> Option<MemberId> {
    let leads = cluster.present().into_iter().filter_map(|member| {
        let leadership = cluster.look(member, |store| *store.leadership().borrow())?;
        leadership.is_me.then_some((leadership.term, member))
    });
    leads.max().map(|(_, member)| member)
}

/// Waits until somebody leads.
///
/// # Errors
/// Nobody does.
pub(crate) async fn led(cluster: &Cluster) -> Result<(), String> {
    let since = cluster.world.now();
    while leader(cluster).is_none() {
        if Duration::from_nanos(cluster.world.now() - since) > AGREEMENT_LIMIT {
            return Err(format!("nobody leads {AGREEMENT_LIMIT:?} after the last fault"));
        }
        cluster.world.sleep(LOOK).await;
    }
    Ok(())
}

/// Waits until there is a leader, and all its members have applied all it has, to the same end. Members that are not
/// in the membership go.
///
/// # Errors
/// Says what is missing.
pub(crate) async fn agree(cluster: &Cluster) -> Result<Vec<MemberId>, String> {
    let since = cluster.world.now();
    loop {
        let missing = match disagreement(cluster) {
            Ok(members) => {
                for member in cluster.present().into_iter().filter(|member| !members.contains(member)) {
                    cluster.retire(member);
                }
                return Ok(members);
            }
            Err(missing) => missing,
        };
        if Duration::from_nanos(cluster.world.now() - since) > AGREEMENT_LIMIT {
            return Err(format!("the members do not agree after {AGREEMENT_LIMIT:?}: {missing}"));
        }
        cluster.world.sleep(LOOK).await;
    }
}

fn disagreement(cluster: &Cluster) -> Result<Vec<MemberId>, String> {
    let leader = leader(cluster).ok_or("nobody leads")?;
    let ahead = cluster.status(leader).ok_or("the leader is down")?;
    if ahead.committed < ahead.last_index || ahead.applied < ahead.committed {
        return Err(format!("leader {leader} has {} of {} applied", ahead.applied, ahead.last_index));
    }
    for member in ahead.members.keys() {
        let status = cluster.status(*member).ok_or_else(|| format!("member {member} is down"))?;
        if status.applied != ahead.applied || status.term != ahead.term {
            return Err(format!(
                "member {member} is at {} in term {}, leader {leader} at {} in term {}",
                status.applied, status.term, ahead.applied, ahead.term
            ));
        }
    }
    Ok(ahead.members.keys().copied().collect())
}

/// Records the state of every member and looks whether it is sound in itself.
pub(crate) fn finals(cluster: &Cluster, recorder: &Recorder, scribe: &Scribe, members: &[MemberId]) {
    scribe.round();
    for member in members.iter().copied() {
        let looked = cluster.look(member, |store| {
            store.read(|state| {
                let reached = Reached {
                    index: state.applied_index(),
                    revision: state.revision().get(),
                    hash: fold(&state.hash()),
                };
                (reached, unsound(state))
            })
        });
        let (reached, unsound) = looked.map_or((None, None), |(reached, unsound)| (Some(reached), unsound));
        if let Some(what) = unsound {
            recorder.wrong(format!("the state of member {member}: {what}"));
        }
        recorder.push(Record::Final(FinalState { member, at: cluster.world.now(), reached }));
    }
}

/// What contradicts itself in a state.
fn unsound(state: &State) -> Option<String> {
    if let Some(part) = state.hash().difference(&state.recompute_hash()) {
        return Some(format!("the running hash of its {part} is not the hash of what is there"));
    }
    let range = KeyRange::all();
    let request = ListRequest {
        range: &range,
        at: trireme_mvcc::At::Latest,
        after: None,
        limit_objects: usize::MAX,
        limit_bytes: usize::MAX,
    };
    let page = match state.list(&request) {
        Ok(page) => page,
        Err(error) => return Some(error.to_string()),
    };
    page.objects.iter().find_map(|object| {
        let lease = object.lease()?;
        state.lease(lease).is_none().then(|| format!("{} outlives its lease {lease}", object.key()))
    })
}
