//! [`Records`]: reads and transactions of objects.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use serde_json::Value;
use thiserror::Error;
use trireme_mvcc::watch::WatchRequest;
use trireme_mvcc::{
    Answer, At, Entry, Guard, Key, KeyRange, ListRequest, Operation, Proposal, ReadError, Refusal, Revision,
    Room, State, Transaction, WatchError,
};
use trireme_raft::store::{RaftStore, Store, StoreError, StoreRetry, WatchCursor};
use trireme_store::StoreHost;

use super::decoded::DecodedCache;
use super::record::{Record, RecordError};
use super::requests::{OpenRequest, RequestIds};
use crate::limits::{LIST_CHUNK_BYTES, WRITE_TIMEOUT};

/// How long a request waits for the member of this process to be open.
const OPEN_LIMIT: Duration = Duration::from_secs(5);

/// Why a read or a write of objects failed.
#[derive(Debug, Error)]
pub enum RecordsError {
    /// A guard did not hold: the object changed since it was read. Read again and decide anew.
    #[error("the object changed meanwhile")]
    Changed,
    /// The writer's leadership is over.
    #[error("{0}")]
    Fenced(String),
    /// The history no longer reaches back so far.
    #[error("revision {requested} is compacted, history begins after {compacted}")]
    Compacted {
        /// Asked for.
        requested: u64,
        /// The last forgotten revision.
        compacted: u64,
    },
    /// The revision does not exist yet.
    #[error("revision {requested} is not here yet, this member is at {current}")]
    Future {
        /// Asked for.
        requested: u64,
        /// What this member has applied.
        current: u64,
    },
    /// The store cannot serve now; nothing was done.
    #[error("{0}")]
    Unavailable(String),
    /// The write may have been done or not.
    #[error("{0}")]
    Unknown(String),
    /// The store has no room for more.
    #[error("{0}")]
    NoSpace(String),
    /// The write can never be done.
    #[error("{0}")]
    Refused(String),
    /// The stored value is damaged.
    #[error(transparent)]
    Damaged(#[from] RecordError),
}

impl From<StoreError> for RecordsError {
    fn from(error: StoreError) -> Self {
        let text = error.to_string();
        match error {
            StoreError::NoSpace { .. } => Self::NoSpace(text),
            error => match error.retry() {
                StoreRetry::Safe => Self::Unavailable(text),
                StoreRetry::SameRequestOnly => Self::Unknown(text),
                StoreRetry::Never => Self::Refused(text),
            },
        }
    }
}

impl From<ReadError> for RecordsError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Compacted { requested, compacted } => {
                Self::Compacted { requested: requested.get(), compacted: compacted.get() }
            }
            ReadError::Future { requested, current } => {
                Self::Future { requested: requested.get(), current: current.get() }
            }
        }
    }
}

/// A transaction on its way.
#[derive(Clone, Debug, Default)]
pub struct Commit {
    /// All must hold.
    pub guards: Vec<Guard>,
    /// Carried out in order.
    pub operations: Vec<Operation>,
    /// The term under which a leader's actor decided it.
    pub fence: Option<u64>,
    /// Passes when the store is nearly full: what must be written so that something can be deleted.
    pub reserved: bool,
}

impl Commit {
    /// Holds only while an object that was looked at is as it was.
    pub fn require(&mut self, key: Key, revision: Revision) {
        self.guards.push(Guard::AtRevision(key, revision));
    }

    /// Creates a key.
    pub fn create(&mut self, key: Key, value: Bytes) {
        self.guards.push(Guard::Absent(key.clone()));
        self.operations.push(Operation::Put { key, value, lease: None });
    }

    /// Replaces the version at `revision`.
    pub fn replace(&mut self, key: Key, revision: Revision, value: Bytes) {
        self.guards.push(Guard::AtRevision(key.clone(), revision));
        self.operations.push(Operation::Put { key, value, lease: None });
    }

    /// Deletes the version at `revision`.
    pub fn delete(&mut self, key: Key, revision: Revision) {
        self.guards.push(Guard::AtRevision(key.clone(), revision));
        self.operations.push(Operation::Delete { key });
    }
}

/// One page of a list.
pub struct Listing {
    /// The revision of all of it.
    pub revision: Revision,
    /// Objects by key.
    pub records: Vec<Record>,
    /// How many of the range follow.
    pub remaining: u64,
}

/// Objects in the replicated store, from this process's member.
pub struct Records {
    host: Arc<StoreHost>,
    ids: Mutex<Option<Arc<RequestIds>>>,
    decoded: DecodedCache,
    random: fn() -> u64,
}

impl Records {
    /// Over the member of this process. `random` gives random numbers.
    pub fn new(host: Arc<StoreHost>, random: fn() -> u64) -> Self {
        Self { host, ids: Mutex::default(), decoded: DecodedCache::default(), random }
    }

    /// The member, when it runs or within a few seconds.
    ///
    /// # Errors
    /// [`RecordsError::Unavailable`] with the reason.
    pub async fn store(&self) -> Result<RaftStore, RecordsError> {
        match self.host.member() {
            Some(member) => Ok(member.store),
            None => Ok(self.host.running(OPEN_LIMIT).await?.store),
        }
    }

    /// Reads the local state, when the member runs.
    pub fn read_local<T>(&self, work: impl FnOnce(&State) -> T) -> Option<T> {
        self.host.member().map(|member| member.store.read(work))
    }

    /// Waits until the local state has every write that was acknowledged before the call.
    ///
    /// # Errors
    /// No quorum.
    pub async fn settle(&self) -> Result<(), RecordsError> {
        self.store().await?.read_index().await?;
        Ok(())
    }

