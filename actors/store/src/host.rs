//! [`StoreHost`]: the process's slot for its Raft member.
//!
//! The member lives here and not in the actor: opening a database replays its log, and a leader that reopens costs
//! the cluster an election, so a killed or panicked actor must not take it along. The next incarnation finds the
//! member running and adopts it. A member that stopped by itself (its disk failed) is closed and opened anew, which
//! reads what the disk really has. Like the bus's sessions, the member and its watches belong to the process.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::watch;
use trireme_bus::Bus;
use trireme_kernel::ActorPath;
use trireme_pki::{IdentityKind, IdentityName};
use trireme_raft::store::{RaftStore, Store, StoreConfig, StoreError};
use trireme_raft::{ClusterId, Database, IdentityError, LogKind, MemberId, OpenError};

use crate::backup::Sessions;
use crate::bus_transport::BusTransport;
use crate::calls::Standing;
use crate::clock_fault::ClockFault;
use crate::disk_faults::FaultyDisk;
use crate::host_error::HostError;
use crate::inbox::RaftInbox;
use crate::member::Member;
use crate::member_file::MemberFile;

/// How long a stopping leader waits for another member to take over.
const HAND_OVER: Duration = Duration::from_millis(700);
/// Time between two attempts to open a database that its former user has not let go of yet.
const LOCK_RETRY: Duration = Duration::from_millis(20);
/// Attempts to open such a database.
const LOCK_RETRIES: u32 = 250;

/// What a host is made of.
pub struct HostParts {
    /// This machine; a server.
    pub me: IdentityName,
    /// The cluster's name; its database names the same cluster.
    pub cluster: String,
    /// The database's folder, as `<data-dir>/store`.
    pub dir: PathBuf,
    /// The file that says which member this is, as `<data-dir>/store.json`.
    pub member_file: PathBuf,
    /// No other server is known: a server without a database founds a cluster.
    pub alone: bool,
    /// Timing of Raft.
    pub config: StoreConfig,
    /// The I/O runtime.
    pub io: Handle,
}

/// See the module. Shared by the store actor, the bus's service, the leader scope and everyone who reads.
pub struct StoreHost {
    pub(crate) parts: HostParts,
    bus: OnceLock<Bus>,
    phase: watch::Sender<Phase>,
    standing: watch::Sender<Standing>,
    /// The cluster has said that this member is one.
    pub(crate) admitted: AtomicBool,
    /// The term for which the leader scope runs.
    pub(crate) scope_term: watch::Sender<Option<u64>>,
    /// How many hand-overs are under way; the scope must not run meanwhile.
    pub(crate) yielding: watch::Sender<usize>,
    pub(crate) inbox: RaftInbox,
    pub(crate) disk: FaultyDisk,
    pub(crate) clock: ClockFault,
    pub(crate) sessions: Mutex<Sessions>,
}

#[derive(Clone)]
enum Phase {
    Closed,
    Opening,
    Running(Box<Member>),
    Failed {
        why: String,
        /// It may pass by itself: worth another try, and no reason to give up.
        passing: bool,
    },
}

impl StoreHost {
    /// A host whose member is not open yet.
    pub fn new(parts: HostParts) -> Arc<Self> {
        Arc::new(Self {
            inbox: RaftInbox::new(parts.io.clone()),
            disk: FaultyDisk::new(parts.io.clone()),
            clock: ClockFault::new(parts.io.clone()),
            parts,
            bus: OnceLock::new(),
            phase: watch::Sender::new(Phase::Closed),
            standing: watch::Sender::new(Standing::Joining { why: None }),
            admitted: AtomicBool::new(false),
            scope_term: watch::Sender::new(None),
            yielding: watch::Sender::new(0),
            sessions: Mutex::default(),
        })
    }

    /// Tells the host the bus that its messages travel on. The first one stays.
    pub fn set_bus(&self, bus: Bus) {
        // A second bus would be another process.
        let _first = self.bus.set(bus);
    }

    pub(crate) fn bus(&self) -> Option<&Bus> {
        self.bus.get()
    }

    /// The path of this machine's store actor.
    pub fn path(&self) -> ActorPath {
        store_path(self.parts.me.name())
    }

    /// The member, when it runs.
    pub fn member(&self) -> Option<Member> {
        match &*self.phase.borrow() {
            Phase::Running(member) => Some((**member).clone()),
            Phase::Closed | Phase::Opening | Phase::Failed { .. } => None,
        }
    }

