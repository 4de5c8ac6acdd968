//! Changes of the membership by a server's name: admission, promotion, removal, hand-over of leadership.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use trireme_kernel::{CallOptions, Caller, Registry};
use trireme_raft::store::{MembershipChange, Peer, Role, Status, Store, StoreError};
use trireme_raft::{DatabaseId, MemberId};

use crate::calls::{
    Admission, Admit, ChangeMember, GetIdentity, MemberChange, TIMEOUT_MS_MAX, TransferLeadership,
};
use crate::host::{StoreHost, store_path};
use crate::member::Member;

/// How long one change may take when a server asks for itself.
const ADMIT_LIMIT: Duration = Duration::from_secs(5);
/// How long another server may take to say who its member is.
const IDENTITY_LIMIT: Duration = Duration::from_secs(3);
/// Part of a forwarded hand-over's time that is left for the answer's way back, in milliseconds.
const FORWARD_MARGIN_MS: u64 = 200;
/// How long the leader scope may take to stop before leadership is handed over.
const SCOPE_STOP_LIMIT: Duration = Duration::from_secs(5);

/// Bounds what a caller asks for.
pub(crate) fn limited(timeout_ms: u64) -> Duration {
    Duration::from_millis(timeout_ms.min(TIMEOUT_MS_MAX))
}

/// A server asks to be taken in.
pub(crate) async fn admit(member: &Member, caller: &Caller, call: Admit) -> Admission {
    if !caller.is_local() && caller.as_str() != format!("server:{}", call.machine) {
        return Admission::Refused(format!(
            "{caller} asked for server {}; a server asks for itself",
            call.machine
        ));
    }
    // What this member has applied may be old.
    if let Err(error) = member.store.read_index().await {
        return Admission::Later(error.to_string());
    }
    let status = member.store.status();
    match judge(&status, &call) {
        Some(admission) => admission,
        None => {
            let peer = Peer { address: call.machine.clone(), database: DatabaseId(call.database) };
            let change = MembershipChange::AddLearner(call.member, peer);
            match member.store.change_membership(change, ADMIT_LIMIT).await {
                Ok(()) => Admission::Member,
                Err(error) => Admission::Later(error.to_string()),
            }
        }
    }
}

/// What the membership says of a server that asks; `None`: it can be added.
fn judge(status: &Status, call: &Admit) -> Option<Admission> {
    let Admit { machine, member, database, fresh } = call;
    if let Some(known) = status.members.get(member) {
        let same = known.peer.database == DatabaseId(*database);
        return Some(if same { Admission::Member } else { Admission::Refused(lost_data(machine)) });
    }
    if status.members.values().any(|other| other.peer.address == *machine) {
        return Some(Admission::Refused(lost_data(machine)));
    }
    (!fresh).then(|| {
        Admission::Refused(format!(
            "server {machine} was removed from the cluster: move the folder `store` out of its data folder and start \
             it again to join as a new member"
        ))
    })
}

fn lost_data(machine: &str) -> String {
    format!(
        "server {machine} is a member of the cluster with another database: its data folder was lost or replaced. It \
         must not come back under its old id. Run `trireme raft remove {machine}` on another server, then start \
         {machine} again: it joins as a new member"
    )
}

/// Carries out a change by name.
pub(crate) async fn change(
    member: &Member,
    registry: &Registry,
    call: ChangeMember,
) -> Result<(), StoreError> {
    let limit = limited(call.timeout_ms);
    let change = match call.change {
        MemberChange::Add => added(member, registry, &call.machine).await?,
        MemberChange::Promote => MembershipChange::Promote(find(member, &call.machine).await?.0),
        MemberChange::Remove => {
            let (id, role) = find(member, &call.machine).await?;
            let status = member.store.status();
            let voters = status.members.values().filter(|other| other.role == Role::Voter).count();
            if role == Role::Voter && voters == 1 {
                let why = format!("{} is the only voter; add and promote another server first", call.machine);
                return Err(StoreError::Membership { why });
            }
            MembershipChange::Remove(id)
        }
    };
    member.store.change_membership(change, limit).await
}

async fn added(member: &Member, registry: &Registry, machine: &str) -> Result<MembershipChange, StoreError> {
    if let Ok((id, _)) = find(member, machine).await {
        let why = format!("{machine} is member {id:x} already");
        return Err(StoreError::Membership { why });
    }
    let asked =
        registry.call(&store_path(machine), GetIdentity {}, CallOptions::within(IDENTITY_LIMIT)).await;
    let identity = asked.map_err(|error| StoreError::Membership {
        why: format!("server {machine} does not say who it is ({error}); it must run and be joined first"),
    })?;
    let peer = Peer { address: machine.to_owned(), database: DatabaseId(identity.database) };
    Ok(MembershipChange::AddLearner(identity.member, peer))
}

async fn find(member: &Member, machine: &str) -> Result<(MemberId, Role), StoreError> {
    let search = || {
        let status = member.store.status();
        let mut members = status.members.into_iter();
        members.find(|(_, other)| other.peer.address == machine).map(|(id, other)| (id, other.role))
    };
    if let Some(found) = search() {
        return Ok(found);
    }
    // The membership here may be old.
    member.store.read_index().await?;
    let why = || format!("no member is called {machine}; see `trireme raft status`");
    search().ok_or_else(|| StoreError::Membership { why: why() })
}

/// Hands leadership over; the leader scope stops first. Forwarded to whoever leads.
pub(crate) async fn transfer(
    host: &Arc<StoreHost>,
    member: &Member,
    registry: &Registry,
    call: TransferLeadership,
) -> Result<(), StoreError> {
    let limit = limited(call.timeout_ms);
    let (to, _) = find(member, &call.machine).await?;
    let now = *member.store.leadership().borrow();
    if now.leader == Some(to) {
        return Ok(());
    }
    if !now.is_me {
        return forward(member, registry, now.leader, call, limit).await;
    }
    let _yielding = Yielding::begin(&host.yielding);
    let mut scope = host.scope_term.subscribe();
    let stopped = tokio::time::timeout(SCOPE_STOP_LIMIT, scope.wait_for(Option::is_none)).await.is_ok();
    if !stopped {
        let why = "the leader scope does not stop; nothing was handed over".to_owned();
        return Err(StoreError::Membership { why });
    }
    member.store.transfer_leader(to, limit).await
}

async fn forward(
    member: &Member,
    registry: &Registry,
    leader: Option<MemberId>,
    call: TransferLeadership,
    limit: Duration,
) -> Result<(), StoreError> {
    let status = member.store.status();
    let leader = leader.and_then(|leader| status.members.get(&leader));
    let Some(leader) = leader else { return Err(StoreError::NotLeader { leader: None }) };
    let waited_ms = call.timeout_ms;
    // The leader gives up before this side does, and says why.
    let left = call.timeout_ms.min(TIMEOUT_MS_MAX).saturating_sub(FORWARD_MARGIN_MS).max(1);
    let call = TransferLeadership { timeout_ms: left, ..call };
    let answer = registry.call(&store_path(&leader.peer.address), call, CallOptions::within(limit)).await;
    answer.unwrap_or_else(|error| Err(StoreError::Unavailable { waited_ms, why: error.to_string() }))
}

/// Keeps the leader scope stopped while it lives.
struct Yielding<'a>(&'a watch::Sender<usize>);

impl<'a> Yielding<'a> {
    fn begin(yielding: &'a watch::Sender<usize>) -> Self {
        yielding.send_modify(|count| *count += 1);
        Self(yielding)
    }
}

impl Drop for Yielding<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}
