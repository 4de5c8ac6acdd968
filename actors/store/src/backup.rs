//! Saving the state into a stream of chunks, and replacing the cluster's content by one.
//!
//! Sessions live in the process, so a restart of the store actor does not break a transfer; each is bounded by its
//! idle time, and there are few. A saved snapshot is a frozen copy that shares its objects with the live state.
//!
//! A restore goes through the log like any write: a mark first, then a jump of the revision counter (every watcher is
//! told to list again), then deletes, leases and puts in bounded transactions, then the mark goes, and a second jump
//! forgets the history in between. While the mark is there members refuse reads and writes from outside, so that
//! nobody sees half of it; a restore that fails half way leaves the mark, and a further restore takes it over. Every
//! transaction is guarded by the mark: of two restores at once only the later one goes on.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use trireme_mvcc::{
    Answer, At, Chunks, ClientId, Entry, Guard, Key, KeyRange, ListRequest, Object, Operation, Proposal,
    Refusal, RequestId, Restore, Revision, Snapshot, State,
};
use trireme_process::random_u64;
use trireme_raft::store::{Store, StoreError};

use crate::calls::{RESTORING_KEY, Restored, SESSION_IDLE_MS, SNAPSHOT_CHUNK_BYTES, SnapshotOpened};
use crate::member::Member;

/// Sessions of each kind at a time.
const SESSIONS_MAX: usize = 4;
/// How far a restore jumps: more revisions than the lost timeline can have written since the snapshot.
const BUMP_REVISIONS: u64 = 1_000_000_000;
/// Operations of one transaction of a restore.
const BATCH_OPERATIONS: usize = 512;
/// Bytes of one transaction of a restore.
const BATCH_BYTES: usize = 1024 * 1024;
/// How long one transaction of a restore may take.
const PROPOSE_LIMIT: Duration = Duration::from_secs(30);

/// What is being transferred.
#[derive(Default)]
pub(crate) struct Sessions {
    saves: BTreeMap<u64, (Instant, Save)>,
    restores: BTreeMap<u64, (Instant, Restore)>,
}

struct Save {
    chunks: Chunks,
    next: u32,
    last: Option<Bytes>,
}

impl Sessions {
    fn sweep(&mut self) {
        let idle = Duration::from_millis(SESSION_IDLE_MS);
        self.saves.retain(|_, (used, _)| used.elapsed() < idle);
        self.restores.retain(|_, (used, _)| used.elapsed() < idle);
    }

    /// Begins to hand out a frozen state.
    pub(crate) fn open_save(&mut self, snapshot: &Arc<Snapshot>) -> Result<SnapshotOpened, StoreError> {
        self.sweep();
        if self.saves.len() >= SESSIONS_MAX {
            return Err(busy("snapshots are being saved"));
        }
        let session = random_u64();
        let save = Save { chunks: snapshot.chunks(SNAPSHOT_CHUNK_BYTES), next: 0, last: None };
        self.saves.insert(session, (Instant::now(), save));
        let meta = snapshot.meta();
        let (revision, applied, objects) = (meta.revision, meta.applied_index, meta.objects);
        Ok(SnapshotOpened { session, revision, applied, objects })
    }

    /// The chunk of this index: the next one, or the last one again.
    pub(crate) fn read_save(&mut self, session: u64, index: u32) -> Result<Option<Bytes>, String> {
        self.sweep();
        let unknown = || "this snapshot session is over (or was idle for too long); open another".to_owned();
        let (used, save) = self.saves.get_mut(&session).ok_or_else(unknown)?;
        *used = Instant::now();
        if index + 1 == save.next {
            return Ok(save.last.clone());
        }
        if index != save.next {
            return Err(format!("chunk {index} was asked for, chunk {} is next", save.next));
        }
        save.last = save.chunks.next();
        save.next += 1;
        let chunk = save.last.clone();
        if chunk.is_none() {
            self.saves.remove(&session);
        }
        Ok(chunk)
    }

