//! The receiving side: checks whom a message is from and for, and hands it to Raft.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{StreamExt, stream};
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse};
use openraft::storage::Snapshot;
use openraft::vote::RaftLeaderId;
use parking_lot::Mutex;

use super::codec;
use super::error::StoreError;
use super::member::Inner;
use super::snapshot_file::{SnapshotDir, SnapshotFile};
use super::transport::{Duplex, RaftService};
use super::types::{SnapshotMeta, TypeConfig, Vote};
use super::wire::{Answer, Ask, Envelope, Reply, Wish};
use crate::rt;

/// Longest that a forwarded proposal may wait here.
const FORWARD_LIMIT: Duration = Duration::from_secs(60);
/// How long a heartbeat waits for what came before it to be durable. A small part of a heartbeat interval.
const DURABLE_PATIENCE: Duration = Duration::from_millis(5);

/// The snapshot that is being received. One at a time: a new one ends the one before, the same goes on.
pub(super) struct Incoming {
    snapshots: SnapshotDir,
    current: Mutex<Option<Transfer>>,
}

struct Transfer {
    meta: SnapshotMeta,
    size_bytes: u64,
    file: SnapshotFile,
}

impl Incoming {
    pub(super) fn new(snapshots: SnapshotDir) -> Self {
        Self { snapshots, current: Mutex::new(None) }
    }

    /// Where the transfer goes on.
    fn begin(&self, meta: SnapshotMeta, size_bytes: u64) -> std::io::Result<u64> {
        let mut current = self.current.lock();
        if let Some(transfer) = current.as_ref().filter(|t| t.meta == meta && t.size_bytes == size_bytes) {
            return Ok(transfer.file.size_bytes());
        }
        if let Some(given_up) = current.take() {
            self.snapshots.discard(&given_up.file)?;
        }
        let file = self.snapshots.incoming()?;
        *current = Some(Transfer { meta, size_bytes, file });
        Ok(0)
    }

    /// Takes a part if it is the one that is due; answers what is due now.
    fn part(&self, offset: u64, data: &[u8]) -> std::io::Result<Option<u64>> {
        let mut current = self.current.lock();
        let Some(transfer) = current.as_mut() else { return Ok(None) };
        let end = offset + data.len() as u64;
        if offset == transfer.file.size_bytes() && end <= transfer.size_bytes {
            transfer.file.write_part(data)?;
        }
        Ok(Some(transfer.file.size_bytes()))
    }

    /// The complete file, checked frame by frame.
    fn end(&self, meta: &SnapshotMeta) -> std::io::Result<Option<SnapshotFile>> {
        let Some(transfer) = self.current.lock().take() else { return Ok(None) };
        if transfer.meta != *meta || transfer.file.size_bytes() != transfer.size_bytes {
            self.snapshots.discard(&transfer.file)?;
            return Ok(None);
        }
        if let Err(damaged) = transfer.file.verify() {
            self.snapshots.discard(&transfer.file)?;
            return Err(damaged);
        }
        Ok(Some(transfer.file))
    }
}

impl RaftService for Inner {
    fn serve(&self, body: Bytes) -> BoxFuture<'static, Bytes> {
        let Some(me) = self.me.upgrade() else { return Box::pin(async { stopped() }) };
        Box::pin(async move {
            let reply = match me.open(&body) {
                Ok(ask) => me.answer(ask).await,
                Err(error) => Err(error),
            };
            codec::encode(&reply).into()
        })
    }

    fn serve_stream(&self, stream: Duplex) -> BoxFuture<'static, ()> {
        let Some(me) = self.me.upgrade() else { return Box::pin(async {}) };
        Box::pin(async move { me.serve_appends(stream).await })
    }
}

fn stopped() -> Bytes {
    let reply: Reply = Err(StoreError::Stopped { why: "the store was closed".to_owned() });
    codec::encode(&reply).into()
}

impl Inner {
    /// Decodes a message and checks cluster and databases.
    fn open(&self, body: &[u8]) -> Result<Ask, StoreError> {
        let envelope: Envelope =
            codec::decode(body).map_err(|e| StoreError::Malformed { why: e.to_string() })?;
        let (member, found) = self.network.me;
        if envelope.cluster != self.network.cluster {
            return Err(StoreError::OtherCluster { member });
        }
        if envelope.to != self.network.me {
            return Err(StoreError::OtherDatabase { member, found, known: envelope.to.1 });
        }
        let (from, theirs) = envelope.from;
        match self.known_database(from) {
            Some(known) if known != theirs => {
                tracing::error!(member = from, %known, found = %theirs, "refused a member with another database");
                Err(StoreError::OtherDatabase { member: from, found: theirs, known })
            }
            _ => Ok(envelope.ask),
        }
    }

