//! What may stand in the log.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::key::Key;
use crate::limits::{
    GUARDS_MAX, KEY_BYTES_MAX, LEASE_TTL_MS_MAX, LEASE_TTL_MS_MIN, Limits, OPERATIONS_MAX,
    TRANSACTION_BYTES_MAX, VALUE_BYTES_MAX,
};
use crate::outcome::Refusal;
use crate::revision::{LeaseId, Revision};

/// One log entry for the state machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proposal {
    /// Makes a repeated proposal apply once; `None` for proposals that are harmless when repeated.
    pub request: Option<RequestId>,
    /// The term under which a leader-scope writer decided this; refused when the state has seen a higher one.
    pub fence: Option<u64>,
    /// What to do.
    pub entry: Entry,
}

impl Proposal {
    /// A proposal without request id and fence.
    pub fn new(entry: Entry) -> Self {
        Self { request: None, fence: None, entry }
    }

    /// A transaction without request id and fence.
    pub fn transaction(guards: Vec<Guard>, operations: Vec<Operation>) -> Self {
        Self::new(Entry::Transaction(Transaction { guards, operations, room: Room::Ordinary }))
    }

    /// The same proposal under a request id.
    #[must_use]
    pub fn with_request(self, request: RequestId) -> Self {
        Self { request: Some(request), ..self }
    }

    /// The same proposal, fenced by the term under which it was decided.
    #[must_use]
    pub fn with_fence(self, term: u64) -> Self {
        Self { fence: Some(term), ..self }
    }

    /// Checks sizes and shape, which `apply` checks again. A proposer calls this first, so that a hostile
    /// proposal never costs a place in the log.
    ///
    /// # Errors
    /// The refusal that `apply` would give.
    pub fn check(&self) -> Result<(), Refusal> {
        if let Some(request) = &self.request
            && request.acknowledged >= request.sequence
        {
            return Err(Refusal::RequestOrder {
                sequence: request.sequence,
                acknowledged: request.acknowledged,
            });
        }
        match &self.entry {
            Entry::Transaction(transaction) => transaction.check(),
            Entry::LeaseGrant { ttl_ms, .. } if !(LEASE_TTL_MS_MIN..=LEASE_TTL_MS_MAX).contains(ttl_ms) => {
                Err(Refusal::LeaseTtl { ttl_ms: *ttl_ms })
            }
            Entry::Bump { floor } if floor.get() > REVISION_BUMP_MAX => {
                Err(Refusal::BumpTooFar { floor: *floor })
            }
            _ => Ok(()),
        }
    }
}

/// The highest revision that a bump may set; leaves half of the counter for writes.
const REVISION_BUMP_MAX: u64 = u64::MAX / 2;

/// Names one proposal of one client, so that sending it again after an unknown outcome applies it once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestId {
    /// Unique per client incarnation (random 128 bits or machine and start time; the state only compares it).
    pub client: ClientId,
    /// An applied log index that the client knew when it chose its id. Lets the state tell a new client from
    /// one whose outcomes were evicted, without a registration entry.
    pub born: u64,
    /// Number of this proposal within the client, from 1, unique; may arrive out of order.
    pub sequence: u64,
    /// Every sequence up to this one has been answered and will never be repeated; frees its outcome.
    pub acknowledged: u64,
}

/// Names a client incarnation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ClientId(pub u128);

/// The kinds of entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Entry {
    /// Nothing: a blank or membership entry of the log, which still moves the applied index.
    Noop,
    /// Guarded writes, all or none.
    Transaction(Transaction),
    /// A new lease, ending `ttl_ms` of log time from now.
    LeaseGrant {
        /// Chosen by the proposer.
        lease: LeaseId,
        /// Time to live in milliseconds of log time.
        ttl_ms: u64,
    },
    /// The lease ends its full time to live from now.
    LeaseRefresh {
        /// Which lease.
        lease: LeaseId,
    },
    /// Ends the lease and deletes its keys, each delete under its own revision.
    LeaseRevoke {
        /// Which lease.
        lease: LeaseId,
    },
    /// The leader's clock reaches the log: log time moves to `log_time_ms` (never back) and due leases end.
    Tick {
        /// Milliseconds since an origin that only the leaders need to agree on.
        log_time_ms: u64,
    },
    /// Forgets the history up to and including this revision.
    Compact {
        /// The last revision to forget.
        revision: Revision,
    },
    /// After a restore from a backup: jumps to a revision that no client of the lost timeline has seen and
    /// forgets the history, so that every watcher from before has to list again.
    Bump {
        /// The lowest revision to continue from.
        floor: Revision,
    },
    /// Changes the replicated limits.
    Configure(Limits),
}

