//! [`LogStore`]: openraft's log over a [`LogDb`], with the newest entries in memory and one writer thread.

use std::fmt::Debug;
use std::io;
use std::ops::{Bound, Range, RangeBounds};
use std::sync::Arc;

use openraft::OptionalSend;
use openraft::storage::{IOFlushed, LogState, RaftLogReader, RaftLogStorage};
use parking_lot::RwLock;
use tokio::sync::{mpsc, oneshot};

use super::codec;
use super::log_writer::{self, CommittedMark, DirLock, Job, to_io};
use super::sync_watch::SyncWatch;
use super::tail::Tail;
use super::types::{Entry, LogId, TypeConfig, Vote};
use crate::disk::Reserve;
use crate::log_db::{LogDb, LogEntry, LogError, Mark};
use crate::rt;

/// Encoded entries handed to replication at a time, in bytes.
const READ_BYTES: usize = 4 * 1024 * 1024;

/// The log as openraft sees it. Clones share everything.
#[derive(Clone)]
pub(super) struct LogStore {
    db: Arc<dyn LogDb>,
    tail: Arc<RwLock<Tail>>,
    marks: Arc<RwLock<Marks>>,
    committed: Arc<CommittedMark>,
    jobs: mpsc::Sender<Job>,
    watch: Arc<SyncWatch>,
}

#[derive(Default)]
struct Marks {
    vote: Option<Vote>,
    committed: Option<LogId>,
    purged: Option<LogId>,
    last: Option<LogId>,
}

impl LogStore {
    /// Starts the writer over an open log.
    pub(super) fn start(
        db: Arc<dyn LogDb>,
        reserve: Option<Arc<Reserve>>,
        lock: Option<DirLock>,
    ) -> io::Result<Self> {
        let purged = read_mark(db.as_ref(), Mark::Purged)?;
        let last = match db.span().last() {
            None => purged,
            Some(last) => read_db(db.as_ref(), last..last + 1, 1)?.pop().map(|entry| entry.log_id),
        };
        let marks = Marks {
            vote: read_mark(db.as_ref(), Mark::Vote)?,
            committed: read_mark(db.as_ref(), Mark::Committed)?,
            purged,
            last,
        };
        let tail = Arc::new(RwLock::new(Tail::default()));
        let watch = Arc::new(SyncWatch::new());
        let committed = Arc::new(CommittedMark::default());
        let jobs =
            log_writer::start(db.clone(), tail.clone(), reserve, committed.clone(), watch.clone(), lock)?;
        Ok(Self { db, tail, marks: Arc::new(RwLock::new(marks)), committed, jobs, watch })
    }

    /// How long the disk takes at the moment.
    pub(super) fn sync_watch(&self) -> Arc<SyncWatch> {
        self.watch.clone()
    }

    /// The last entry.
    pub(super) fn last(&self) -> Option<LogId> {
        self.marks.read().last
    }

    async fn submit(&self, job: Job) -> io::Result<()> {
        self.jobs.send(job).await.map_err(|_| io::Error::other("the writer of the raft log has ended"))
    }

    async fn ask(&self, job: impl FnOnce(oneshot::Sender<Result<(), LogError>>) -> Job) -> io::Result<()> {
        let (answer, wait) = oneshot::channel();
        self.submit(job(answer)).await?;
        let answered = wait.await.map_err(|_| io::Error::other("the writer of the raft log has ended"))?;
        answered.map_err(to_io)
    }

    /// Entries of `range`: below the tail from disk, on a thread that may block.
    async fn entries(&self, range: Range<u64>, limit_bytes: usize) -> io::Result<Vec<Entry>> {
        let (first, newest) = {
            let tail = self.tail.read();
            (tail.first().unwrap_or(u64::MAX), tail.read(range.clone(), limit_bytes))
        };
        if range.start >= first || range.is_empty() {
            return Ok(newest);
        }
        let (db, older) = (self.db.clone(), range.start..range.end.min(first));
        let wanted = older.end.saturating_sub(older.start);
        let read = rt::blocking(move || read_db(db.as_ref(), older, limit_bytes)).await;
        let mut entries = read??;
        if entries.len() as u64 == wanted || limit_bytes == usize::MAX {
            entries.extend(newest);
        }
        Ok(entries)
    }
}

