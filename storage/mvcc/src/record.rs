//! The state as records: what the state database stores and what a snapshot carries.
//!
//! One form for both. Every version and every delete is one record under its revision, written once; a value
//! is never rewritten by a later change of another key. A key's live version is the one with the highest
//! revision. Records sort so that the `Meta` record comes first and versions come in revision order.
//!
//! | key | value |
//! |---|---|
//! | `m` | schema version (two bytes), [`Meta`], checksum (16 bytes) |
//! | `r` revision | version or delete |
//! | `l` lease id | lease |
//! | `s` client, sequence | outcome |
//! | `t` client | client floor |
//!
//! Numbers in record keys are big endian, so that bytewise order is number order.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::change::Change;
use crate::codec::{CodecError, Hasher, decode, encode_into};
use crate::key::Key;
use crate::leases::Lease;
use crate::limits::Limits;
use crate::object::Object;
use crate::proposal::ClientId;
use crate::revision::{LeaseId, Revision};
use crate::sessions::{Client, Recorded};
use crate::state_hash::StateHash;

/// Version of the record formats. A build reads only its own; a change of format takes the next number and keeps
/// a reader for the old one.
pub const SCHEMA_VERSION: u16 = 1;

/// What there is one of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    /// Log index up to which entries are applied.
    pub applied_index: u64,
    /// Term of that entry.
    pub applied_term: u64,
    /// Highest term seen, by entries and fences.
    pub highest_term: u64,
    /// The revision of the last write.
    pub revision: Revision,
    /// The last forgotten revision.
    pub compacted: Revision,
    /// Log time in milliseconds.
    pub log_time_ms: u64,
    /// Outcomes of entries up to this log index may be missing.
    pub session_horizon: u64,
    /// Number of live objects.
    pub objects: u64,
    /// The replicated limits.
    pub limits: Limits,
    /// Sum of the fingerprints of live objects.
    pub objects_hash: u128,
    /// Sum of the fingerprints of changes in the history.
    pub history_hash: u128,
    /// Sum of the hashes of leases.
    pub leases_hash: u128,
    /// Sum of the hashes of kept outcomes and clients.
    pub sessions_hash: u128,
}

impl Meta {
    /// Hash of the whole state at `applied_index`.
    pub fn hash(&self) -> StateHash {
        StateHash {
            index: self.applied_index,
            objects: self.objects_hash,
            history: self.history_hash,
            leases: self.leases_hash,
            sessions: self.sessions_hash,
            counters: Hasher::record(self),
        }
    }
}

/// Names a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RecordKey {
    /// The one `Meta` record.
    Meta,
    /// A version or a delete.
    Write(Revision),
    /// A lease.
    Lease(LeaseId),
    /// An outcome.
    Outcome(ClientId, u64),
    /// A client.
    Client(ClientId),
}

impl RecordKey {
    /// Appends the key's bytes.
    pub fn encode_into(&self, out: &mut Vec<u8>) {
        match self {
            Self::Meta => out.push(b'm'),
            Self::Write(revision) => {
                out.push(b'r');
                out.extend_from_slice(&revision.get().to_be_bytes());
            }
            Self::Lease(lease) => {
                out.push(b'l');
                out.extend_from_slice(&lease.get().to_be_bytes());
            }
            Self::Outcome(client, sequence) => {
                out.push(b's');
                out.extend_from_slice(&client.0.to_be_bytes());
                out.extend_from_slice(&sequence.to_be_bytes());
            }
            Self::Client(client) => {
                out.push(b't');
                out.extend_from_slice(&client.0.to_be_bytes());
            }
        }
    }

    /// Reads a key's bytes; `None` when no record is named so.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (tag, rest) = bytes.split_first()?;
        match (tag, rest.len()) {
            (b'm', 0) => Some(Self::Meta),
            (b'r', 8) => Some(Self::Write(Revision::new(u64::from_be_bytes(rest.try_into().ok()?)))),
            (b'l', 8) => Some(Self::Lease(LeaseId::new(u64::from_be_bytes(rest.try_into().ok()?))?)),
            (b's', 24) => {
                let client = u128::from_be_bytes(rest[..16].try_into().ok()?);
                Some(Self::Outcome(ClientId(client), u64::from_be_bytes(rest[16..].try_into().ok()?)))
            }
            (b't', 16) => Some(Self::Client(ClientId(u128::from_be_bytes(rest.try_into().ok()?)))),
            _ => None,
        }
    }
}

