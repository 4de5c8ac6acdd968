//! [`Machine`]: openraft's state machine over `trireme_mvcc`.
//!
//! The state counts log entries from 1 and openraft from 0: entry `i` of the log is entry `i + 1` of the state.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use openraft::storage::{EntryResponder, RaftSnapshotBuilder, RaftStateMachine, Snapshot};
use openraft::{EntryPayload, OptionalSend};
use parking_lot::Mutex;
use tokio::sync::mpsc;
use trireme_mvcc::{Delta, Entry as Change, Loader, Outcome, Proposal, Snapshot as StateSnapshot, State};

use super::codec;
use super::log_writer::DirLock;
use super::persister::Persister;
use super::shared::Shared;
use super::snapshot_file::{SnapshotDir, SnapshotFile};
use super::snapshot_rhythm::Rhythm;
use super::tail::size_bytes;
use super::types::{Entry, LogId, SnapshotMeta, StoredMembership, TypeConfig};
use crate::disk::{Reserve, is_no_space};
use crate::rt;
use crate::state_db::StateDb;

/// Entries applied under one lock.
const APPLY_ENTRIES: usize = 256;

/// The applied state, as openraft drives it.
pub(super) struct Machine {
    shared: Arc<Shared>,
    persister: Persister,
    snapshots: SnapshotDir,
    reserve: Option<Arc<Reserve>>,
    position: Position,
    rhythm: Rhythm,
    /// Behind the persister, so that it is released after the last write.
    _lock: Option<DirLock>,
}

/// What openraft wants to know of the applied state beside its content.
type Position = (Option<LogId>, StoredMembership);

impl Machine {
    /// Loads the stored state. One that does not load is emptied: openraft then restores the snapshot and replays
    /// the log.
    pub(super) fn open(
        db: Arc<dyn StateDb>,
        snapshots: SnapshotDir,
        reserve: Option<Arc<Reserve>>,
        lock: Option<DirLock>,
        snapshot_entries: u64,
    ) -> io::Result<(Self, mpsc::Receiver<()>)> {
        let (state, position) = match load(db.as_ref()) {
            Ok(Some(loaded)) => loaded,
            Ok(None) => {
                db.clear().map_err(io::Error::other)?;
                (State::new(), Position::default())
            }
            Err(why) => {
                tracing::warn!(why, "the stored state is rebuilt from the snapshot and the log");
                db.clear().map_err(io::Error::other)?;
                (State::new(), Position::default())
            }
        };
        let shared = Shared::new(state);
        let persister = Persister::start(db, shared.clone())?;
        let since = position.0.map_or(0, |id| id.index.saturating_sub(snapshots.newest_index()));
        let (rhythm, due) = Rhythm::new(snapshot_entries, since);
        Ok((Self { shared, persister, snapshots, reserve, position, rhythm, _lock: lock }, due))
    }

    pub(super) fn shared(&self) -> Arc<Shared> {
        self.shared.clone()
    }

    /// The stored state may be ahead of the stored log: a leader applies what the others have made durable before its
    /// own disk has. openraft then gives the log up to there up, which needs a snapshot from there.
    pub(super) async fn cover_hole(&mut self, last: Option<LogId>) -> io::Result<()> {
        let Some(applied) = self.position.0.filter(|applied| Some(*applied) > last) else { return Ok(()) };
        if self.snapshots.newest_index() >= applied.index {
            return Ok(());
        }
        tracing::info!(%applied, "the state is ahead of the log: a snapshot takes the place of what is missing");
        self.get_snapshot_builder().await.build_snapshot().await.map(drop)
    }

    fn apply_chunk(
        &mut self,
        chunk: Vec<Result<EntryResponder<TypeConfig>, io::Error>>,
    ) -> Result<Vec<Answer>, io::Error> {
        let position = &mut self.position;
        let (entries, mut bytes, mut state_bytes) = (chunk.len() as u64, 0, 0);
        let answers = self.persister.apply(|state, delta| {
            let mut answers = Vec::with_capacity(chunk.len());
            for item in chunk {
                let (entry, responder) = item?;
                bytes += size_bytes(&entry) as u64;
                let outcome = apply_one(state, delta, &entry)?;
                position.0 = Some(entry.log_id);
                if let EntryPayload::Membership(membership) = entry.payload {
                    position.1 = StoredMembership::new(Some(entry.log_id), membership);
                }
                answers.push((responder, outcome));
            }
            state_bytes = state.sizes().live_bytes;
            Ok::<_, io::Error>((Bytes::from(codec::encode(position)), answers))
        })?;
        self.rhythm.applied(entries, bytes, state_bytes);
        Ok(answers)
    }
}

type Answer = (Option<openraft::storage::ApplyResponder<TypeConfig>>, Option<Outcome>);