    /// Waits until the local state has a revision, up to a limit.
    ///
    /// # Errors
    /// [`RecordsError::Future`] when it did not come.
    pub async fn wait_revision(&self, revision: Revision, limit: Duration) -> Result<(), RecordsError> {
        let store = self.store().await?;
        let current = || store.read(State::revision);
        if current() >= revision {
            return Ok(());
        }
        // Another member may be ahead: what is acknowledged there is here after a read index.
        let wait = async { store.read_index().await };
        drop(tokio::time::timeout(limit, wait).await);
        let started = tokio::time::Instant::now();
        while current() < revision {
            if started.elapsed() >= limit {
                return Err(RecordsError::Future { requested: revision.get(), current: current().get() });
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// The newest local version of a key.
    ///
    /// # Errors
    /// The member does not run, or the value is damaged.
    pub async fn get(&self, key: &Key) -> Result<Option<Record>, RecordsError> {
        let found = self.store().await?.read(|state| state.get(key).cloned());
        Ok(found.map(|object| Record::new(&object)).transpose()?)
    }

    /// Whether a key exists in the newest local state, whatever its value.
    ///
    /// # Errors
    /// The member does not run.
    pub async fn exists(&self, key: &Key) -> Result<bool, RecordsError> {
        Ok(self.store().await?.read(|state| state.get(key).is_some()))
    }

    /// One page of the objects under a prefix, behind `after`, at the newest or an exact revision.
    ///
    /// # Errors
    /// The revision is compacted or not here yet; damaged values.
    pub async fn list(
        &self,
        prefix: &str,
        after: Option<&Key>,
        at: Option<Revision>,
        limit_objects: usize,
    ) -> Result<Listing, RecordsError> {
        let range = KeyRange::prefix(prefix);
        let request = ListRequest {
            range: &range,
            at: at.map_or(At::Latest, At::Exact),
            after,
            limit_objects,
            limit_bytes: LIST_CHUNK_BYTES,
        };
        let page = self.store().await?.read(|state| state.list(&request))?;
        let records = page.objects.iter().map(|object| Record::new(object)).collect::<Result<_, _>>()?;
        Ok(Listing { revision: page.revision, records, remaining: page.remaining })
    }

    /// The decoded form of a version.
    ///
    /// # Errors
    /// The stored JSON is damaged.
    pub fn decode(&self, record: &Record) -> Result<Arc<Value>, RecordError> {
        self.decoded.get(record)
    }

    /// Opens a cursor over changes.
    ///
    /// # Errors
    /// The history does not reach back so far, or too many cursors.
    pub async fn watch(
        &self,
        request: WatchRequest,
    ) -> Result<Result<WatchCursor, WatchError>, RecordsError> {
        Ok(self.store().await?.watch(request))
    }

    /// Carries out a transaction and waits until this member has applied it. Gives the revision of each operation.
    ///
    /// # Errors
    /// [`RecordsError::Changed`] when a guard did not hold; the newest state is applied here by then.
    pub async fn commit(&self, commit: Commit) -> Result<Vec<Option<Revision>>, RecordsError> {
        let store = self.store().await?;
        let ids = self.ids(&store);
        let request = OpenRequest::new(&ids);
        let room = if commit.reserved { Room::Reserved } else { Room::Ordinary };
        let transaction = Transaction { guards: commit.guards, operations: commit.operations, room };
        let proposal = Proposal {
            request: Some(request.id),
            fence: commit.fence,
            entry: Entry::Transaction(transaction),
        };
        let proposed = store.propose(proposal, WRITE_TIMEOUT).await;
        drop(request);
        let committed = proposed?;
        store.wait_applied(committed.index).await;
        match committed.outcome {
            Ok(Answer::Committed { revisions, .. }) => Ok(revisions),
            Ok(other) => Err(RecordsError::Refused(format!("an unexpected answer of the store: {other:?}"))),
            Err(refusal) => Err(self.refused(&ids, &store, refusal)),
        }
    }

    /// Carries out an entry that is no transaction, as one about a lease, and waits until this member has applied it.
    ///
    /// # Errors
    /// As [`Records::commit`].
    pub async fn propose(&self, entry: Entry) -> Result<(), RecordsError> {
        let store = self.store().await?;
        let ids = self.ids(&store);
        let request = OpenRequest::new(&ids);
        let proposal = Proposal { request: Some(request.id), fence: None, entry };
        let proposed = store.propose(proposal, WRITE_TIMEOUT).await;
        drop(request);
        let committed = proposed?;
        store.wait_applied(committed.index).await;
        match committed.outcome {
            Ok(_) => Ok(()),
            Err(refusal) => Err(self.refused(&ids, &store, refusal)),
        }
    }

    fn refused(&self, ids: &RequestIds, store: &RaftStore, refusal: Refusal) -> RecordsError {
        let text = refusal.to_string();
        match refusal {
            Refusal::GuardFailed { .. } => RecordsError::Changed,
            Refusal::FencedOldTerm { .. } => RecordsError::Fenced(text),
            Refusal::NoSpace { .. } => RecordsError::NoSpace(text),
            Refusal::SessionExpired { .. }
            | Refusal::OutcomeForgotten { .. }
            | Refusal::RequestFromFuture { .. } => {
                ids.renew(self.random_128(), store.read(State::applied_index));
                RecordsError::Unknown(text)
            }
            _ => RecordsError::Refused(text),
        }
    }

    fn ids(&self, store: &RaftStore) -> Arc<RequestIds> {
        let mut ids = self.ids.lock();
        ids.get_or_insert_with(|| {
            Arc::new(RequestIds::new(self.random_128(), store.read(State::applied_index)))
        })
        .clone()
    }

    fn random_128(&self) -> u128 {
        u128::from((self.random)()) << 64 | u128::from((self.random)())
    }
}