    /// Begins to take in a snapshot.
    pub(crate) fn open_restore(&mut self) -> Result<u64, String> {
        self.sweep();
        if self.restores.len() >= SESSIONS_MAX {
            return Err(busy("snapshots are being restored").to_string());
        }
        let session = random_u64();
        self.restores.insert(session, (Instant::now(), Restore::new()));
        Ok(session)
    }

    /// Takes in one chunk.
    pub(crate) fn write_restore(&mut self, session: u64, chunk: &[u8]) -> Result<(), String> {
        self.sweep();
        let (used, restore) = self.restores.get_mut(&session).ok_or_else(no_restore)?;
        *used = Instant::now();
        restore.chunk(chunk).map_err(|error| error.to_string())
    }

    /// The snapshot that was taken in.
    pub(crate) fn take_restore(&mut self, session: u64) -> Result<Restore, String> {
        self.sweep();
        self.restores.remove(&session).map(|(_, restore)| restore).ok_or_else(no_restore)
    }
}

fn no_restore() -> String {
    "this restore session is over (or was idle for too long); begin again".to_owned()
}

fn busy(what: &str) -> StoreError {
    StoreError::Unavailable { waited_ms: 0, why: format!("{SESSIONS_MAX} {what} already; retry later") }
}

/// Freezes the state, as new as a linearizable read sees it.
pub(crate) async fn freeze(member: &Member) -> Result<Arc<Snapshot>, StoreError> {
    member.store.read_index().await?;
    member.store.read(|state| {
        refuse_half_restored(state)?;
        Ok(Arc::new(state.snapshot()))
    })
}

/// While a restore is under way nobody outside sees its content.
pub(crate) fn refuse_half_restored(state: &State) -> Result<(), StoreError> {
    match state.get(RESTORING_KEY.as_bytes()) {
        None => Ok(()),
        Some(_) => Err(StoreError::Unavailable {
            waited_ms: 0,
            why: "a snapshot is being restored (if that was broken off, restore again: trireme raft snapshot restore)"
                .to_owned(),
        }),
    }
}

/// Replaces the cluster's content.
pub(crate) async fn restore(member: &Member, uploaded: Restore) -> Result<Restored, StoreError> {
    let loaded = tokio::task::spawn_blocking(move || uploaded.finish()).await;
    let loaded = loaded.map_err(|error| StoreError::Malformed { why: error.to_string() })?;
    let source = loaded.map_err(|error| StoreError::Malformed { why: error.to_string() })?;
    let born = member.store.read_index().await?;
    let client = ClientId(u128::from(random_u64()) << 64 | u128::from(random_u64()));
    let mut writer = Writer { member, client, born, sequence: 0, mark: None };
    tracing::warn!(revision = %source.revision(), "restoring a snapshot: the cluster's content is being replaced");
    writer.mark().await?;
    let now = member.store.read(State::revision);
    let floor = now.max(source.revision()).get().saturating_add(BUMP_REVISIONS);
    writer.propose(Entry::Bump { floor: Revision::new(floor) }).await?;
    let deleted = writer.delete_others(&source).await?;
    writer.set_leases(&source).await?;
    let objects = writer.put_all(&source).await?;
    writer.transact(&mut vec![Operation::Delete { key: RESTORING_KEY.into() }]).await?;
    member.store.read_index().await?;
    let written = member.store.read(State::revision);
    writer.propose(Entry::Bump { floor: written.next() }).await?;
    Ok(Restored { objects, deleted, revision: written.next() })
}

/// Proposes one after the other, each carried out once.
struct Writer<'a> {
    member: &'a Member,
    client: ClientId,
    born: u64,
    sequence: u64,
    /// Revision of this restore's mark.
    mark: Option<Revision>,
}

