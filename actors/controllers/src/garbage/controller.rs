//! [`GarbageCollector`].

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;
use trireme_schema::view::{Edit, View};

use super::owners::{FOREGROUND, ORPHAN, Owner, has_finalizer, judge, waits_for_dependents};
use crate::controller::{Change, Controller, Look, Resource};
use crate::key::Key;
use crate::owner::is_deleting;
use crate::plan::{Plan, Propagation, Write};
use crate::world::World;

/// Most dependents that one plan touches; the others come with the next look.
const DEPENDENTS_PER_PLAN: usize = 500;

/// Objects that are looked at for whether one waits for itself. A longer cycle is left to whoever made it.
const CYCLE_OBJECTS: usize = 1_000;

/// See the module.
#[derive(Debug, Default)]
pub struct GarbageCollector {}

fn uid_key(uid: &str) -> Key {
    Key::new("", uid)
}

fn uid(object: &Value) -> &str {
    object.at("metadata").text("uid")
}

/// The object without its references to some owners.
fn without_owners(object: &Value, leaves: impl Fn(&Value) -> bool) -> Value {
    let mut object = object.clone();
    let mut references = object.at("metadata").list("ownerReferences").to_vec();
    references.retain(|reference| !leaves(reference));
    if references.is_empty() {
        object["metadata"].remove("ownerReferences");
    } else {
        object["metadata"].put("ownerReferences", references);
    }
    object
}

/// Whether an object waits for itself to go: through dependents that keep their owner from going first.
fn waits_for_itself(object: &Value, world: &dyn World) -> bool {
    let mut seen = BTreeSet::from([uid(object).to_owned()]);
    let mut next = vec![uid(object).to_owned()];
    while let Some(owner) = next.pop() {
        for (_, dependent) in world.dependents(&owner) {
            if !blocks(&dependent, &owner) {
                continue;
            }
            if uid(&dependent) == uid(object) {
                return true;
            }
            if seen.len() < CYCLE_OBJECTS && seen.insert(uid(&dependent).to_owned()) {
                next.push(uid(&dependent).to_owned());
            }
        }
    }
    false
}

/// The object, which keeps none of its owners from going first any more: so upstream ends cycles.
fn unblocked(object: &Value) -> Value {
    let mut object = object.clone();
    let mut references = object.at("metadata").list("ownerReferences").to_vec();
    for reference in &mut references {
        reference.put("blockOwnerDeletion", false);
    }
    object["metadata"].put("ownerReferences", references);
    object
}

fn without_finalizer(object: &Value, name: &str) -> Value {
    let mut object = object.clone();
    let mut finalizers = object.at("metadata").list("finalizers").to_vec();
    finalizers.retain(|finalizer| finalizer.as_str() != Some(name));
    object["metadata"].put("finalizers", finalizers);
    object
}

fn update(resource: Resource, object: Value) -> Write {
    Write::Update { resource, subresource: "", object }
}

fn delete(resource: Resource, object: &Value, propagation: Propagation) -> Write {
    let metadata = object.at("metadata");
    Write::Delete {
        resource,
        namespace: metadata.text("namespace").to_owned(),
        name: metadata.text("name").to_owned(),
        uid: metadata.text("uid").to_owned(),
        // An owner added meanwhile would keep it.
        resource_version: Some(metadata.text("resourceVersion").to_owned()),
        propagation,
    }
}

/// The reference keeps its owner from going first.
fn blocks(dependent: &Value, owner_uid: &str) -> bool {
    let references = dependent.at("metadata").list("ownerReferences");
    references
        .iter()
        .any(|reference| reference.text("uid") == owner_uid && reference.is_true("blockOwnerDeletion"))
}

impl GarbageCollector {
    /// Dependents lose their reference; then the owner may go.
    fn orphan(resource: Resource, object: &Value, world: &dyn World) -> Plan {
        let mut dependents = world.dependents(uid(object));
        dependents.truncate(DEPENDENTS_PER_PLAN);
        if dependents.is_empty() {
            return Plan::one(update(resource, without_finalizer(object, ORPHAN)));
        }
        let leaves = |reference: &Value| reference.text("uid") == uid(object);
        let writes = dependents
            .into_iter()
            .map(|(resource, dependent)| update(resource, without_owners(&dependent, leaves)));
        Plan { writes: writes.collect(), again_after: None }
    }

