//! openraft's network over a [`RaftTransport`].

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use openraft::OptionalSend;
use openraft::errors::{NetworkError, RPCError, ReplicationClosed, StreamingError, Timeout, Unreachable};
use openraft::network::{Backoff, RPCOption, RPCTypes, RaftNetworkFactory, RaftNetworkV2};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, StreamAppendResult, VoteRequest,
    VoteResponse,
};
use openraft::type_config::alias::SnapshotOf;
use tokio::sync::{Notify, Semaphore, mpsc};

use super::codec;
use super::error::StoreError;
use super::pre_votes::PreVotes;
use super::snapshot_file::SnapshotFile;
use super::sync_watch::SyncWatch;
use super::tail::size_bytes;
use super::transport::{Duplex, Lane, RaftTransport, Target, TransportError};
use super::types::{Peer, TypeConfig, Vote};
use super::wire::{Answer, Ask, Envelope, Reply};
use crate::identity::{ClusterId, DatabaseId, MemberId};
use crate::rt;

/// Append requests that may be under way to one member.
const PIPELINE_REQUESTS: usize = 8;
/// Longest wait for the answer of one append. Above what a slow disk takes to sync (a leader hands over at 300 ms):
/// with less, a busy follower would be sent the same entries again and again. openraft's own hint is a part of the
/// heartbeat interval.
const APPEND_ANSWER_LIMIT: Duration = Duration::from_millis(1000);
/// Longest wait for a vote: above what a slow disk takes to make it durable. openraft's own limit is the shortest
/// election time-out.
const VOTE_ANSWER_LIMIT: Duration = Duration::from_millis(3000);
/// Pause before entries are sent again to a member that could not be reached.
const RETRY_PAUSE: Duration = Duration::from_millis(50);
/// Part of a snapshot in one message, in bytes.
const PART_BYTES: usize = 1024 * 1024;

/// Makes clients for the members openraft talks to.
#[derive(Clone)]
pub(super) struct Network {
    pub(super) transport: Arc<dyn RaftTransport>,
    pub(super) cluster: ClusterId,
    pub(super) me: (MemberId, DatabaseId),
    pub(super) pre_votes: Arc<PreVotes>,
    pub(super) sync_watch: Arc<SyncWatch>,
}

impl Network {
    /// Sends one message to a member and waits for its answer.
    pub(super) async fn ask(
        &self,
        member: MemberId,
        peer: &Peer,
        lane: Lane,
        ask: Ask,
        timeout: Duration,
    ) -> Result<Reply, TransportError> {
        let body = self.envelope(member, peer, ask);
        let target = Target { member, address: peer.address.clone() };
        let answer = self.transport.request(&target, lane, body, timeout).await?;
        codec::decode(&answer).map_err(|e| TransportError::NoAnswer { member, why: e.to_string() })
    }

    fn envelope(&self, member: MemberId, peer: &Peer, ask: Ask) -> Bytes {
        let envelope = Envelope { cluster: self.cluster, from: self.me, to: (member, peer.database), ask };
        codec::encode(&envelope).into()
    }
}

impl RaftNetworkFactory<TypeConfig> for Network {
    type Network = Client;

    async fn new_client(&mut self, target: MemberId, node: &Peer) -> Client {
        Client { network: self.clone(), member: target, peer: node.clone(), lane: Lane::Append }
    }

    async fn new_heartbeat_client(&mut self, target: MemberId, node: &Peer) -> Client {
        Client { network: self.clone(), member: target, peer: node.clone(), lane: Lane::Heartbeat }
    }
}

/// The way to one member.
pub(super) struct Client {
    network: Network,
    member: MemberId,
    peer: Peer,
    /// Where append requests travel.
    lane: Lane,
}

type Failure = RPCError<TypeConfig>;

impl Client {
    async fn call(&self, lane: Lane, ask: Ask, timeout: Duration) -> Result<Answer, Failure> {
        let reply = self.network.ask(self.member, &self.peer, lane, ask, timeout).await;
        reply.map_err(Unreachable::from_string)?.map_err(|e| self.refused(&e))
    }

    fn refused(&self, error: &StoreError) -> Failure {
        if matches!(error, StoreError::OtherDatabase { .. } | StoreError::OtherCluster { .. }) {
            tracing::error!(member = self.member, %error, "a member is refused");
        }
        Unreachable::from_string(error).into()
    }

    fn odd(&self) -> Failure {
        NetworkError::from_string(format!("member {} gave an answer to another question", self.member)).into()
    }