/// A version or a delete as stored under its revision.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WriteRecord {
    pub(crate) key: Key,
    /// Zero when the history knew of no earlier change.
    pub(crate) prior: Revision,
    pub(crate) transaction_end: Revision,
    /// `None`: a delete.
    pub(crate) put: Option<PutRecord>,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PutRecord {
    pub(crate) create_revision: Revision,
    pub(crate) version: u64,
    pub(crate) lease: Option<LeaseId>,
    pub(crate) value: Bytes,
}

impl WriteRecord {
    pub(crate) fn of_change(change: &Change) -> Self {
        Self {
            key: change.key().clone(),
            prior: change.prior,
            transaction_end: change.transaction_end,
            put: change.object.as_deref().map(PutRecord::of_object),
        }
    }

    /// A version whose change has been forgotten: only the version matters.
    pub(crate) fn of_object(object: &Object) -> Self {
        Self {
            key: object.key().clone(),
            prior: Revision::ZERO,
            transaction_end: object.mod_revision(),
            put: Some(PutRecord::of_object(object)),
        }
    }
}

impl PutRecord {
    fn of_object(object: &Object) -> Self {
        Self {
            create_revision: object.create_revision(),
            version: object.version(),
            lease: object.lease(),
            value: object.value().clone(),
        }
    }
}

/// A decoded record.
#[derive(Debug)]
pub(crate) enum Record {
    Meta(Box<Meta>),
    Write(Revision, WriteRecord),
    Lease(Lease),
    Outcome(Recorded),
    Client(Client),
}

/// Why a record cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Unknown kind of record.
    #[error("a record has a name of no known kind ({} bytes); the copy is damaged or of a later version", .bytes)]
    UnknownName {
        /// Length of the name.
        bytes: usize,
    },
    /// Written by another version of the format.
    #[error(
        "the state was written under schema version {found}, this build reads {SCHEMA_VERSION}; run the build that wrote it or restore a snapshot"
    )]
    Schema {
        /// What the record says.
        found: u16,
    },
    /// The `Meta` record is not what was written.
    #[error(
        "the meta record does not have the checksum that was stored with it; rebuild the copy from a peer"
    )]
    MetaDamaged,
    /// Name and content disagree.
    #[error("{what} is stored under the name of another; the copy is damaged")]
    WrongName {
        /// Which record.
        what: &'static str,
    },
    /// Does not decode.
    #[error(transparent)]
    Codec(#[from] CodecError),
}

impl Record {
    pub(crate) fn decode(name: &[u8], value: &[u8]) -> Result<Self, RecordError> {
        let key = RecordKey::decode(name).ok_or(RecordError::UnknownName { bytes: name.len() })?;
        match key {
            RecordKey::Meta => decode_meta(value).map(|meta| Self::Meta(Box::new(meta))),
            RecordKey::Write(revision) => Ok(Self::Write(revision, decode("the record of a write", value)?)),
            RecordKey::Lease(id) => {
                let lease: Lease = decode("a lease", value)?;
                named(lease.id == id, "a lease", Self::Lease(lease))
            }
            RecordKey::Outcome(client, sequence) => {
                let recorded: Recorded = decode("an outcome", value)?;
                let same = recorded.client == client && recorded.sequence == sequence;
                named(same, "an outcome", Self::Outcome(recorded))
            }
            RecordKey::Client(id) => {
                let client: Client = decode("a client", value)?;
                named(client.id == id, "a client", Self::Client(client))
            }
        }
    }
}

fn named(same: bool, what: &'static str, record: Record) -> Result<Record, RecordError> {
    if same { Ok(record) } else { Err(RecordError::WrongName { what }) }
}

/// Appends the `Meta` record's value.
pub(crate) fn encode_meta(meta: &Meta, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&SCHEMA_VERSION.to_le_bytes());
    encode_into(meta, out);
    let check = Hasher::bytes(&out[start..]);
    out.extend_from_slice(&check.to_le_bytes());
}

/// Reads the value of a `Meta` record; lets a shell see the applied index before it loads the rest.
///
/// # Errors
/// Another schema version, or bytes that are no `Meta` record.
pub fn decode_meta(value: &[u8]) -> Result<Meta, RecordError> {
    let Some((schema, rest)) = value.split_first_chunk::<2>() else {
        return Err(CodecError::Malformed { what: "the meta record", cause: "too short".to_owned() }.into());
    };
    let found = u16::from_le_bytes(*schema);
    if found != SCHEMA_VERSION {
        return Err(RecordError::Schema { found });
    }
    let (body, check) = rest.split_last_chunk::<16>().ok_or(RecordError::MetaDamaged)?;
    if Hasher::bytes(&value[..2 + body.len()]).to_le_bytes() != *check {
        return Err(RecordError::MetaDamaged);
    }
    Ok(decode("the meta record", body)?)
}
