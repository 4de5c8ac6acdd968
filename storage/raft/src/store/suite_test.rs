//! openraft's own suite for log stores and state machines, over both logs.

use std::io;
use std::sync::Arc;

use futures_util::{Stream, StreamExt, stream};
use openraft::entry::RaftEntry;
use openraft::storage::{EntryResponder, RaftStateMachine};
use openraft::testing::log::{StoreBuilder, Suite};
use openraft::type_config::alias::SnapshotOf;
use openraft::{OptionalSend, StorageError};
use tempfile::TempDir;

use super::log_store::LogStore;
use super::machine::{Builder as SnapshotBuilder, Machine};
use super::snapshot_file::{SnapshotDir, SnapshotFile};
use super::types::{Entry, LogId, SnapshotMeta, StoredMembership, TypeConfig};
use crate::disk::RealDisk;
use crate::log_db::{LogDb, SegmentedLog, SegmentedOptions, SledLog};
use crate::state_db::SledState;

/// The suite applies entries with gaps, which Raft never does and our state refuses: fills them with blanks.
struct Filled(Machine);

impl RaftStateMachine<TypeConfig> for Filled {
    type SnapshotData = SnapshotFile;
    type SnapshotBuilder = SnapshotBuilder;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembership), io::Error> {
        self.0.applied_state().await
    }

    async fn apply<Strm>(&mut self, mut entries: Strm) -> Result<(), io::Error>
    where
        Strm: Stream<Item = Result<EntryResponder<TypeConfig>, io::Error>> + Unpin + OptionalSend,
    {
        let mut next = self.0.applied_state().await?.0.map_or(0, |id| id.index + 1);
        let mut filled = Vec::new();
        while let Some(item) = entries.next().await {
            let (entry, responder) = item?;
            let id = entry.log_id;
            filled.extend((next..id.index).map(|index| {
                let blank = LogId { leader_id: id.leader_id, index };
                Ok((Entry::new_blank(blank), None))
            }));
            next = id.index + 1;
            filled.push(Ok((entry, responder)));
        }
        self.0.apply(stream::iter(filled)).await
    }

    async fn get_snapshot_builder(&mut self) -> SnapshotBuilder {
        self.0.get_snapshot_builder().await
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta,
        snapshot: SnapshotFile,
    ) -> Result<(), io::Error> {
        self.0.install_snapshot(meta, snapshot).await
    }

    async fn get_current_snapshot(
        &mut self,
    ) -> Result<Option<SnapshotOf<TypeConfig, SnapshotFile>>, io::Error> {
        self.0.get_current_snapshot().await
    }
}

struct Builder {
    log: fn(&TempDir) -> Arc<dyn LogDb>,
}

impl StoreBuilder<TypeConfig, LogStore, Filled, TempDir> for Builder {
    async fn build(&self) -> Result<(TempDir, LogStore, Filled), StorageError<TypeConfig>> {
        let home = TempDir::new().unwrap();
        let log = LogStore::start((self.log)(&home), None, None).unwrap();
        let state = SledState::open(Arc::new(RealDisk), &home.path().join("state")).unwrap();
        let snapshots = SnapshotDir::open(Arc::new(RealDisk), &home.path().join("snapshot")).unwrap();
        let (machine, _due) = Machine::open(Arc::new(state), snapshots, None, None, 1_000).unwrap();
        Ok((home, log, Filled(machine)))
    }
}

#[tokio::test]
async fn segmented_log_passes_the_suite() {
    let log = |home: &TempDir| -> Arc<dyn LogDb> {
        let dir = home.path().join("log");
        Arc::new(SegmentedLog::create(Arc::new(RealDisk), &dir, SegmentedOptions::default()).unwrap())
    };
    Suite::test_all(Builder { log }).await.unwrap();
}

#[tokio::test]
async fn sled_log_passes_the_suite() {
    let log = |home: &TempDir| -> Arc<dyn LogDb> {
        Arc::new(SledLog::create(Arc::new(RealDisk), &home.path().join("log")).unwrap())
    };
    Suite::test_all(Builder { log }).await.unwrap();
}