    async fn open_stream(&self) -> Result<Duplex, Failure> {
        let target = Target { member: self.member, address: self.peer.address.clone() };
        let opened = self.network.transport.open(&target, self.lane).await;
        let duplex = opened.map_err(Unreachable::from_string)?;
        let hello = self.network.envelope(self.member, &self.peer, Ask::Stream);
        duplex.send.send(hello).await.map_err(|_| Unreachable::from_string("the stream ended at once"))?;
        Ok(duplex)
    }

    /// Opens a stream once there is something to send. openraft waits inside `input` after a failure: a stream opened
    /// before it is asked for would fail again at once, thousands of times a second while a member is away.
    async fn appends<'s, S>(
        &'s self,
        mut input: S,
    ) -> Result<BoxStream<'s, Result<StreamAppendResult<TypeConfig>, Failure>>, Failure>
    where
        S: Stream<Item = AppendEntriesRequest<TypeConfig>> + OptionalSend + Unpin + 'static,
    {
        let Some(first) = input.next().await else { return Ok(stream::empty().boxed()) };
        let duplex = self.open_stream().await?;
        let (member, me) = (self.member, self.network.me.0);
        let input = stream::iter([first]).chain(input);
        Ok(pipeline(duplex, input, APPEND_ANSWER_LIMIT, me, member))
    }

    /// Each request by itself, with the answer that a stream would give.
    fn one_by_one<'s, S>(
        &'s self,
        input: S,
        option: RPCOption,
    ) -> BoxStream<'s, Result<StreamAppendResult<TypeConfig>, Failure>>
    where
        S: Stream<Item = AppendEntriesRequest<TypeConfig>> + OptionalSend + Unpin + 'static,
    {
        let limit = option.hard_ttl();
        Box::pin(input.then(move |request| async move {
            let prev = request.prev_log_id;
            let last = request.entries.last().map(|entry| entry.log_id).or(prev);
            match self.call(self.lane, Ask::Append(request), limit).await? {
                Answer::Append(response) => Ok(response.into_stream_result(prev, last)),
                _ => Err(self.odd()),
            }
        }))
    }

    async fn send_snapshot(
        &self,
        vote: Vote,
        snapshot: SnapshotOf<TypeConfig, SnapshotFile>,
        timeout: Duration,
    ) -> Result<SnapshotResponse<TypeConfig>, Failure> {
        let (meta, file) = (snapshot.meta, snapshot.snapshot);
        let begin = Ask::SnapshotBegin { meta: meta.clone(), size_bytes: file.size_bytes() };
        let Answer::SnapshotAt { mut offset } = self.call(Lane::Snapshot, begin, timeout).await? else {
            return Err(self.odd());
        };
        while offset < file.size_bytes() {
            let source = file.clone();
            let read = rt::blocking(move || source.read_part(offset, PART_BYTES)).await;
            let data = read.map_err(|e| NetworkError::new(&e))?.map_err(|e| NetworkError::new(&e))?;
            let part = Ask::SnapshotPart { offset, data };
            let Answer::SnapshotAt { offset: next } = self.call(Lane::Snapshot, part, timeout).await? else {
                return Err(self.odd());
            };
            offset = next;
        }
        let end = Ask::SnapshotEnd { vote, meta };
        match self.call(Lane::Snapshot, end, timeout).await? {
            Answer::Installed(response) => Ok(response),
            _ => Err(self.odd()),
        }
    }
}

impl RaftNetworkV2<TypeConfig> for Client {
    type SnapshotData = SnapshotFile;

    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<TypeConfig>, Failure> {
        match self.call(self.lane, Ask::Append(rpc), option.soft_ttl()).await? {
            Answer::Append(response) => Ok(response),
            _ => Err(self.odd()),
        }
    }

