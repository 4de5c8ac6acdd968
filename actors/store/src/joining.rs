//! How a member comes into the cluster: founds it, or asks to be taken in, catches up and asks to vote.
//!
//! The joining server drives its own admission and retries until it votes, so no leader has to remember it. All
//! requests are harmless when repeated.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use trireme_bus::IdentityKind;
use trireme_kernel::{CallOptions, Registry};
use trireme_raft::store::{MembershipChange, Role, Store};

use crate::calls::{Admission, Admit, Standing};
use crate::host::{StoreHost, store_path};
use crate::member::Member;

/// Pause between two attempts.
const PAUSE: Duration = Duration::from_millis(100);
/// Pause after a refusal: somebody has to act.
const REFUSED_PAUSE: Duration = Duration::from_secs(2);
/// Pause between two questions whether this member still is one, while no quorum answers.
const CONFIRM_PAUSE: Duration = Duration::from_secs(1);
/// Without a leader for this long a member asks whether it was removed.
const ALONE_LIMIT: Duration = Duration::from_secs(3);
/// How often a voter that does not lead asks in any case. A member that was removed while it was cut off hears nothing
/// any more and goes on believing in its last leader: with pre-votes its term does not move either.
const CONFIRM_EVERY: Duration = Duration::from_secs(10);
/// Longest wait for one answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(7);

/// Runs for as long as the store actor's incarnation does.
pub(crate) async fn keep_standing(host: Arc<StoreHost>, member: Member, registry: Registry) {
    let mut confirmed = false;
    loop {
        let status = member.store.status();
        let role = status.members.get(&member.id).map(|me| me.role);
        match role {
            Some(Role::Voter) if !confirmed && status.members.len() > 1 => {
                let refused = matches!(&*host.standing().borrow(), Standing::Refused { .. });
                if !refused {
                    host.set_standing(Standing::Voter);
                }
                confirmed = confirm(&host, &member, &registry).await;
            }
            Some(Role::Voter) => {
                host.set_standing(Standing::Voter);
                stay(&member).await;
                confirmed = false;
            }
            Some(Role::Learner) => {
                host.set_standing(Standing::Learning);
                promote(&member).await;
                tokio::time::sleep(PAUSE).await;
            }
            None if member.founder && status.last_index == 0 => {
                let founded = member.store.bootstrap(host.parts.me.name()).await;
                // The membership shows in the status a moment later.
                let pause = founded.as_ref().map_or(PAUSE, |()| Duration::from_millis(1));
                if let Err(error) = founded {
                    tracing::warn!(%error, "the cluster is not founded yet");
                }
                tokio::time::sleep(pause).await;
            }
            None => join(&host, &member, &registry, status.last_index == 0).await,
        }
    }
}

/// Asks the others whether this member still is one: its own copy of the membership may be old, and those who were
/// removed are not spoken to any more.
async fn confirm(host: &StoreHost, member: &Member, registry: &Registry) -> bool {
    match ask(host, member, registry, false).await {
        Admission::Member => true,
        Admission::Later(_) => {
            tokio::time::sleep(CONFIRM_PAUSE).await;
            false
        }
        Admission::Refused(why) => {
            host.set_standing(Standing::Refused { why });
            tokio::time::sleep(REFUSED_PAUSE).await;
            false
        }
    }
}

/// A voter stays one until it is removed; it may never hear of that, so this ends when no leader is known for long,
/// and every now and then while another one leads.
async fn stay(member: &Member) {
    let mut leadership = member.store.leadership();
    loop {
        let lost = leadership.wait_for(|now| now.leader.is_none());
        match tokio::time::timeout(CONFIRM_EVERY, lost).await.map(|lost| lost.is_ok()) {
            Ok(true) => {}
            Ok(false) => return tokio::time::sleep(REFUSED_PAUSE).await,
            // Whoever leads hears from a majority, or gives up leading.
            Err(_) if leadership.borrow().is_me => continue,
            Err(_) => return,
        }
        let led = leadership.wait_for(|now| now.leader.is_some());
        if tokio::time::timeout(ALONE_LIMIT, led).await.is_err() {
            return;
        }
    }
}

/// A learner that has everything asks to vote.
async fn promote(member: &Member) {
    let caught_up = member.store.read_index().await;
    let promoted = match caught_up {
        Ok(_) => member.store.change_membership(MembershipChange::Promote(member.id), ANSWER_LIMIT).await,
        Err(error) => Err(error),
    };
    if let Err(error) = promoted {
        tracing::debug!(%error, "not promoted yet");
    }
}

async fn join(host: &StoreHost, member: &Member, registry: &Registry, fresh: bool) {
    match ask(host, member, registry, fresh).await {
        // The log with the membership is on its way.
        Admission::Member => {
            host.admitted.store(true, Ordering::Release);
            host.set_standing(Standing::Joining { why: None });
            tokio::time::sleep(PAUSE).await;
        }
        Admission::Later(why) => {
            host.set_standing(Standing::Joining { why: Some(why) });
            tokio::time::sleep(PAUSE).await;
        }
        Admission::Refused(why) => {
            host.set_standing(Standing::Refused { why });
            tokio::time::sleep(REFUSED_PAUSE).await;
        }
    }
}

/// Asks the other servers in turn until one has a definite answer.
async fn ask(host: &StoreHost, member: &Member, registry: &Registry, fresh: bool) -> Admission {
    let mut why = "no other server is connected".to_owned();
    let peers = host.bus().map(|bus| bus.peers()).unwrap_or_default();
    for peer in peers.into_iter().filter(|report| report.peer.kind == IdentityKind::Server) {
        let admit = Admit {
            machine: host.parts.me.name().to_owned(),
            member: member.id,
            database: member.database.0,
            fresh,
        };
        let path = store_path(&peer.peer.name);
        match registry.call(&path, admit, CallOptions::within(ANSWER_LIMIT)).await {
            Ok(Admission::Later(later)) => why = later,
            Ok(admission) => return admission,
            Err(error) => why = error.to_string(),
        }
    }
    Admission::Later(why)
}