impl RaftLogReader<TypeConfig> for LogStore {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<Entry>, io::Error> {
        self.entries(to_range(&range), usize::MAX).await
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, io::Error> {
        Ok(self.marks.read().vote)
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> Result<Vec<Entry>, io::Error> {
        self.entries(start..end, READ_BYTES).await
    }
}

impl RaftLogStorage<TypeConfig> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<TypeConfig>, io::Error> {
        let marks = self.marks.read();
        Ok(LogState { last_purged_log_id: marks.purged, last_log_id: marks.last })
    }

    async fn get_log_reader(&mut self) -> Self::LogReader {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), io::Error> {
        let kept = self.marks.read().vote;
        if kept.is_some_and(|kept| is_held_back_by(&kept, vote)) {
            self.marks.write().vote = Some(*vote);
            return Ok(());
        }
        let (encoded, asked) = (codec::encode(vote), rt::Instant::now());
        self.ask(|answer| Job::Vote(encoded, answer)).await?;
        self.watch.vote_saved(asked);
        self.marks.write().vote = Some(*vote);
        Ok(())
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), io::Error> {
        self.marks.write().committed = committed;
        self.committed.set(committed);
        Ok(())
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, io::Error> {
        Ok(self.marks.read().committed)
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<TypeConfig>) -> Result<(), io::Error>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries: Vec<Entry> = entries.into_iter().collect();
        {
            let mut tail = self.tail.write();
            entries.iter().for_each(|entry| tail.push(entry.clone()));
            if let Some(last) = entries.last() {
                self.marks.write().last = Some(last.log_id);
            }
        }
        self.submit(Job::Append(entries, callback)).await
    }

    async fn truncate_after(&mut self, last_log_id: Option<LogId>) -> Result<(), io::Error> {
        let from = last_log_id.map_or(0, |id| id.index + 1);
        self.tail.write().truncate_from(from);
        self.ask(|answer| Job::Truncate(from, answer)).await?;
        let mut marks = self.marks.write();
        if marks.last.is_some_and(|last| last.index >= from) {
            marks.last = last_log_id.or(marks.purged);
        }
        Ok(())
    }

    async fn purge(&mut self, log_id: LogId) -> Result<(), io::Error> {
        {
            let mut marks = self.marks.write();
            marks.purged = Some(log_id);
            if marks.last.is_none_or(|last| last.index < log_id.index) {
                marks.last = Some(log_id);
            }
        }
        self.tail.write().purge(log_id.index);
        let mark = codec::encode(&Some(log_id));
        self.ask(|answer| Job::Purge(log_id.index, mark, answer)).await
    }
}

/// Whether `vote` forbids nothing that `kept`, which is durable, does not forbid: the same candidate of the same term,
/// known to have won by now. Openraft's core does nothing else while it waits for a vote to be durable, and with this
/// one it would keep a new leader silent for a sync, while the others wait for its first word. A member that forgets
/// who won is told again; a leader that restarts does not lead in any case.
fn is_held_back_by(kept: &Vote, vote: &Vote) -> bool {
    vote.is_committed() && kept.leader_id() == vote.leader_id()
}

fn read_mark<T: serde::de::DeserializeOwned>(db: &dyn LogDb, mark: Mark) -> io::Result<Option<T>> {
    let Some(bytes) = db.mark(mark) else { return Ok(None) };
    if mark == Mark::Vote { codec::decode(&bytes).map(Some) } else { codec::decode(&bytes) }
        .map_err(|e| io::Error::new(io::ErrorKind::InvalidData, format!("the {mark:?} mark of the log: {e}")))
}

fn read_db(db: &dyn LogDb, range: Range<u64>, limit_bytes: usize) -> io::Result<Vec<Entry>> {
    let decode = |entry: LogEntry| {
        codec::decode(&entry.payload).map_err(|e| {
            io::Error::new(io::ErrorKind::InvalidData, format!("entry {} of the log: {e}", entry.index))
        })
    };
    db.read(range, limit_bytes).map_err(to_io)?.into_iter().map(decode).collect()
}

fn to_range(range: &impl RangeBounds<u64>) -> Range<u64> {
    let start = match range.start_bound() {
        Bound::Included(n) => *n,
        Bound::Excluded(n) => n + 1,
        Bound::Unbounded => 0,
    };
    let end = match range.end_bound() {
        Bound::Included(n) => n.saturating_add(1),
        Bound::Excluded(n) => *n,
        Bound::Unbounded => u64::MAX,
    };
    start..end
}
