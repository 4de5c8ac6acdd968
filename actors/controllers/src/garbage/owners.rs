//! What an object's owners are to it.

use serde_json::Value;
use trireme_schema::view::View;

use crate::owner::is_deleting;
use crate::world::World;

/// Finalizer of an object that goes after its dependents.
pub(super) const FOREGROUND: &str = "foregroundDeletion";
/// Finalizer of an object that leaves its dependents behind.
pub(super) const ORPHAN: &str = "orphan";

/// What one owner is to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// It is there.
    Solid,
    /// It is gone, or never was what the reference says.
    Gone,
    /// It goes as soon as its dependents have gone.
    Waiting,
}

/// Whether the object carries a finalizer.
pub(super) fn has_finalizer(object: &Value, name: &str) -> bool {
    object.at("metadata").list("finalizers").iter().any(|finalizer| finalizer.as_str() == Some(name))
}

/// Whether the object goes once its dependents have gone.
pub(super) fn waits_for_dependents(object: &Value) -> bool {
    is_deleting(object) && has_finalizer(object, FOREGROUND)
}

/// Judges one owner reference of an object.
pub(super) fn judge(reference: &Value, object: &Value, world: &dyn World) -> Owner {
    let Some((resource, owner)) = world.by_uid(reference.text("uid")) else { return Owner::Gone };
    let metadata = owner.at("metadata");
    let named = metadata.text("name") == reference.text("name")
        && world
            .resource_of(reference.text("apiVersion"), reference.text("kind"))
            .is_none_or(|r| r == resource);
    // An owner lives in the same namespace or in none.
    let near = metadata.text("namespace").is_empty()
        || metadata.text("namespace") == object.at("metadata").text("namespace");
    if !named || !near {
        Owner::Gone
    } else if waits_for_dependents(&owner) {
        Owner::Waiting
    } else {
        Owner::Solid
    }
}
