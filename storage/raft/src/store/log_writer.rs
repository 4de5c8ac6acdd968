//! The thread that writes the Raft log: takes what has queued up, appends it in one go, syncs once, and only then
//! says so.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use openraft::storage::IOFlushed;
use parking_lot::{Mutex, RwLock};
use tokio::sync::{mpsc, oneshot};

use super::codec;
use super::sync_watch::SyncWatch;
use super::tail::{Tail, size_bytes};
use super::types::{Entry, LogId, TypeConfig};
use crate::disk::{DiskLock, Reserve};
use crate::log_db::{LogDb, LogEntry, LogError};
use crate::rt::{self, Instant};

/// Jobs that may wait for the writer; more is backpressure on the Raft core.
const QUEUE_JOBS: usize = 1024;
/// Payload that goes into one sync at most, in bytes: bounds the wait of the first job.
const BATCH_BYTES: usize = 8 * 1024 * 1024;

/// Shortest time between two committed marks.
const COMMITTED_INTERVAL: Duration = Duration::from_millis(100);

/// Keeps the data directory for whoever still writes to it.
pub(super) type DirLock = Arc<Box<dyn DiskLock>>;

/// Something to be written. Jobs are carried out in order.
pub(super) enum Job {
    /// Entries that continue the log; answered when durable.
    Append(Vec<Entry>, IOFlushed<TypeConfig>),
    /// The vote; answered when durable.
    Vote(Vec<u8>, oneshot::Sender<Result<(), LogError>>),
    /// Entries from this index go; answered when durable.
    Truncate(u64, oneshot::Sender<Result<(), LogError>>),
    /// Entries up to this index go.
    Purge(u64, Vec<u8>, oneshot::Sender<Result<(), LogError>>),
}

impl Job {
    /// Whether it is durable when it was carried out, whatever waits with it.
    fn syncs_by_itself(&self) -> bool {
        matches!(self, Self::Vote(..) | Self::Truncate(..))
    }
}

/// Starts the thread. It ends when all senders are gone.
pub(super) fn start(
    db: Arc<dyn LogDb>,
    tail: Arc<RwLock<Tail>>,
    reserve: Option<Arc<Reserve>>,
    committed: Arc<CommittedMark>,
    watch: Arc<SyncWatch>,
    lock: Option<DirLock>,
) -> io::Result<mpsc::Sender<Job>> {
    let (jobs, queue) = mpsc::channel(QUEUE_JOBS);
    let writer = Writer {
        db,
        tail,
        reserve,
        waiting: Vec::new(),
        bytes: 0,
        due: false,
        committed,
        marked: None,
        watch,
        _lock: lock,
    };
    if rt::is_virtual() {
        rt::spawn(writer.run_as_task(queue));
    } else {
        std::thread::Builder::new().name("raft-log".to_owned()).spawn(move || writer.run(queue))?;
    }
    Ok(jobs)
}

/// The newest committed mark that is not written yet. It only speeds up the next start, so it wakes nobody: it is
/// written now and then with what is synced anyway, and at the end. Never before the entry that it names, which may
/// still be in the queue: others can have made it durable first.
#[derive(Default)]
pub(super) struct CommittedMark(Mutex<Option<LogId>>);

impl CommittedMark {
    pub(super) fn set(&self, committed: Option<LogId>) {
        *self.0.lock() = committed;
    }
}

struct Writer {
    db: Arc<dyn LogDb>,
    tail: Arc<RwLock<Tail>>,
    reserve: Option<Arc<Reserve>>,
    /// Appended, not synced.
    waiting: Vec<IOFlushed<TypeConfig>>,
    bytes: usize,
    /// Something was carried out that is to be synced.
    due: bool,
    committed: Arc<CommittedMark>,
    /// When the committed mark was written last.
    marked: Option<Instant>,
    watch: Arc<SyncWatch>,
    /// Released when the last write is done, not before.
    _lock: Option<DirLock>,
}

impl Writer {
    fn run(mut self, mut queue: mpsc::Receiver<Job>) {
        while let Some(job) = queue.blocking_recv() {
            self.gather(job, &mut queue);
            if self.due {
                self.settle();
            }
        }
        self.finish();
    }

    /// The same in a world of its own time, where each sync takes what that world says.
    async fn run_as_task(mut self, mut queue: mpsc::Receiver<Job>) {
        while let Some(first) = queue.recv().await {
            let mut next = Some(first);
            while let Some(job) = next.take() {
                if job.syncs_by_itself() {
                    self.watch.begin();
                    rt::before_sync().await;
                }
                self.carry_out(job);
                next = if self.bytes < BATCH_BYTES { queue.try_recv().ok() } else { None };
            }
            if self.due {
                self.watch.begin();
                rt::before_sync().await;
                self.settle();
            }
        }
        self.finish();
    }