    async fn answer(self: Arc<Self>, ask: Ask) -> Reply {
        let fatal = |e: &dyn std::fmt::Display| StoreError::Stopped { why: e.to_string() };
        Ok(match ask {
            Ask::Vote(rpc) => Answer::Vote(self.raft.vote(rpc).await.map_err(|e| fatal(&e))?),
            Ask::PreVote(rpc) => {
                let candidate = *rpc.vote.leader_id().node_id();
                let mut said = self.raft.pre_vote(rpc).await.map_err(|e| fatal(&e))?;
                let (now, me) = (rt::Instant::now(), self.network.me.0);
                said.vote_granted = said.vote_granted
                    && !self.sync_watch.is_settling()
                    && self.network.pre_votes.promise(now, me, candidate);
                Answer::Vote(said)
            }
            Ask::Append(rpc) => Answer::Append(self.append(rpc).await?),
            Ask::Transfer(rpc) => {
                Answer::Transfer(self.raft.handle_transfer_leader(rpc).await.map_err(|e| fatal(&e))?)
            }
            Ask::Stream => {
                return Err(StoreError::Malformed { why: "a stream was asked for in a request".to_owned() });
            }
            Ask::SnapshotBegin { .. } | Ask::SnapshotPart { .. } => self.receive(ask).await?,
            Ask::SnapshotEnd { vote, meta } => self.install(vote, meta).await?,
            Ask::Leader(wish, timeout_ms) => {
                if let Wish::Propose(proposal) = &wish {
                    proposal.check()?;
                }
                self.as_leader(wish, Duration::from_millis(timeout_ms).min(FORWARD_LIMIT)).await?
            }
        })
    }

    /// Entries, or a heartbeat. openraft answers when everything taken in before is durable. A heartbeat claims nothing
    /// about the log beyond what this member confirmed before (its `prev_log_id`): it is answered when it was heard, or
    /// a leader of members with slow disks would get no answer in time, and could not confirm a single read.
    async fn append(
        &self,
        rpc: AppendEntriesRequest<TypeConfig>,
    ) -> Result<AppendEntriesResponse<TypeConfig>, StoreError> {
        let fatal = |e: &dyn std::fmt::Display| StoreError::Stopped { why: e.to_string() };
        let (vote, is_heartbeat) = (rpc.vote, rpc.entries.is_empty());
        let mut answer = std::pin::pin!(self.raft.append_entries(rpc));
        if is_heartbeat {
            tokio::select! {
                biased;
                answered = &mut answer => return answered.map_err(|e| fatal(&e)),
                () = rt::sleep(DURABLE_PATIENCE) => {}
            }
            // Comes to the core after the heartbeat, which is refused at once or accepted.
            let heard = self.raft.with_raft_state(move |state| *state.vote_ref() == vote);
            tokio::select! {
                biased;
                answered = &mut answer => return answered.map_err(|e| fatal(&e)),
                heard = heard => if heard.map_err(|e| fatal(&e))? {
                    return Ok(AppendEntriesResponse::Success);
                }
            }
        }
        answer.await.map_err(|e| fatal(&e))
    }

    async fn receive(self: Arc<Self>, ask: Ask) -> Reply {
        let work = rt::blocking(move || match ask {
            Ask::SnapshotBegin { meta, size_bytes } => self.incoming.begin(meta, size_bytes).map(Some),
            Ask::SnapshotPart { offset, data } => self.incoming.part(offset, &data),
            _ => Ok(None),
        });
        let received = work.await.map_err(|e| StoreError::Stopped { why: e.to_string() })?;
        match received {
            Ok(Some(offset)) => Ok(Answer::SnapshotAt { offset }),
            Ok(None) => Err(unavailable("no snapshot transfer is under way; begin again")),
            Err(e) => Err(unavailable(&format!("the snapshot cannot be stored: {e}"))),
        }
    }

    async fn install(self: Arc<Self>, vote: Vote, meta: SnapshotMeta) -> Reply {
        let (me, wanted) = (self.clone(), meta.clone());
        let ended = rt::blocking(move || me.incoming.end(&wanted)).await;
        match ended.map_err(|e| StoreError::Stopped { why: e.to_string() })? {
            Ok(Some(snapshot)) => {
                let installed = self.raft.install_full_snapshot(vote, Snapshot { meta, snapshot }).await;
                installed.map(Answer::Installed).map_err(|e| StoreError::Stopped { why: e.to_string() })
            }
            Ok(None) => Err(unavailable("the snapshot is not complete; begin again")),
            Err(e) => Err(unavailable(&format!("the snapshot arrived damaged: {e}"))),
        }
    }

    /// A replication stream: requests go to Raft in order, answers back in order.
    async fn serve_appends(self: Arc<Self>, stream: Duplex) {
        let Duplex { send, mut receive } = stream;
        let Some(hello) = receive.recv().await else { return };
        match self.open(&hello) {
            Ok(Ask::Stream) => {}
            // The sender sees the stream end and asks again by request, which is answered with the reason.
            Ok(_) | Err(_) => return,
        }
        let requests = stream::unfold(receive, |mut receive| async move {
            let message = receive.recv().await?;
            match codec::decode::<AppendEntriesRequest<TypeConfig>>(&message) {
                Ok(request) => Some((request, receive)),
                Err(error) => {
                    tracing::error!(%error, "a replication stream does not decode");
                    None
                }
            }
        });
        let mut answers = std::pin::pin!(self.raft.stream_append(requests));
        while let Some(answer) = answers.next().await {
            let Ok(answer) = answer else { return };
            if send.send(codec::encode(&answer).into()).await.is_err() {
                return;
            }
        }
    }
}

fn unavailable(why: &str) -> StoreError {
    StoreError::Unavailable { waited_ms: 0, why: why.to_owned() }
}
