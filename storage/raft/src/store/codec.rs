//! Bytes of log entries, votes and messages: one version byte, then bincode.
//!
//! Frozen: a change of any encoded type takes the next version and keeps a reader for this one.

use bincode::config::{Configuration, Limit, standard};
use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

/// The version written, and the only one read.
const VERSION: u8 = 1;
/// Largest value that is decoded, in bytes.
pub(crate) const DECODE_LIMIT_BYTES: usize = 64 * 1024 * 1024;

/// Bytes that do not decode. From a peer: of another version; from the disk: a bug, since checksums matched.
#[derive(Debug, Error)]
pub(crate) enum CodecError {
    #[error("format version {found}, this build reads {VERSION}: run the version that wrote it")]
    Version { found: u8 },
    #[error("empty")]
    Empty,
    #[error("malformed: {0}")]
    Malformed(#[from] bincode::error::DecodeError),
}

fn config() -> Configuration<bincode::config::LittleEndian, bincode::config::Varint, Limit<DECODE_LIMIT_BYTES>>
{
    standard().with_limit::<DECODE_LIMIT_BYTES>()
}

pub(crate) fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    encode_about(value, 64)
}

/// The same for a value that takes about so many bytes: it is not moved while it grows.
pub(crate) fn encode_about<T: Serialize>(value: &T, bytes: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes + 1);
    out.push(VERSION);
    bincode::serde::encode_into_std_write(value, &mut out, standard())
        .expect("memory does not fail, and the types have no shape that bincode refuses");
    out
}

pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    let (version, body) = bytes.split_first().ok_or(CodecError::Empty)?;
    if *version != VERSION {
        return Err(CodecError::Version { found: *version });
    }
    Ok(bincode::serde::decode_from_slice(body, config())?.0)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use openraft::entry::RaftEntry;
    use openraft::raft::{AppendEntriesRequest, StreamAppendResult};
    use openraft::{EntryPayload, Membership};
    use trireme_mvcc::{Key, Operation, Proposal};

    use super::*;
    use crate::identity::DatabaseId;
    use crate::store::types::{Command, Entry, LogId, Peer, TypeConfig, Vote};

    #[test]
    fn every_kind_of_entry_and_request_comes_back() {
        let at = |index| LogId::new_term_index(3, index);
        let peer = Peer { address: "a:1".to_owned(), database: DatabaseId(u128::MAX) };
        let nodes = [(1, peer.clone()), (2, peer)];
        let membership =
            Membership::new(vec![[1].into(), [1, 2].into()], std::collections::BTreeMap::from(nodes))
                .unwrap();
        let operation = Operation::Put { key: Key::new("k"), value: vec![7; 300].into(), lease: None };
        let proposal = Proposal::transaction(vec![], vec![operation]);
        let entries = vec![
            Entry::new_blank(at(0)),
            Entry { log_id: at(1), payload: EntryPayload::Membership(membership) },
            Entry { log_id: at(2), payload: EntryPayload::Normal(Command(Arc::new(proposal))) },
        ];
        for entry in &entries {
            assert_eq!(&decode::<Entry>(&encode(entry)).unwrap(), entry);
        }
        let request = AppendEntriesRequest::<TypeConfig> {
            vote: Vote::new_committed(3, 1),
            prev_log_id: None,
            entries,
            leader_commit: Some(at(2)),
        };
        let back = decode::<AppendEntriesRequest<TypeConfig>>(&encode(&request)).unwrap();
        assert_eq!(
            (back.vote, back.entries, back.leader_commit),
            (request.vote, request.entries, request.leader_commit)
        );
        let result: StreamAppendResult<TypeConfig> = Ok(Some(at(2)));
        assert_eq!(decode::<StreamAppendResult<TypeConfig>>(&encode(&result)).unwrap(), result);
    }

    #[test]
    fn foreign_bytes_are_refused() {
        assert!(matches!(decode::<u64>(&[]), Err(CodecError::Empty)));
        assert!(matches!(decode::<u64>(&[2, 0]), Err(CodecError::Version { found: 2 })));
        assert!(matches!(decode::<String>(&[1, 255, 255]), Err(CodecError::Malformed(_))));
    }
}
