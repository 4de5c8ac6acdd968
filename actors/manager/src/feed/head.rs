//! [`Head`]: what the index keeps of an object, read without decoding the rest.

use serde::Deserialize;
use std::borrow::Cow;
use trireme_apiserver::records::Record;

use super::uid::Uid;

/// What an object's metadata says about where it belongs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) uid: Option<Uid>,
    /// The owner that controls it.
    pub(crate) controller: Option<Uid>,
    /// All owners, in the object's order.
    pub(crate) owners: Box<[Uid]>,
    /// It is on its way out.
    pub(crate) deleting: bool,
    /// A number that differs when its finalizers differ.
    pub(crate) finalizers: u64,
}

#[derive(Deserialize)]
struct Object<'a> {
    #[serde(borrow, default)]
    metadata: Metadata<'a>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata<'a> {
    #[serde(borrow, default)]
    uid: Cow<'a, str>,
    #[serde(borrow, default)]
    owner_references: Vec<Owner<'a>>,
    #[serde(default)]
    deletion_timestamp: Option<serde::de::IgnoredAny>,
    #[serde(borrow, default)]
    finalizers: Vec<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Owner<'a> {
    #[serde(borrow, default)]
    uid: Cow<'a, str>,
    #[serde(default)]
    controller: Option<bool>,
}

impl Head {
    /// Reads it. An object that cannot be read has none: it is found by its key only, and whoever decodes it is told.
    pub(crate) fn of(record: &Record) -> Self {
        let read: Result<Object<'_>, _> = serde_json::from_slice(record.stored_json());
        let metadata = match read {
            Ok(object) => object.metadata,
            Err(error) => {
                tracing::error!(key = %record.key(), %error, "the metadata of a stored object cannot be read");
                return Self::default();
            }
        };
        let controls = |owner: &&Owner<'_>| owner.controller == Some(true);
        let controller = metadata.owner_references.iter().find(controls);
        Self {
            uid: Uid::of(&metadata.uid),
            controller: controller.and_then(|owner| Uid::of(&owner.uid)),
            owners: metadata.owner_references.iter().filter_map(|owner| Uid::of(&owner.uid)).collect(),
            deleting: metadata.deletion_timestamp.is_some(),
            finalizers: sum(&metadata.finalizers),
        }
    }
}

fn sum(texts: &[Cow<'_, str>]) -> u64 {
    let bytes = texts.iter().flat_map(|text| text.bytes().chain([0]));
    bytes.fold(0xCBF2_9CE4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use trireme_apiserver::records::encode;
    use trireme_mvcc::{Key, Revision};

    use super::*;

    #[test]
    fn owners_deletion_and_finalizers_are_read_from_the_stored_form() {
        let read = |metadata: serde_json::Value| {
            let value =
                encode(&json!({"kind": "Pod", "apiVersion": "v1", "metadata": metadata, "spec": {"a": [1]}}));
            Head::of(&Record::written(Key::from("/registry/core/pods/d/a"), value, Revision::new(3)).unwrap())
        };
        let plain = read(json!({"name": "a", "uid": "u"}));
        assert_eq!((plain.uid, plain.controller, plain.deleting), (Uid::of("u"), None, false));
        let owned = read(json!({
            "uid": "u", "deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["x"],
            "ownerReferences": [{"uid": "a"}, {"uid": "b\u{e9}\"", "controller": true}],
        }));
        assert_eq!(owned.owners.len(), 2);
        assert_eq!(owned.controller, Uid::of("b\u{e9}\""));
        assert!(owned.deleting && owned.finalizers != plain.finalizers);
        assert!(!read(json!({"deletionTimestamp": null})).deleting);
    }
}