    /// The member, once it runs.
    ///
    /// # Errors
    /// Why it does not within `limit`.
    pub async fn running(&self, limit: Duration) -> Result<Member, StoreError> {
        if let Some(member) = self.member() {
            return Ok(member);
        }
        let mut phase = self.phase.subscribe();
        let opened =
            tokio::time::timeout(limit, phase.wait_for(|phase| matches!(phase, Phase::Running(_)))).await;
        match opened {
            Ok(_) => self.member().ok_or_else(|| self.not_running(limit)),
            Err(_) => Err(self.not_running(limit)),
        }
    }

    fn not_running(&self, waited: Duration) -> StoreError {
        let why = match &*self.phase.borrow() {
            Phase::Failed { why, .. } => why.clone(),
            Phase::Closed | Phase::Opening | Phase::Running(_) => "the database is being opened".to_owned(),
        };
        let waited_ms = u64::try_from(waited.as_millis()).unwrap_or(u64::MAX);
        StoreError::Unavailable { waited_ms, why }
    }

    /// How far this member has come.
    pub fn standing(&self) -> watch::Receiver<Standing> {
        self.standing.subscribe()
    }

    /// Whether the open member has never been part of the cluster: its log is empty and nobody has taken it in. Of one
    /// that is still being opened nothing can be said.
    pub fn never_admitted(&self) -> bool {
        let admitted = self.admitted.load(Ordering::Acquire);
        !admitted && self.member().is_some_and(|member| member.store.status().last_index == 0)
    }

    pub(crate) fn set_standing(&self, standing: Standing) {
        self.standing.send_if_modified(|before| {
            let changed = *before != standing;
            if changed {
                match &standing {
                    Standing::Refused { why } => tracing::error!(why, "this server's store is refused"),
                    standing => tracing::info!(?standing, "store"),
                }
                *before = standing;
            }
            changed
        });
    }

    /// Opens the member unless it runs; gives it once it does. The work goes on when the caller is gone.
    ///
    /// # Errors
    /// Why it cannot be opened, and what to do.
    pub(crate) async fn open(self: &Arc<Self>) -> Result<Member, String> {
        let mut phase = self.phase.subscribe();
        let start = self.phase.send_if_modified(|phase| {
            let start = match phase {
                Phase::Closed | Phase::Failed { .. } => true,
                Phase::Running(member) => member.store.status().stopped.is_some(),
                Phase::Opening => false,
            };
            if start {
                if let Phase::Running(member) = &phase {
                    let why = member.store.status().stopped;
                    tracing::error!(?why, "the store stopped; it is opened anew");
                    member.finish();
                    self.parts.io.spawn(end(member.store.clone()));
                }
                *phase = Phase::Opening;
            }
            start
        });
        if start {
            self.inbox.detach();
            let host = Arc::clone(self);
            self.parts.io.spawn(async move {
                let opened = host.open_member().await;
                let phase = match opened {
                    Ok(member) => {
                        host.inbox.attach(member.store.service());
                        Phase::Running(Box::new(member))
                    }
                    Err(error) => Phase::Failed { why: error.to_string(), passing: error.is_passing() },
                };
                host.phase.send_replace(phase);
            });
        }
        let settled = phase.wait_for(|phase| !matches!(phase, Phase::Opening | Phase::Closed)).await;
        match settled.map(|phase| phase.clone()) {
            Ok(Phase::Running(member)) => Ok(*member),
            Ok(Phase::Failed { why, passing }) => {
                self.set_standing(match passing {
                    true => Standing::Joining { why: Some(why.clone()) },
                    false => Standing::Refused { why: why.clone() },
                });
                Err(why)
            }
            Ok(Phase::Closed | Phase::Opening) | Err(_) => Err("the store was closed".to_owned()),
        }
    }

    async fn open_member(self: &Arc<Self>) -> Result<Member, HostError> {
        let host = Arc::clone(self);
        let opened = tokio::task::spawn_blocking(move || host.open_database()).await;
        let (database, founder) = opened.map_err(|error| HostError::Task(error.to_string()))??;
        let identity = database.identity;
        let transport = Arc::new(BusTransport::new(self));
        let store = RaftStore::start(database, transport, self.parts.config.clone()).await?;
        Ok(Member::of(store, identity, founder))
    }