/// Guarded writes, all or none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transaction {
    /// All must hold.
    pub guards: Vec<Guard>,
    /// Carried out in order, each put and effective delete under its own revision. No key twice.
    pub operations: Vec<Operation>,
    /// Which space the puts may use.
    pub room: Room,
}

/// Which space the puts of a transaction may use when the store is nearly full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Room {
    /// Up to the limit.
    #[default]
    Ordinary,
    /// Up to the limit and the reserve: for updates without which nothing can be deleted (deletion marks,
    /// finalizer removal, node heartbeats).
    Reserved,
}

/// A condition on the state before the transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Guard {
    /// The key does not exist.
    Absent(Key),
    /// The key exists, at any revision.
    Present(Key),
    /// The key exists and was last written at this revision.
    AtRevision(Key, Revision),
}

impl Guard {
    /// The key it speaks of.
    pub fn key(&self) -> &Key {
        match self {
            Self::Absent(key) | Self::Present(key) | Self::AtRevision(key, _) => key,
        }
    }

    /// Whether it holds for a key last written at `current` (`None`: does not exist).
    pub(crate) fn holds(&self, current: Option<Revision>) -> bool {
        match self {
            Self::Absent(_) => current.is_none(),
            Self::Present(_) => current.is_some(),
            Self::AtRevision(_, revision) => current == Some(*revision),
        }
    }
}

/// One write.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Operation {
    /// Creates or replaces the key.
    Put {
        /// The path.
        key: Key,
        /// Opaque bytes; stored as a copy of exact size.
        value: Bytes,
        /// Attaches the key to this lease; `None` detaches it from any.
        lease: Option<LeaseId>,
    },
    /// Removes the key; nothing happens (and no revision is taken) when it does not exist.
    Delete {
        /// The path.
        key: Key,
    },
}

impl Operation {
    /// The key it writes.
    pub fn key(&self) -> &Key {
        match self {
            Self::Put { key, .. } | Self::Delete { key } => key,
        }
    }

    fn value_bytes(&self) -> usize {
        match self {
            Self::Put { value, .. } => value.len(),
            Self::Delete { .. } => 0,
        }
    }
}

impl Transaction {
    fn check(&self) -> Result<(), Refusal> {
        if self.operations.len() > OPERATIONS_MAX {
            return Err(Refusal::TooManyOperations { operations: self.operations.len() });
        }
        if self.guards.len() > GUARDS_MAX {
            return Err(Refusal::TooManyGuards { guards: self.guards.len() });
        }
        let mut total_bytes = 0_usize;
        for guard in &self.guards {
            check_key(guard.key())?;
            total_bytes += guard.key().len();
        }
        for operation in &self.operations {
            check_key(operation.key())?;
            let value_bytes = operation.value_bytes();
            if value_bytes > VALUE_BYTES_MAX {
                return Err(Refusal::ValueTooLarge { key: operation.key().clone(), value_bytes });
            }
            total_bytes = total_bytes.saturating_add(operation.key().len() + value_bytes);
        }
        if total_bytes > TRANSACTION_BYTES_MAX {
            return Err(Refusal::TransactionTooLarge { total_bytes });
        }
        self.check_unique_keys()
    }

    fn check_unique_keys(&self) -> Result<(), Refusal> {
        if self.operations.len() < 2 {
            return Ok(());
        }
        let mut keys: Vec<&Key> = self.operations.iter().map(Operation::key).collect();
        keys.sort_unstable();
        match keys.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(Refusal::DuplicateKey { key: pair[0].clone() }),
            None => Ok(()),
        }
    }
}

fn check_key(key: &Key) -> Result<(), Refusal> {
    if key.is_empty() {
        return Err(Refusal::EmptyKey);
    }
    if key.len() > KEY_BYTES_MAX {
        // The hostile key itself stays out of the answer.
        return Err(Refusal::KeyTooLong { key_bytes: key.len() });
    }
    Ok(())
}
