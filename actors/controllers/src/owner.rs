//! Owner references.

use serde_json::{Value, json};
use trireme_schema::view::View;

/// The reference to the controlling owner.
pub(crate) fn controller_of(object: &Value) -> Option<&Value> {
    object.at("metadata").list("ownerReferences").iter().find(|reference| reference.is_true("controller"))
}

/// The uid of the controlling owner, or `""`.
pub(crate) fn controller_uid(object: &Value) -> &str {
    controller_of(object).map_or("", |reference| reference.text("uid"))
}

/// A reference that makes `owner` the controller of what carries it.
pub(crate) fn controller_reference(api_version: &str, kind: &str, owner: &Value) -> Value {
    json!({
        "apiVersion": api_version,
        "kind": kind,
        "name": owner.at("metadata").text("name"),
        "uid": owner.at("metadata").text("uid"),
        "controller": true,
        "blockOwnerDeletion": true,
    })
}

/// Whether the object is on its way out.
pub(crate) fn is_deleting(object: &Value) -> bool {
    object.at("metadata").has("deletionTimestamp")
}
