//! [`StoreActor`]: `/server/<name>/store`, the store's face.
//!
//! Permanent child of the machine's supervisor. It owns the member's life (opens it, adopts it after its own death,
//! opens it anew when it stopped), keeps its standing in the cluster, tells the bus who leads, and answers calls,
//! each in a task of its own. It holds no truth: killed at any moment, it loses the calls in flight (their callers
//! are told so, and repeat them under the same request id) and nothing else.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use trireme_kernel::{ActorSpec, Behaviour, Call, CallOptions, Caller, Context, Registry, Reply, StartError};
use trireme_raft::store::{Committed, Status, Store, StoreError};

use crate::calls::{
    Admission, Admit, ChangeMember, CommitRestore, Get, GetClusterStatus, GetHashesAt, GetIdentity,
    GetStateHash, GetStatus, Got, List, Listed, MemberIdentity, OpenRestore, OpenSnapshot, PlantDivergence,
    Propose, Quarantine, ReadRefused, ReadSnapshot, Restored, SetClock, SetDiskFaults, SnapshotOpened,
    Standing, StoreStatus, TransferLeadership, WriteRestore,
};
use crate::host::{StoreHost, store_path};
use crate::joining::keep_standing;
use crate::member::Member;
use crate::{backup, hashes, membership, read, write};

/// Calls waiting in the mailbox.
const MAILBOX: usize = 16_384;
/// Calls being worked on.
const CALLS_IN_FLIGHT: usize = 16_384;
/// How long a call waits for the database to be opened.
const OPEN_WAIT: Duration = Duration::from_secs(5);
/// Pause before asking again for the name of a leader that the membership does not show yet.
const NAME_PAUSE: Duration = Duration::from_millis(20);
/// How long another member may take to give its numbers.
const STATUS_LIMIT: Duration = Duration::from_secs(2);

/// What the actor receives.
pub enum StoreInput {
    /// The member runs.
    Opened(Box<Member>),
    /// The member cannot be opened, or stopped by itself.
    Down(String),
    /// A proposal.
    Propose(Propose, Reply<Result<Committed, StoreError>>),
    /// A read of one key.
    Get(Get, Reply<Result<Got, ReadRefused>>),
    /// A read of a page.
    List(List, Reply<Result<Listed, ReadRefused>>),
    /// The numbers.
    Status(Reply<StoreStatus>),
    /// The numbers of all members.
    ClusterStatus(Reply<<GetClusterStatus as Call>::Answer>),
    /// The state's hash.
    Hash(GetStateHash, Reply<trireme_mvcc::StateHash>),
    /// The state's hashes at some indexes.
    HashesAt(GetHashesAt, Reply<<GetHashesAt as Call>::Answer>),
    /// This member differs from the majority.
    Quarantine(Quarantine, Reply<bool>),
    /// Make the state depart from the log.
    PlantDivergence(Reply<bool>),
    /// A server asks to be taken in.
    Admit(Caller, Admit, Reply<Admission>),
    /// Who the member is.
    Identity(Reply<MemberIdentity>),
    /// A change of the membership.
    Change(ChangeMember, Reply<Result<(), StoreError>>),
    /// A hand-over of leadership.
    Transfer(TransferLeadership, Reply<Result<(), StoreError>>),
    /// Begin to save.
    OpenSnapshot(Reply<Result<SnapshotOpened, StoreError>>),
    /// A chunk of what is saved.
    ReadSnapshot(ReadSnapshot, Reply<Option<bytes::Bytes>>),
    /// Begin to restore.
    OpenRestore(Reply<u64>),
    /// A chunk of what is restored.
    WriteRestore(WriteRestore, Reply<()>),
    /// Make the disk misbehave.
    DiskFaults(SetDiskFaults, Reply<u64>),
    /// Set the wall clock off.
    Clock(SetClock, Reply<()>),
    /// Restore what was uploaded.
    CommitRestore(CommitRestore, Reply<Result<Restored, StoreError>>),
}