fn apply_one(state: &mut State, delta: &mut Delta, entry: &Entry) -> Result<Option<Outcome>, io::Error> {
    let blank = Proposal::new(Change::Noop);
    let (proposal, asked) = match &entry.payload {
        EntryPayload::Normal(command) => (command.0.as_ref(), true),
        EntryPayload::Blank | EntryPayload::Membership(_) => (&blank, false),
    };
    let (index, term) = (entry.log_id.index + 1, *entry.log_id.leader_id);
    let outcome = state.apply(index, term, proposal, delta).map_err(io::Error::other)?;
    Ok(asked.then_some(outcome))
}

fn load(db: &dyn StateDb) -> Result<Option<(State, Position)>, String> {
    let Some(applied) = db.applied() else { return Ok(None) };
    let position: Position = codec::decode(&applied.context).map_err(|e| e.to_string())?;
    let (mut loader, mut refused) = (Loader::new(), None);
    db.load(&mut |name, value| {
        if let Err(error) = loader.record(&name, &value) {
            refused.get_or_insert(error);
        }
    })
    .map_err(|e| e.to_string())?;
    if let Some(error) = refused {
        return Err(error.to_string());
    }
    let state = loader.finish().map_err(|e| e.to_string())?;
    let expected = position.0.map_or(0, |id| id.index + 1);
    if state.applied_index() != expected {
        return Err(format!("applied up to {}, the mark says {expected}", state.applied_index()));
    }
    Ok(Some((state, position)))
}

impl RaftStateMachine<TypeConfig> for Machine {
    type SnapshotData = SnapshotFile;
    type SnapshotBuilder = Builder;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembership), io::Error> {
        Ok(self.position.clone())
    }

    async fn apply<Strm>(&mut self, entries: Strm) -> Result<(), io::Error>
    where
        Strm: Stream<Item = Result<EntryResponder<TypeConfig>, io::Error>> + Unpin + OptionalSend,
    {
        let mut chunks = entries.ready_chunks(APPLY_ENTRIES);
        while let Some(chunk) = chunks.next().await {
            self.persister.wait_room().await;
            let answers = self.apply_chunk(chunk)?;
            if self.shared.has_woken() {
                // Watchers first: who is answered and asks a watcher's view finds the write in it, nearly always.
                tokio::task::yield_now().await;
            }
            for (responder, outcome) in answers {
                if let Some(responder) = responder {
                    responder.send(outcome);
                }
            }
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Self::SnapshotBuilder {
        let state = Arc::new(self.shared.read(State::snapshot));
        let (last_log_id, last_membership) = self.position.clone();
        self.rhythm.taken();
        Builder {
            meta: SnapshotMeta { last_log_id, last_membership },
            state: Mutex::new(Some(state)),
            snapshots: self.snapshots.clone(),
            reserve: self.reserve.clone(),
        }
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta,
        snapshot: SnapshotFile,
    ) -> Result<(), io::Error> {
        let (snapshots, meta) = (self.snapshots.clone(), meta.clone());
        self.position = (meta.last_log_id, meta.last_membership.clone());
        let restored = rt::blocking(move || {
            let state = snapshot.restore()?;
            snapshots.publish(snapshot, &meta)?;
            Ok::<_, io::Error>(state)
        });
        let state = restored.await??;
        self.persister.replace(state, codec::encode(&self.position).into());
        self.rhythm.taken();
        Ok(())
    }

    async fn get_current_snapshot(
        &mut self,
    ) -> Result<Option<openraft::type_config::alias::SnapshotOf<TypeConfig, SnapshotFile>>, io::Error> {
        let snapshots = self.snapshots.clone();
        let current = rt::blocking(move || snapshots.current()).await??;
        Ok(current.map(|(meta, snapshot)| Snapshot { meta, snapshot }))
    }
}

/// Writes one snapshot: the state as it was when the builder was made.
pub(super) struct Builder {
    meta: SnapshotMeta,
    state: Mutex<Option<Arc<StateSnapshot>>>,
    snapshots: SnapshotDir,
    reserve: Option<Arc<Reserve>>,
}

impl RaftSnapshotBuilder<TypeConfig> for Builder {
    type SnapshotData = SnapshotFile;

    async fn build_snapshot(
        &mut self,
    ) -> Result<openraft::type_config::alias::SnapshotOf<TypeConfig, SnapshotFile>, io::Error> {
        let state =
            self.state.lock().take().ok_or_else(|| io::Error::other("this snapshot was built already"))?;
        let (snapshots, meta, reserve) = (self.snapshots.clone(), self.meta.clone(), self.reserve.clone());
        let written = rt::aside(move || match snapshots.write(&meta, state.clone()) {
            // A snapshot lets the log be purged: on a full disk it may use the reserve.
            Err(error) if is_no_space(&error) => match &reserve {
                Some(reserve) if reserve.release()? => snapshots.write(&meta, state),
                _ => Err(error),
            },
            written => written,
        });
        let snapshot = written.await??;
        Ok(Snapshot { meta: self.meta.clone(), snapshot })
    }
}
