//! Reads at a member that can reach nobody.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use trireme_mvcc::{KeyRange, Revision};
use trireme_raft::disk::RealDisk;
use trireme_raft::store::transport::{Duplex, Lane, RaftTransport, Target, TransportError};
use trireme_raft::store::{RaftStore, StoreConfig, StoreError};
use trireme_raft::{ClusterId, Database, LogKind};

use super::*;

/// Reaches nobody.
struct Alone;

impl RaftTransport for Alone {
    fn request(
        &self,
        to: &Target,
        _: Lane,
        _: Bytes,
        _: Duration,
    ) -> BoxFuture<'static, Result<Bytes, TransportError>> {
        let error = TransportError::Unreachable { member: to.member, why: "alone".to_owned() };
        std::future::ready(Err(error)).boxed()
    }

    fn open(&self, to: &Target, _: Lane) -> BoxFuture<'static, Result<Duplex, TransportError>> {
        let error = TransportError::Unreachable { member: to.member, why: "alone".to_owned() };
        std::future::ready(Err(error)).boxed()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_linearizable_read_is_not_answered_without_a_quorum() {
    let folder = tempfile::tempdir().unwrap();
    let identity = Database::new_identity(ClusterId(1), 1, LogKind::default()).unwrap();
    let database = Database::create(Arc::new(RealDisk), &folder.path().join("db"), identity).unwrap();
    let store = RaftStore::start(database, Arc::new(Alone), StoreConfig::default()).await.unwrap();
    let member = Member::of(store, identity, false);
    let get = |consistency| Get { key: "/a".into(), consistency };
    let list = |consistency| List {
        range: KeyRange::all(),
        consistency,
        after: None,
        limit_objects: 1,
        limit_bytes: 1,
    };
    // Nobody leads: it cannot know what was written elsewhere.
    let (one, page) = tokio::join!(
        super::get(&member, get(Consistency::Linearizable)),
        super::list(&member, list(Consistency::Linearizable))
    );
    let refused = |error: &ReadRefused| matches!(error, ReadRefused::Store(StoreError::Unavailable { .. }));
    assert!(one.as_ref().is_err_and(refused), "{one:?}");
    assert!(page.as_ref().is_err_and(refused), "{page:?}");
    // Whoever asks for what this member has gets it.
    assert_eq!(super::get(&member, get(Consistency::Local)).await.unwrap().item, None);
    assert_eq!(super::list(&member, list(Consistency::AtRevision(Revision::ZERO))).await.unwrap().items, []);
    member.store.shutdown().await;
}