impl Writer<'_> {
    /// Puts the mark, over that of a restore that was broken off.
    async fn mark(&mut self) -> Result<(), StoreError> {
        let value = Bytes::from(format!("{:032x}", self.client.0));
        let put = Operation::Put { key: RESTORING_KEY.into(), value, lease: None };
        let marked = self.try_propose(Proposal::transaction(Vec::new(), vec![put]).entry).await??;
        let Answer::Committed { revision, .. } = marked else {
            return Err(StoreError::Malformed { why: "a put was answered as something else".to_owned() });
        };
        self.mark = Some(revision);
        Ok(())
    }

    /// The refusal, if it was refused, is the caller's to judge.
    async fn try_propose(&mut self, entry: Entry) -> Result<Result<Answer, Refusal>, StoreError> {
        self.sequence += 1;
        let request = RequestId {
            client: self.client,
            born: self.born,
            sequence: self.sequence,
            acknowledged: self.sequence - 1,
        };
        let proposal = Proposal::new(entry).with_request(request);
        Ok(self.member.store.propose(proposal, PROPOSE_LIMIT).await?.outcome)
    }

    async fn propose(&mut self, entry: Entry) -> Result<(), StoreError> {
        self.try_propose(entry).await??;
        Ok(())
    }

    async fn transact(&mut self, operations: &mut Vec<Operation>) -> Result<(), StoreError> {
        if operations.is_empty() {
            return Ok(());
        }
        let guard = self.mark.map(|at| Guard::AtRevision(RESTORING_KEY.into(), at));
        let proposal = Proposal::transaction(guard.into_iter().collect(), std::mem::take(operations));
        self.propose(proposal.entry).await
    }

    /// Deletes the keys that the snapshot does not have.
    async fn delete_others(&mut self, source: &State) -> Result<u64, StoreError> {
        let (mut deleted, mut after) = (0, None);
        loop {
            let (others, next) = self.member.store.read(|state| {
                let page = page(state, after.as_ref());
                let others = page.0.iter().filter(|object| {
                    source.get(object.key()).is_none() && **object.key() != *RESTORING_KEY.as_bytes()
                });
                (others.map(|object| object.key().clone()).collect::<Vec<_>>(), page.1)
            });
            deleted += others.len() as u64;
            let mut operations = others.into_iter().map(|key| Operation::Delete { key }).collect();
            self.transact(&mut operations).await?;
            match next {
                Some(next) => after = Some(next),
                None => return Ok(deleted),
            }
        }
    }

    /// Leases of the snapshot get their full time to live; others end.
    async fn set_leases(&mut self, source: &State) -> Result<(), StoreError> {
        let ours: Vec<_> = self.member.store.read(|state| state.leases().map(|lease| lease.id).collect());
        for lease in ours.into_iter().filter(|id| source.lease(*id).is_none()) {
            // One that ended meanwhile is as good.
            let _ended = self.try_propose(Entry::LeaseRevoke { lease }).await?;
        }
        for lease in source.leases() {
            match self.try_propose(Entry::LeaseGrant { lease: lease.id, ttl_ms: lease.ttl_ms }).await? {
                Ok(_) => {}
                Err(Refusal::LeaseExists { lease }) => self.propose(Entry::LeaseRefresh { lease }).await?,
                Err(refusal) => return Err(refusal.into()),
            }
        }
        Ok(())
    }

    async fn put_all(&mut self, source: &State) -> Result<u64, StoreError> {
        let (mut written, mut after) = (0, None);
        loop {
            let (objects, next) = page(source, after.as_ref());
            written += objects.len() as u64;
            let put = |object: &Arc<Object>| Operation::Put {
                key: object.key().clone(),
                value: object.value().clone(),
                lease: object.lease(),
            };
            let mut operations = objects.iter().map(put).collect();
            self.transact(&mut operations).await?;
            match next {
                Some(next) => after = Some(next),
                None => return Ok(written),
            }
        }
    }
}

/// One batch of live objects behind a key, and where the next one begins.
fn page(state: &State, after: Option<&Key>) -> (Vec<Arc<Object>>, Option<Key>) {
    let all = KeyRange::all();
    let (limit_objects, limit_bytes) = (BATCH_OPERATIONS, BATCH_BYTES);
    let request = ListRequest { range: &all, at: At::Latest, after, limit_objects, limit_bytes };
    let page = state.list(&request).expect("the latest revision can always be read");
    let next = page.next_after().cloned();
    (page.objects, next)
}