    fn stream_append<'s, S>(
        &'s mut self,
        input: S,
        option: RPCOption,
    ) -> BoxFuture<'s, Result<BoxStream<'s, Result<StreamAppendResult<TypeConfig>, Failure>>, Failure>>
    where
        S: Stream<Item = AppendEntriesRequest<TypeConfig>> + OptionalSend + Unpin + 'static,
    {
        if self.lane == Lane::Heartbeat {
            // One message and its answer: a stream would cost two more round trips for each heartbeat, and for
            // each round of linearizable reads.
            let answers = self.one_by_one(input, option);
            return Box::pin(async move { Ok(answers) });
        }
        let answers = stream::once(self.appends(input)).try_flatten();
        Box::pin(async move { Ok(answers.boxed()) })
    }

    async fn vote(
        &mut self,
        rpc: VoteRequest<TypeConfig>,
        _option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, Failure> {
        let asked = self.call(Lane::Heartbeat, Ask::Vote(rpc), VOTE_ANSWER_LIMIT);
        match rt::EndsByItself::new(asked).await? {
            Answer::Vote(response) => Ok(response),
            _ => Err(self.odd()),
        }
    }

    async fn pre_vote(
        &mut self,
        rpc: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, Failure> {
        let network = &self.network;
        if network.sync_watch.is_settling() || !network.pre_votes.ask(rt::Instant::now()) {
            return Err(Unreachable::from_string("another member is being elected").into());
        }
        match self.call(Lane::Heartbeat, Ask::PreVote(rpc), option.hard_ttl()).await? {
            Answer::Vote(response) => Ok(response),
            _ => Err(self.odd()),
        }
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: SnapshotOf<TypeConfig, SnapshotFile>,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        option: RPCOption,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        tokio::select! {
            biased;
            closed = cancel => Err(closed.into()),
            sent = self.send_snapshot(vote, snapshot, option.soft_ttl()) => Ok(sent?),
        }
    }

    fn backoff(&self) -> Option<Backoff> {
        Some(Backoff::new(std::iter::repeat(RETRY_PAUSE)))
    }
}

/// Sends requests without waiting for the answers before, and hands out the answers, which come in order.
fn pipeline<'s, S>(
    duplex: Duplex,
    mut input: S,
    timeout: Duration,
    me: MemberId,
    member: MemberId,
) -> BoxStream<'s, Result<StreamAppendResult<TypeConfig>, Failure>>
where
    S: Stream<Item = AppendEntriesRequest<TypeConfig>> + OptionalSend + Unpin + 'static,
{
    let Duplex { send, receive } = duplex;
    let flow = Arc::new(Flow::new());
    let pumped = flow.clone();
    let pump = rt::Task::spawn(async move {
        while let Some(request) = input.next().await {
            let Ok(slot) = pumped.slots.acquire().await else { return };
            slot.forget();
            pumped.owed.fetch_add(1, Ordering::AcqRel);
            let bytes = request.entries.iter().map(size_bytes).sum();
            if send.send(codec::encode_about(&request, bytes).into()).await.is_err() {
                return;
            }
        }
        pumped.ended.store(true, Ordering::Release);
        pumped.wake.notify_one();
        // The stream stays open until the answers are in: the reader aborts this task.
        std::future::pending::<()>().await;
    });
    Box::pin(stream::unfold(Some((pump, receive)), move |state| {
        let flow = flow.clone();
        async move {
            let (pump, mut receive) = state?;
            let answer = next_answer(&flow, &mut receive, timeout, me, member).await?;
            let goes_on = matches!(answer, Ok(Ok(_)));
            Some((answer, goes_on.then_some((pump, receive))))
        }
    }))
}

/// What both halves of a pipeline know.
struct Flow {
    slots: Semaphore,
    /// Requests without an answer.
    owed: AtomicUsize,
    /// No more requests will come.
    ended: AtomicBool,
    wake: Notify,
}

impl Flow {
    fn new() -> Self {
        Self {
            slots: Semaphore::new(PIPELINE_REQUESTS),
            owed: AtomicUsize::new(0),
            ended: AtomicBool::new(false),
            wake: Notify::new(),
        }
    }
}

/// Waits for the next answer; `None` when everything was answered and nothing more was asked.
async fn next_answer(
    flow: &Flow,
    receive: &mut mpsc::Receiver<Bytes>,
    timeout: Duration,
    me: MemberId,
    member: MemberId,
) -> Option<Result<StreamAppendResult<TypeConfig>, Failure>> {
    loop {
        if flow.ended.load(Ordering::Acquire) && flow.owed.load(Ordering::Acquire) == 0 {
            return None;
        }
        let received = tokio::select! {
            biased;
            received = rt::timeout(timeout, receive.recv()) => received,
            () = flow.wake.notified() => continue,
        };
        return Some(match received {
            // Nothing is owed: the stream is idle, not dead.
            Err(_) if flow.owed.load(Ordering::Acquire) == 0 => continue,
            Err(_) => {
                Err(Timeout { action: RPCTypes::AppendEntries, id: me, target: member, timeout }.into())
            }
            Ok(None) => Err(Unreachable::from_string("the replication stream ended").into()),
            Ok(Some(answer)) => match codec::decode::<StreamAppendResult<TypeConfig>>(&answer) {
                Ok(result) => {
                    flow.owed.fetch_sub(1, Ordering::AcqRel);
                    flow.slots.add_permits(1);
                    Ok(result)
                }
                Err(e) => Err(NetworkError::from_string(e).into()),
            },
        });
    }
}