    fn open_database(&self) -> Result<(Database, bool), HostError> {
        let HostParts { dir, member_file, .. } = &self.parts;
        let cluster = cluster_id(&self.parts.cluster);
        let known = MemberFile::load(member_file)?;
        let file = known.unwrap_or_else(|| MemberFile::fresh(self.parts.alone));
        if let Some(why) = file.quarantined.as_ref().filter(|_| dir.exists()) {
            return Err(HostError::Lost(why.clone()));
        }
        match self.open_existing(cluster, file.member) {
            Ok(database) => {
                if !file.created {
                    MemberFile { created: true, ..file.clone() }.save(member_file)?;
                }
                return Ok((database, file.founder));
            }
            Err(OpenError::Identity(IdentityError::Absent { .. })) => {}
            Err(error) => return Err(error.into()),
        }
        let file = match file {
            MemberFile { created: false, .. } => file,
            MemberFile { member, .. } if self.parts.alone => {
                return Err(HostError::Lost(format!(
                    "{} is empty, but this server was member {member:x} of cluster {}: its data is lost. Restore the \
                     folder from a backup of the disk; or found a new cluster with an empty --data-dir and load a \
                     saved snapshot into it (trireme raft snapshot restore FILE)",
                    dir.display(),
                    self.parts.cluster
                )));
            }
            // Under a new id: the cluster takes it in once the old member is removed there.
            MemberFile { .. } => MemberFile::fresh(false),
        };
        file.save(member_file)?;
        let disk_error = |source| OpenError::Io { what: "drawing an id", dir: dir.clone(), source };
        let identity =
            Database::new_identity(cluster, file.member, LogKind::default()).map_err(disk_error)?;
        let database = Database::create(self.disk.disk(), dir, identity)?;
        let founder = file.founder;
        MemberFile { created: true, ..file }.save(member_file)?;
        Ok((database, founder))
    }

    /// Opens what is there, waiting for a former user in this process to let go of it.
    fn open_existing(&self, cluster: ClusterId, member: MemberId) -> Result<Database, OpenError> {
        let mut retries = 0;
        loop {
            match Database::open(self.disk.disk(), &self.parts.dir, cluster, member) {
                Err(OpenError::Locked { .. }) if retries < LOCK_RETRIES => {
                    retries += 1;
                    std::thread::sleep(LOCK_RETRY);
                }
                opened => return opened,
            }
        }
    }

    /// Before this process ends: stops leading, handing over to another voter where there is one.
    pub async fn hand_over(&self) {
        let Some(member) = self.member() else { return };
        self.yielding.send_modify(|count| *count += 1);
        hand_over(&member).await;
    }

    /// Stops Raft here, when the actors are gone. What was acknowledged is durable with or without this.
    pub async fn close(&self) {
        let Some(member) = self.member() else { return };
        self.inbox.detach();
        self.phase.send_replace(Phase::Closed);
        member.finish();
        member.store.shutdown().await;
    }

    /// Stops serving for good: this member's state is not what the log says. Also a new process refuses the database.
    pub(crate) async fn quarantine(&self, member: &Member, why: String) {
        // What is wrong is not served a moment longer. Nobody opens it again either before the file says why not.
        self.inbox.detach();
        self.phase.send_replace(Phase::Opening);
        tracing::error!(why, "this server stops serving");
        let path = &self.parts.member_file;
        let kept = MemberFile::load(path).and_then(|file| match file {
            Some(file) => MemberFile { quarantined: Some(why.clone()), ..file }.save(path),
            None => Ok(()),
        });
        if let Err(error) = kept {
            tracing::error!(%error, "a restart of this server will not know of it; the next comparison will");
        }
        self.phase.send_replace(Phase::Failed { why: why.clone(), passing: false });
        self.set_standing(Standing::Refused { why });
        member.finish();
        member.store.shutdown().await;
    }
}

async fn end(store: RaftStore) {
    store.shutdown().await;
}

/// Asks the voter that is furthest to lead, and waits a little until it does.
async fn hand_over(member: &Member) {
    if !member.store.leadership().borrow().is_me {
        return;
    }
    let status = member.store.status();
    let voters = status.members.iter().filter(|(id, other)| {
        **id != member.id && other.role == trireme_raft::store::Role::Voter && other.matched.is_some()
    });
    let Some((to, _)) = voters.max_by_key(|(_, other)| other.matched) else { return };
    if let Err(error) = member.store.transfer_leader(*to, HAND_OVER).await {
        tracing::warn!(%error, "leadership was not handed over in time; the others will elect");
    }
}

/// The store actor of a server.
pub fn store_path(machine: &str) -> ActorPath {
    let me = IdentityName::new(IdentityKind::Server, machine);
    let path = me.map(|me| format!("/{me}/store")).unwrap_or_default();
    path.parse().unwrap_or_else(|_| ActorPath::root())
}

/// The database's name for a cluster: its name's FNV-1a hash of 128 bits.
fn cluster_id(name: &str) -> ClusterId {
    const OFFSET: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    ClusterId(name.bytes().fold(OFFSET, |hash, byte| (hash ^ u128::from(byte)).wrapping_mul(PRIME)))
}