/// See the module.
pub struct StoreActor {
    host: Arc<StoreHost>,
}

impl StoreActor {
    /// The actor called `store` over the process's member.
    pub fn spec(host: Arc<StoreHost>) -> ActorSpec<Self> {
        use StoreInput as I;
        ActorSpec::new("store", move |_| Self { host: Arc::clone(&host) })
            .mailbox(MAILBOX)
            .io_limit(CALLS_IN_FLIGHT)
            .call::<Propose>(I::Propose)
            .call::<Get>(I::Get)
            .call::<List>(I::List)
            .call::<GetStatus>(|_, reply| I::Status(reply))
            .call::<GetClusterStatus>(|_, reply| I::ClusterStatus(reply))
            .call::<GetStateHash>(I::Hash)
            .call_from::<Admit>(|caller, call, reply| I::Admit(caller.clone(), call, reply))
            .call::<GetIdentity>(|_, reply| I::Identity(reply))
            .call::<ChangeMember>(I::Change)
            .call::<TransferLeadership>(I::Transfer)
            .call::<OpenSnapshot>(|_, reply| I::OpenSnapshot(reply))
            .call::<ReadSnapshot>(I::ReadSnapshot)
            .call::<OpenRestore>(|_, reply| I::OpenRestore(reply))
            .call::<WriteRestore>(I::WriteRestore)
            .call::<CommitRestore>(I::CommitRestore)
            .call::<SetDiskFaults>(I::DiskFaults)
            .call::<SetClock>(I::Clock)
            .call::<GetHashesAt>(I::HashesAt)
            .call::<Quarantine>(I::Quarantine)
            .call::<PlantDivergence>(|_, reply| I::PlantDivergence(reply))
    }

    /// Answers in a task, once the member runs.
    fn answer<T, F>(
        &self,
        cx: &mut Context<Self>,
        reply: Reply<T>,
        work: impl FnOnce(Arc<StoreHost>, Member) -> F + Send + 'static,
    ) where
        T: Send + 'static,
        F: Future<Output = Result<T, String>> + Send,
    {
        let host = Arc::clone(&self.host);
        let started = cx.spawn_task(async move {
            let answer = match host.running(OPEN_WAIT).await {
                Ok(member) => work(host, member).await,
                Err(error) => Err(error.to_string()),
            };
            match answer {
                Ok(answer) => reply.answer(answer),
                Err(why) => reply.refuse(why),
            }
        });
        if let Err(limit) = started {
            tracing::warn!(%limit, "a call is dropped");
        }
    }

    fn adopt(&self, member: &Member, cx: &mut Context<Self>) {
        let standing = keep_standing(Arc::clone(&self.host), member.clone(), cx.registry());
        let leader = follow_leader(Arc::clone(&self.host), member.clone(), cx.address());
        let started = cx.spawn_task(standing).and_then(|_| cx.spawn_task(leader));
        if let Err(limit) = started {
            cx.fail(limit.to_string());
        }
    }

    fn status(host: &StoreHost, member: &Member) -> StoreStatus {
        let raft: Status = member.store.status();
        let standing = host.standing().borrow().clone();
        let (machine, database) = (host.parts.me.name().to_owned(), member.database.to_string());
        let leader_scope_term = *host.scope_term.borrow();
        member.store.read(|state| {
            let sizes = state.sizes();
            StoreStatus {
                machine,
                database,
                standing,
                raft,
                leader_scope_term,
                revision: state.revision(),
                compacted: state.compacted(),
                objects: sizes.objects,
                live_bytes: sizes.live_bytes,
                history_changes: sizes.history_changes,
                leases: sizes.leases,
                hash: state.hash(),
            }
        })
    }

