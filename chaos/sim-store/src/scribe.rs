//! [`Scribe`]: writes down the log, which watchers are held against, and the state hashes of all members.
//!
//! It reads the history of applied states by a cursor of its own, beside the watches that are on trial. What was
//! applied was committed, so any member's history will do.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use trireme_laws::Record;
use trireme_laws::state_hash::HashSample;
use trireme_laws::watch::{Change, LoggedWrite};
use trireme_mvcc::watch::Cursor;
use trireme_mvcc::{Batch, Filter, Key, ReadLimits, Revision, State, StateHash, WatchRequest};
use trireme_raft::MemberId;
use trireme_raft::store::Store;

use crate::cluster::Cluster;
use crate::recorder::Recorder;
use crate::workload::value;

/// Pause between two rounds.
const PACE: Duration = Duration::from_millis(30);

/// See the module. Clones share it.
#[derive(Clone)]
pub(crate) struct Scribe {
    cluster: Cluster,
    recorder: Recorder,
    last: Arc<Mutex<u64>>,
}

impl Scribe {
    pub(crate) fn new(cluster: Cluster, recorder: Recorder) -> Self {
        Self { cluster, recorder, last: Arc::default() }
    }

    /// Works as long as the run goes on.
    pub(crate) async fn run(self) {
        loop {
            self.cluster.world.sleep(PACE).await;
            self.round();
        }
    }

    /// The revision up to which the log is written down.
    pub(crate) fn last(&self) -> u64 {
        *self.last.lock()
    }

    /// Reads what is new on every member.
    pub(crate) fn round(&self) {
        for member in self.cluster.present() {
            let hash = self.cluster.look(member, |store| {
                store.read(|state| {
                    self.copy(state);
                    state.hash()
                })
            });
            if let Some(hash) = hash {
                self.sample(member, &hash);
            }
        }
    }

    fn copy(&self, state: &State) {
        let mut last = self.last.lock();
        let request = WatchRequest {
            filter: Filter::Prefix(Key::from("")),
            after: Revision::new(*last),
            previous: false,
            bookmarks: false,
        };
        // A member that is behind, or has forgotten, has nothing to tell.
        let Ok(mut cursor) = Cursor::new(state, request) else { return };
        let mut batch = Batch { more: true, ..Batch::default() };
        while batch.more {
            if cursor.read(state, ReadLimits::default(), &mut batch).is_err() {
                return;
            }
            for change in &batch.events {
                let write = LoggedWrite {
                    revision: change.revision().get(),
                    transaction: change.transaction_end().get(),
                    key: value::name_of(change.key()),
                    change: change
                        .object()
                        .map_or(Change::Delete, |object| Change::Put(value::print(object))),
                };
                self.recorder.push(Record::Logged(write));
            }
            *last = batch.through.get();
        }
    }

    pub(crate) fn sample(&self, member: MemberId, hash: &StateHash) {
        let at = self.cluster.world.now();
        self.recorder.push(Record::Hash(HashSample { member, at, index: hash.index, hash: fold(hash) }));
    }
}

/// All parts in 64 bits. Rotations keep equal changes in two parts from cancelling out.
pub(crate) fn fold(hash: &StateHash) -> u64 {
    let parts = [hash.objects, hash.history, hash.leases, hash.sessions, hash.counters];
    let all = parts.iter().fold(0_u128, |sum, part| sum.rotate_left(29) ^ part);
    let bytes = all.to_be_bytes();
    let (high, low) = bytes.split_at(8);
    let half = |half: &[u8]| u64::from_be_bytes(half.try_into().expect("half of 16 bytes"));
    half(high).rotate_left(7) ^ half(low)
}