    fn gather(&mut self, first: Job, queue: &mut mpsc::Receiver<Job>) {
        self.carry_out(first);
        while self.bytes < BATCH_BYTES {
            match queue.try_recv() {
                Ok(job) => self.carry_out(job),
                Err(_) => break,
            }
        }
    }

    fn carry_out(&mut self, job: Job) {
        // What syncs by itself has synced what was appended before as well, but has told nobody.
        self.due |= !job.syncs_by_itself();
        match job {
            Job::Append(entries, done) => match self.append(&entries) {
                Ok(()) => self.wait(done),
                Err(error) => done.io_completed(Err(to_io(error))),
            },
            Job::Vote(vote, answer) => {
                let saved = self.watch.during(|| self.with_room(|db| db.save_vote(&vote)));
                self.answer(answer, saved);
            }
            Job::Truncate(from, answer) => {
                let truncated = self.watch.during(|| self.with_room(|db| db.truncate_from(from)));
                self.answer(answer, truncated);
            }
            Job::Purge(upto, mark, answer) => {
                let purged = self.with_room(|db| db.purge(upto, &mark));
                self.answer(answer, purged);
            }
        }
    }

    /// Openraft's own answers say that everything up to an entry is durable: the last one does for all. More than one in
    /// a row would also make it pause for a tick of its timer, a millisecond or two.
    fn wait(&mut self, done: IOFlushed<TypeConfig>) {
        match self.waiting.last_mut() {
            Some(last) if matches!((&*last, &done), (IOFlushed::Notify(_), IOFlushed::Notify(_))) => {
                *last = done
            }
            _ => self.waiting.push(done),
        }
    }

    /// True when there was a mark to write.
    fn write_committed(&mut self) -> bool {
        let next = self.db.span().next;
        let mark = self.committed.0.lock().take_if(|mark| mark.index < next);
        let Some(mark) = mark else { return false };
        self.marked = Some(Instant::now());
        // A closed log reports itself with the next append.
        if let Err(error) = self.db.save_committed(&codec::encode(&Some(mark))) {
            tracing::debug!(%error, "the committed mark was not saved");
        }
        true
    }

    /// Nothing will come any more: the next start shall find the newest mark.
    fn finish(&mut self) {
        if self.write_committed() {
            self.settle();
        }
    }

    fn append(&mut self, entries: &[Entry]) -> Result<(), LogError> {
        let encoded: Vec<LogEntry> = entries
            .iter()
            .map(|entry| LogEntry {
                index: entry.log_id.index,
                payload: codec::encode_about(entry, size_bytes(entry)).into(),
            })
            .collect();
        self.with_room(|db| db.append(&encoded))?;
        self.bytes += encoded.iter().map(|e| e.payload.len()).sum::<usize>();
        Ok(())
    }

    /// On a full disk the reserve is given up and the work tried once more.
    fn with_room(&self, work: impl Fn(&dyn LogDb) -> Result<(), LogError>) -> Result<(), LogError> {
        match (work(self.db.as_ref()), &self.reserve) {
            (Err(LogError::NoSpace { path }), Some(reserve)) => match reserve.release() {
                Ok(true) => work(self.db.as_ref()),
                Ok(false) => Err(LogError::NoSpace { path }),
                Err(source) => Err(LogError::io("giving up the reserve", &path, source)),
            },
            (result, _) => result,
        }
    }

    /// One sync for everything appended, then the answers.
    fn settle(&mut self) {
        (self.bytes, self.due) = (0, false);
        if self.marked.is_none_or(|at| at.elapsed() >= COMMITTED_INTERVAL) {
            self.write_committed();
        }
        let synced = self.watch.during(|| self.db.sync());
        match &synced {
            Ok(Some(last)) => self.tail.write().trim(*last),
            Ok(None) => {}
            Err(error) => tracing::error!(%error, "the raft log cannot be synced"),
        }
        for done in self.waiting.drain(..) {
            done.io_completed(match &synced {
                Ok(_) => Ok(()),
                Err(error) => Err(io::Error::other(error.to_string())),
            });
        }
        if let Err(error) = self.watch.during(|| self.db.tidy()) {
            tracing::error!(%error, "the raft log cannot be tidied");
        }
    }

    fn answer(&self, to: oneshot::Sender<Result<(), LogError>>, result: Result<(), LogError>) {
        if to.send(result).is_err() {
            tracing::debug!("nobody waits for the log any more");
        }
    }
}

pub(super) fn to_io(error: LogError) -> io::Error {
    let kind = match &error {
        LogError::NoSpace { .. } => io::ErrorKind::StorageFull,
        LogError::Corrupt { .. } => io::ErrorKind::InvalidData,
        _ => io::ErrorKind::Other,
    };
    io::Error::new(kind, error)
}