    /// Dependents go; when none that blocks is left, the owner goes.
    fn foreground(resource: Resource, object: &Value, world: &dyn World) -> Plan {
        let dependents = world.dependents(uid(object));
        if !dependents.iter().any(|(_, dependent)| blocks(dependent, uid(object))) {
            return Plan::one(update(resource, without_finalizer(object, FOREGROUND)));
        }
        let here: Vec<_> = dependents.into_iter().filter(|(_, dependent)| !is_deleting(dependent)).collect();
        if here.is_empty() && waits_for_itself(object, world) {
            return Plan::one(update(resource, unblocked(object)));
        }
        let here = here.into_iter();
        let plans = here
            .take(DEPENDENTS_PER_PLAN)
            .map(|(resource, dependent)| Self::owned(resource, &dependent, world));
        Plan { writes: plans.flat_map(|plan| plan.writes).collect(), again_after: None }
    }

    /// An object that is not on its way out: does anybody own it still?
    fn owned(resource: Resource, object: &Value, world: &dyn World) -> Plan {
        let references = object.at("metadata").list("ownerReferences");
        if references.is_empty() {
            return Plan::settled();
        }
        let judged: Vec<(&Value, Owner)> =
            references.iter().map(|reference| (reference, judge(reference, object, world))).collect();
        let any = |wanted: Owner| judged.iter().any(|(_, owner)| *owner == wanted);
        if any(Owner::Solid) {
            if !any(Owner::Gone) && !any(Owner::Waiting) {
                return Plan::settled();
            }
            let leaves = |reference: &Value| judge(reference, object, world) != Owner::Solid;
            return Plan::one(update(resource, without_owners(object, leaves)));
        }
        let has_blocking_dependents =
            || world.dependents(uid(object)).iter().any(|(_, dependent)| blocks(dependent, uid(object)));
        let propagation = if any(Owner::Waiting) && has_blocking_dependents() {
            if waits_for_itself(object, world) {
                return Plan::one(update(resource, unblocked(object)));
            }
            Propagation::Foreground
        } else if has_finalizer(object, ORPHAN) {
            Propagation::Orphan
        } else if has_finalizer(object, FOREGROUND) {
            Propagation::Foreground
        } else {
            Propagation::Background
        };
        Plan::one(delete(resource, object, propagation))
    }
}

impl Controller for GarbageCollector {
    fn name(&self) -> &'static str {
        "generic-garbage-collector"
    }

    fn resources(&self) -> &'static [Resource] {
        &[]
    }

    fn concerns(&self, _: &Resource) -> bool {
        true
    }

    fn begins_with_everything(&self) -> bool {
        true
    }

    fn metadata_only(&self, _: &Resource) -> bool {
        true
    }

    fn keys(&self, change: &Change, world: &dyn World) -> Vec<Key> {
        let mut keys = Vec::new();
        let owners = |object: &Arc<Value>| {
            let references = object.at("metadata").list("ownerReferences").to_vec();
            references.into_iter().map(|reference| uid_key(reference.text("uid")))
        };
        match &change.new {
            Some(object) => {
                let owned = !object.at("metadata").list("ownerReferences").is_empty();
                if owned || is_deleting(object) {
                    keys.push(uid_key(uid(object)));
                }
                if waits_for_dependents(object) {
                    keys.extend(
                        world.dependents(uid(object)).iter().map(|(_, dependent)| uid_key(uid(dependent))),
                    );
                }
                // An owner that waits may have waited for what this version no longer says.
                keys.extend(change.old.iter().flat_map(owners));
            }
            None => {
                let old = change.old.as_ref().expect("a change has an object");
                keys.extend(world.dependents(uid(old)).iter().map(|(_, dependent)| uid_key(uid(dependent))));
                keys.extend(owners(old));
            }
        }
        keys.sort();
        keys.dedup();
        keys
    }

    fn reconcile(&self, look: &Look<'_>) -> Plan {
        let Some((resource, object)) = look.world.by_uid(&look.key.name) else { return Plan::settled() };
        if !is_deleting(&object) {
            Self::owned(resource, &object, look.world)
        } else if has_finalizer(&object, ORPHAN) {
            Self::orphan(resource, &object, look.world)
        } else if has_finalizer(&object, FOREGROUND) {
            Self::foreground(resource, &object, look.world)
        } else {
            Plan::settled()
        }
    }
}
