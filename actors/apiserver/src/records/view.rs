//! [`StoreView`]: the applied state as [`Objects`], for decisions that must not know the store.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::Value;
use trireme_mvcc::watch::{Batch, Cursor, Filter, ReadLimits, WatchRequest};
use trireme_mvcc::{At, Key, KeyRange, ListRequest, Revision, State};
use trireme_schema::objects::Objects;

use super::keys::ResourceKey;
use super::record::Record;
use super::store::Records;

/// Says under which key a resource is stored.
pub(super) type Locate = dyn Fn(&str, &str) -> Option<ResourceKey> + Send + Sync;

/// The objects of this member's applied state. Never blocks; what is damaged reads as absent and is logged.
pub struct StoreView {
    records: Arc<Records>,
    locate: Box<Locate>,
    changes: Mutex<BTreeMap<String, Follower>>,
}

/// Tells whether a resource changed.
struct Follower {
    cursor: Cursor,
    changed: u64,
}

impl StoreView {
    /// `locate` knows the kinds that are served.
    pub fn new(records: Arc<Records>, locate: Box<Locate>) -> Self {
        Self { records, locate, changes: Mutex::default() }
    }

    fn decode(&self, record: &Record) -> Option<Arc<Value>> {
        self.records
            .decode(record)
            .inspect_err(|error| tracing::error!(%error, "an object is left out of a decision"))
            .ok()
    }

    fn record(&self, key: &Key) -> Option<Record> {
        let object = self.records.read_local(|state| state.get(key).cloned())??;
        Record::new(&object).inspect_err(|error| tracing::error!(%error, "an object is left out")).ok()
    }
}

impl Objects for StoreView {
    fn get(&self, group: &str, resource: &str, namespace: &str, name: &str) -> Option<Arc<Value>> {
        let key = (self.locate)(group, resource)?.key(namespace, name);
        self.decode(&self.record(&key)?)
    }

    fn list(&self, group: &str, resource: &str, namespace: Option<&str>) -> Vec<Arc<Value>> {
        let Some(at) = (self.locate)(group, resource) else { return Vec::new() };
        let range = KeyRange::prefix(at.prefix(namespace.unwrap_or("")));
        let request = ListRequest {
            range: &range,
            at: At::Latest,
            after: None,
            limit_objects: usize::MAX,
            limit_bytes: usize::MAX,
        };
        let page = self.records.read_local(|state| state.list(&request).map(|page| page.objects));
        let objects = page.and_then(Result::ok).unwrap_or_default();
        objects.into_iter().filter_map(|object| self.decode(&Record::new(&object).ok()?)).collect()
    }

    fn revision(&self, group: &str, resource: &str) -> u64 {
        let Some(at) = (self.locate)(group, resource) else { return 0 };
        let prefix = at.prefix("");
        let mut changes = self.changes.lock();
        let now = self.records.read_local(|state| follow(&mut changes, &prefix, state));
        now.unwrap_or(0)
    }
}

/// The revision at which the resource was last seen to have changed.
fn follow(changes: &mut BTreeMap<String, Follower>, prefix: &str, state: &State) -> u64 {
    let fresh = |state: &State| {
        let request = WatchRequest {
            filter: Filter::Prefix(Key::from(prefix)),
            after: state.revision(),
            previous: false,
            bookmarks: false,
        };
        let cursor = Cursor::new(state, request).expect("a cursor at the newest revision is always given");
        // Zero says "no object": a resource that exists changes at one or later.
        Follower { cursor, changed: state.revision().max(Revision::new(1)).get() }
    };
    let follower = changes.entry(prefix.to_owned()).or_insert_with(|| fresh(state));
    let mut batch = Batch::default();
    loop {
        match follower.cursor.read(state, ReadLimits::default(), &mut batch) {
            Ok(()) => {
                if let Some(last) = batch.events.last() {
                    follower.changed = last.revision().get();
                }
                if !batch.more {
                    return follower.changed;
                }
            }
            Err(_) => {
                *follower = fresh(state);
                return follower.changed;
            }
        }
    }
}
