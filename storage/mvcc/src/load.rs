//! Builds a state from its records: at restart from the state database, on a new member from a snapshot.
//!
//! Nothing is taken on trust: numbering must be dense, links must hold, and every sum of hashes must come out as
//! the `Meta` record says. A state that lost a record does not load.

use std::sync::Arc;

use thiserror::Error;

use crate::change::Change;
use crate::history::History;
use crate::key::Key;
use crate::object::Object;
use crate::record::{Meta, Record, RecordError, WriteRecord};
use crate::revision::{LeaseId, Revision};
use crate::sessions::{Client, Recorded, Sessions};
use crate::state::State;

/// Why records make no state. The copy is unusable: take a snapshot from a peer (or from a backup).
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LoadError {
    /// A record does not decode.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// No `Meta` record came.
    #[error("the meta record is missing: the copy is empty or incomplete; rebuild it from a peer")]
    NoMeta,
    /// A revision of the history is missing or comes twice.
    #[error(
        "the history jumps from revision {expected} to {found}: records are missing; rebuild from a peer"
    )]
    HistoryHole {
        /// The next revision needed.
        expected: Revision,
        /// The next revision there is.
        found: Revision,
    },
    /// A write is newer than the `Meta` record.
    #[error(
        "a write at revision {found} is beyond the store's revision {revision}: the copy mixes two states; rebuild it from a peer"
    )]
    BeyondMeta {
        /// The write.
        found: Revision,
        /// What the `Meta` record says.
        revision: Revision,
    },
    /// A write links to itself or later, or its transaction ends before it or beyond the store's revision.
    #[error("the links of revision {revision} are impossible: the copy is damaged; rebuild it from a peer")]
    ImpossibleLinks {
        /// The write.
        revision: Revision,
    },
    /// A delete of a key that does not exist.
    #[error(
        "revision {revision} deletes a key that does not exist: records are missing; rebuild from a peer"
    )]
    DeleteOfNothing {
        /// The delete.
        revision: Revision,
    },
    /// An object names a lease that does not exist.
    #[error("an object is attached to lease {lease}, which is missing; rebuild from a peer")]
    LeaseMissing {
        /// The lease.
        lease: LeaseId,
    },
    /// A client without outcomes.
    #[error("a client is stored without outcomes: records are missing; rebuild from a peer")]
    ClientWithoutOutcomes,
    /// The content is not what was hashed.
    #[error(
        "the {part} do not have the hash that was stored with them: the copy is damaged; rebuild from a peer"
    )]
    HashMismatch {
        /// Which part of the state.
        part: &'static str,
    },
}

/// Takes records in any order and makes a state of them.
#[derive(Default)]
pub struct Loader {
    meta: Option<Box<Meta>>,
    writes: Vec<LoadedWrite>,
    leases: Vec<crate::leases::Lease>,
    outcomes: Vec<Recorded>,
    clients: Vec<Client>,
}

struct LoadedWrite {
    revision: Revision,
    prior: Revision,
    transaction_end: Revision,
    object: Result<Arc<Object>, Key>,
}

impl Loader {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes one record.
    ///
    /// # Errors
    /// The record does not decode or is of another schema version.
    pub fn record(&mut self, name: &[u8], value: &[u8]) -> Result<(), RecordError> {
        match Record::decode(name, value)? {
            Record::Meta(meta) => self.meta = Some(meta),
            Record::Write(revision, write) => self.writes.push(LoadedWrite::new(revision, write)),
            Record::Lease(lease) => self.leases.push(lease),
            Record::Outcome(recorded) => self.outcomes.push(recorded),
            Record::Client(client) => self.clients.push(client),
        }
        Ok(())
    }

    /// The `Meta` record, once it came.
    pub fn meta(&self) -> Option<&Meta> {
        self.meta.as_deref()
    }

    /// Makes the state.
    ///
    /// # Errors
    /// [`LoadError`] when the records are not those of one whole state.
    pub fn finish(mut self) -> Result<State, LoadError> {
        let meta = self.meta.take().ok_or(LoadError::NoMeta)?;
        let mut state = State {
            limits: meta.limits,
            applied_index: meta.applied_index,
            applied_term: meta.applied_term,
            highest_term: meta.highest_term,
            revision: meta.revision,
            log_time_ms: meta.log_time_ms,
            history: History::starting_after(meta.compacted),
            sessions: Sessions::with_horizon(meta.session_horizon),
            ..State::default()
        };
        self.writes.sort_by_key(|write| write.revision);
        for write in self.writes {
            state.replay(write, &meta)?;
        }
        if state.history.end() != meta.revision {
            let (expected, found) = (state.history.end().next(), meta.revision);
            return Err(LoadError::HistoryHole { expected, found });
        }
        self.leases.into_iter().for_each(|lease| state.leases.set(lease));
        self.outcomes.into_iter().for_each(|recorded| state.sessions.insert(recorded));
        if !self.clients.into_iter().all(|client| state.sessions.restore_client(client)) {
            return Err(LoadError::ClientWithoutOutcomes);
        }
        state.sum_up()?;
        match state.hash().difference(&meta.hash()) {
            Some(part) => Err(LoadError::HashMismatch { part }),
            None => Ok(state),
        }
    }
}

impl LoadedWrite {
    fn new(revision: Revision, write: WriteRecord) -> Self {
        let WriteRecord { key, prior, transaction_end, put } = write;
        let object = match put {
            Some(put) => {
                let (created, version, lease) = (put.create_revision, put.version, put.lease);
                Ok(Arc::new(Object::of_own_bytes(key, put.value, created, revision, version, lease)))
            }
            None => Err(key),
        };
        Self { revision, prior, transaction_end, object }
    }
}

impl State {
    fn replay(&mut self, write: LoadedWrite, meta: &Meta) -> Result<(), LoadError> {
        let LoadedWrite { revision, prior, transaction_end, object } = write;
        if revision > meta.revision {
            return Err(LoadError::BeyondMeta { found: revision, revision: meta.revision });
        }
        // Readers walk these links: a loop would never end.
        if prior >= revision || transaction_end < revision || transaction_end > meta.revision {
            return Err(LoadError::ImpossibleLinks { revision });
        }
        let (object, previous) = match object {
            Ok(object) => (Some(object.clone()), self.keyspace.insert(object)),
            Err(key) => {
                let previous = self.keyspace.remove(&key);
                (None, Some(previous.ok_or(LoadError::DeleteOfNothing { revision })?))
            }
        };
        if revision > meta.compacted {
            let expected = self.history.end().next();
            if revision != expected {
                return Err(LoadError::HistoryHole { expected, found: revision });
            }
            self.history.push(Change { revision, prior, transaction_end, object, previous });
        }
        Ok(())
    }

    /// Derives what no record holds: sums, sizes, keys of leases.
    fn sum_up(&mut self) -> Result<(), LoadError> {
        for object in self.keyspace.iter_from(&[]) {
            self.live_bytes += object.size_bytes();
            self.objects_hash = self.objects_hash.wrapping_add(object.fingerprint());
            if let Some(lease) = object.lease() {
                self.leases.get(lease).ok_or(LoadError::LeaseMissing { lease })?;
                self.leases.reattach(object.key(), None, Some(lease));
            }
        }
        Ok(())
    }
}