    async fn cluster_status(
        host: &StoreHost,
        member: &Member,
        registry: &Registry,
    ) -> <GetClusterStatus as Call>::Answer {
        let own = Self::status(host, member);
        let others = own.raft.members.values().map(|other| other.peer.address.clone());
        let asked = others.filter(|name| *name != own.machine).map(|name| async move {
            let options = CallOptions::within(STATUS_LIMIT);
            let answer = registry.call(&store_path(&name), GetStatus {}, options).await;
            (name, answer.map_err(|error| error.to_string()))
        });
        let mut all: BTreeMap<_, _> = join_all(asked).await.into_iter().collect();
        all.insert(own.machine.clone(), Ok(own));
        all
    }

    fn handle_data(&self, input: StoreInput, cx: &mut Context<Self>) {
        match input {
            StoreInput::Propose(call, reply) => {
                self.answer(
                    cx,
                    reply,
                    move |_, member| async move { Ok(write::propose(&member, call).await) },
                );
            }
            StoreInput::Get(call, reply) => {
                self.answer(cx, reply, move |_, member| async move { Ok(read::get(&member, call).await) });
            }
            StoreInput::List(call, reply) => {
                self.answer(cx, reply, move |_, member| async move { Ok(read::list(&member, call).await) });
            }
            StoreInput::Hash(call, reply) => {
                self.answer(cx, reply, move |_, member| async move { hashes::now(&member, call).await });
            }
            StoreInput::HashesAt(call, reply) => {
                self.answer(cx, reply, move |_, member| async move { Ok(hashes::at(&member, &call).await) });
            }
            StoreInput::Quarantine(call, reply) => self.answer(cx, reply, move |host, member| async move {
                Ok(hashes::quarantine(&host, &member, &call).await)
            }),
            StoreInput::PlantDivergence(reply) => {
                self.answer(cx, reply, move |_, member| async move { Ok(member.store.plant_divergence()) });
            }
            StoreInput::OpenSnapshot(reply) => self.answer(cx, reply, move |host, member| async move {
                let frozen = backup::freeze(&member).await;
                Ok(frozen.and_then(|frozen| host.sessions.lock().open_save(&frozen)))
            }),
            StoreInput::ReadSnapshot(call, reply) => self.answer(cx, reply, move |host, _| async move {
                host.sessions.lock().read_save(call.session, call.index)
            }),
            StoreInput::OpenRestore(reply) => {
                self.answer(cx, reply, move |host, _| async move { host.sessions.lock().open_restore() });
            }
            StoreInput::WriteRestore(call, reply) => self.answer(cx, reply, move |host, _| async move {
                host.sessions.lock().write_restore(call.session, &call.chunk)
            }),
            StoreInput::CommitRestore(call, reply) => {
                self.answer(cx, reply, move |host, member| async move {
                    let uploaded = host.sessions.lock().take_restore(call.session)?;
                    Ok(backup::restore(&member, uploaded).await)
                })
            }
            other => self.handle_members(other, cx),
        }
    }

    fn handle_members(&self, input: StoreInput, cx: &mut Context<Self>) {
        let registry = cx.registry();
        match input {
            StoreInput::Status(reply) => {
                self.answer(cx, reply, move |host, member| async move { Ok(Self::status(&host, &member)) });
            }
            StoreInput::ClusterStatus(reply) => self.answer(cx, reply, move |host, member| async move {
                Ok(Self::cluster_status(&host, &member, &registry).await)
            }),
            StoreInput::Identity(reply) => self.answer(cx, reply, move |_, member| async move {
                Ok(MemberIdentity { member: member.id, database: member.database.0 })
            }),
            StoreInput::Admit(caller, call, reply) => self.answer(cx, reply, move |_, member| async move {
                Ok(membership::admit(&member, &caller, call).await)
            }),
            StoreInput::Change(call, reply) => self.answer(cx, reply, move |_, member| async move {
                Ok(membership::change(&member, &registry, call).await)
            }),
            StoreInput::Transfer(call, reply) => self.answer(cx, reply, move |host, member| async move {
                Ok(membership::transfer(&host, &member, &registry, call).await)
            }),
            // Also while the member is down because of them.
            StoreInput::DiskFaults(call, reply) => reply.answer(self.host.disk.set(call)),
            StoreInput::Clock(call, reply) => {
                self.host.clock.set(call);
                reply.answer(());
            }
            StoreInput::Opened(member) => self.adopt(&member, cx),
            StoreInput::Down(why) => cx.fail(why),
            _ => {}
        }
    }
}

