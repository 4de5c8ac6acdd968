//! The index against a model: whatever is written, it says the same as one that is built anew.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use trireme_apiserver::records::encode;
use trireme_core::Rng;
use trireme_mvcc::watch::{Batch, Cursor, Filter, ReadLimits, WatchRequest};
use trireme_mvcc::{At, Delta, KeyRange, ListRequest, Operation, Proposal, State};

use super::*;

/// A store with a log.
#[derive(Default)]
struct Store {
    state: State,
    index: u64,
}

impl Store {
    fn write(&mut self, operation: Operation) {
        self.index += 1;
        let proposal = Proposal::transaction(Vec::new(), vec![operation]);
        let outcome = self.state.apply(self.index, 1, &proposal, &mut Delta::new()).expect("the next entry");
        outcome.expect("nothing guards it");
    }

    fn put(&mut self, key: &str, object: &Value) {
        self.write(Operation::Put { key: Key::from(key), value: encode(object), lease: None });
    }

    fn cursor(&self) -> Cursor {
        let (filter, after) = (Filter::Prefix(Key::new([])), self.state.revision());
        Cursor::new(&self.state, WatchRequest { filter, after, previous: true, bookmarks: false }).unwrap()
    }

    fn built(&self) -> Index {
        let range = KeyRange::all();
        let request = ListRequest {
            range: &range,
            at: At::Latest,
            after: None,
            limit_objects: usize::MAX,
            limit_bytes: usize::MAX,
        };
        let page = self.state.list(&request).unwrap();
        Index::new(page.revision.get(), page.objects)
    }
}

fn key(number: u64) -> String {
    match number {
        // What the server keeps for itself, and what is no object at all.
        0 => "/registry/~keys/a".to_owned(),
        1 => "/other".to_owned(),
        number if number % 2 == 0 => format!("/registry/core/pods/n{}/p{number}", number % 3),
        number => format!("/registry/apps/replicasets/n{}/r{number}", number % 3),
    }
}

fn object(uid: u64, rng: &mut Rng) -> Value {
    let owners: Vec<Value> = (0..rng.below(3))
        .map(|at| json!({"uid": format!("uid-{}", rng.below(12)), "controller": at == 0 && rng.chance(2, 3)}))
        .collect();
    let mut metadata = json!({"uid": format!("uid-{uid}"), "ownerReferences": owners});
    if rng.chance(1, 4) {
        metadata["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    }
    json!({"metadata": metadata, "spec": {"x": rng.below(9)}})
}

/// All that the index says.
fn says(index: &Index) -> BTreeSet<String> {
    let mut out = BTreeSet::new();
    for (key, entry) in index.range(b"/registry/", None) {
        out.insert(format!("{key} {} {:?}", entry.object.mod_revision(), entry.head));
        let resource = index.resource_of(key).expect("each has one");
        out.insert(format!("{key} {}", resource.plural));
    }
    for number in 0..12 {
        let uid = Uid::of(&format!("uid-{number}")).unwrap();
        out.extend(index.by_uid(uid).map(|(key, _)| format!("uid-{number} is {key}")));
        out.extend(index.dependents(uid).map(|(key, _)| format!("{key} is uid-{number}'s")));
    }
    out.extend(
        index
            .uncontrolled(b"/registry/core/pods/n1/")
            .map(|entry| format!("{} is loose", entry.object.key())),
    );
    out
}

#[test]
fn following_gives_what_building_gives() {
    for seed in 0..200 {
        let mut rng = Rng::new(seed);
        let mut store = Store::default();
        store.put("/other", &json!({"metadata": {}}));
        let (mut index, mut cursor) = (store.built(), store.cursor());
        let mut uids = [0; 12];
        for step in 0..60 {
            let number = rng.below(12);
            let at = usize::try_from(number).unwrap();
            if uids[at] != 0 && rng.chance(1, 4) {
                uids[at] = 0;
                store.write(Operation::Delete { key: Key::from(key(number).as_str()) });
            } else {
                uids[at] = if uids[at] == 0 { number + 1 } else { uids[at] };
                let object = object(number, &mut rng);
                store.put(&key(number), &object);
            }
            if !rng.chance(1, 3) {
                continue;
            }
            let mut batch = Batch::default();
            cursor.read(&store.state, ReadLimits::default(), &mut batch).unwrap();
            for change in &batch.events {
                let is_object =
                    change.key().starts_with(b"/registry/c") || change.key().starts_with(b"/registry/a");
                assert_eq!(index.take(change).is_some(), is_object, "seed {seed}, step {step}");
                // An old incarnation of the feed's actor was still at it.
                assert!(index.take(change).is_none());
            }
            assert_eq!(says(&index), says(&store.built()), "seed {seed}, step {step}");
            assert_eq!(index.revision, store.state.revision().get());
        }
    }
}

#[test]
fn only_owners_finalizers_and_deletion_are_about_metadata() {
    let mut store = Store::default();
    store.put("/registry/core/pods/d/a", &json!({"metadata": {"uid": "u"}}));
    let (mut index, mut cursor) = (store.built(), store.cursor());
    let mut about = |store: &mut Store, object: Value| {
        store.put("/registry/core/pods/d/a", &object);
        let mut batch = Batch::default();
        cursor.read(&store.state, ReadLimits::default(), &mut batch).unwrap();
        index.take(&batch.events[0]).unwrap().metadata
    };
    assert!(!about(
        &mut store,
        json!({"metadata": {"uid": "u", "labels": {"a": "b"}}, "status": {"phase": "Running"}})
    ));
    assert!(about(&mut store, json!({"metadata": {"uid": "u", "finalizers": ["f"]}})));
    assert!(about(
        &mut store,
        json!({"metadata": {"uid": "u", "finalizers": ["f"], "deletionTimestamp": "t"}})
    ));
    assert!(about(&mut store, json!({"metadata": {"uid": "u", "ownerReferences": [{"uid": "x"}]}})));
    assert!(!about(
        &mut store,
        json!({"metadata": {"uid": "u", "ownerReferences": [{"uid": "x", "name": "n"}]}})
    ));
}