impl Behaviour for StoreActor {
    type Input = StoreInput;

    fn started(&mut self, cx: &mut Context<Self>) -> Result<(), StartError> {
        let host = Arc::clone(&self.host);
        let opening = cx.spawn_io(async move {
            match host.open().await {
                Ok(member) => StoreInput::Opened(Box::new(member)),
                Err(why) => StoreInput::Down(why),
            }
        });
        opening.map(|_| ()).map_err(|limit| StartError(limit.to_string()))
    }

    fn handle(&mut self, input: StoreInput, cx: &mut Context<Self>) {
        self.handle_data(input, cx);
    }

    fn state_name(&self) -> &'static str {
        if self.host.member().is_none() {
            return "opening";
        }
        match *self.host.standing().borrow() {
            Standing::Joining { .. } => "joining",
            Standing::Learning => "learning",
            Standing::Voter => "voter",
            Standing::Refused { .. } => "refused",
        }
    }

    fn label(input: &StoreInput) -> &'static str {
        match input {
            StoreInput::Opened(_) => "opened",
            StoreInput::Down(_) => "down",
            StoreInput::Propose(..) => "propose",
            StoreInput::Get(..) => "get",
            StoreInput::List(..) => "list",
            StoreInput::Status(..) => "status",
            StoreInput::ClusterStatus(..) => "cluster-status",
            StoreInput::Hash(..) => "hash",
            StoreInput::HashesAt(..) => "hashes-at",
            StoreInput::Quarantine(..) => "quarantine",
            StoreInput::PlantDivergence(_) => "plant-divergence",
            StoreInput::Admit(..) => "admit",
            StoreInput::Identity(..) => "identity",
            StoreInput::Change(..) => "change-member",
            StoreInput::Transfer(..) => "transfer",
            StoreInput::OpenSnapshot(..) => "open-snapshot",
            StoreInput::ReadSnapshot(..) => "read-snapshot",
            StoreInput::OpenRestore(..) => "open-restore",
            StoreInput::WriteRestore(..) => "write-restore",
            StoreInput::CommitRestore(..) => "commit-restore",
            StoreInput::DiskFaults(..) => "disk-faults",
            StoreInput::Clock(..) => "clock",
        }
    }
}

/// Tells the bus where `/cluster/..` is, on every change; tells the actor when the member has stopped.
async fn follow_leader(host: Arc<StoreHost>, member: Member, address: trireme_kernel::Address<StoreInput>) {
    let mut leadership = member.store.leadership();
    loop {
        let now = *leadership.borrow_and_update();
        let status = member.store.status();
        if let Some(why) = status.stopped {
            // A full mailbox: the next incarnation looks as well.
            let _full = address.send(StoreInput::Down(format!("the store stopped: {why}")));
            return;
        }
        let leader = now.leader.and_then(|leader| Some(status.members.get(&leader)?.peer.address.clone()));
        if let Some(bus) = host.bus() {
            bus.set_leader(leader.as_deref());
        }
        let unnamed = now.leader.is_some() && leader.is_none();
        tokio::select! {
            changed = leadership.changed() => if changed.is_err() {
                let _full = address.send(StoreInput::Down("the store's core ended".to_owned()));
                return;
            },
            () = tokio::time::sleep(NAME_PAUSE), if unnamed => {}
        }
    }
}
