//! Claiming: which objects a controller's object holds, takes in and lets go, by selector and owner reference.

use std::sync::Arc;

use serde_json::Value;
use trireme_schema::selector::LabelSelector;
use trireme_schema::view::{Edit, View};

use crate::controller::Resource;
use crate::owner::{controller_uid, is_deleting};
use crate::plan::Write;
use crate::world::World;
use crate::writes::patch;

/// What is claimed, for whom.
pub(crate) struct Claim<'a> {
    /// The kind of the claimed objects.
    pub(crate) resource: Resource,
    /// The owner.
    pub(crate) owner: &'a Value,
    /// The owner's reference for those it takes in.
    pub(crate) reference: Value,
    /// Which objects are the owner's.
    pub(crate) selector: &'a LabelSelector,
}

/// Outcome of a claim.
#[derive(Default)]
pub(crate) struct Claimed {
    /// The owner's objects by name, those taken in just now included.
    pub(crate) owned: Vec<Arc<Value>>,
    /// Writes that take in and let go.
    pub(crate) writes: Vec<Write>,
}

impl Claim<'_> {
    /// Sorts out whose the objects are. `candidate` limits what may be taken in. An owner on its way out takes in and
    /// lets go of nothing.
    pub(crate) fn settle(&self, world: &dyn World, candidate: impl Fn(&Value) -> bool) -> Claimed {
        let metadata = self.owner.at("metadata");
        let (namespace, uid) = (metadata.text("namespace"), metadata.text("uid"));
        let leaving = is_deleting(self.owner);
        let mut out = Claimed::default();
        for object in world.controlled_by(&self.resource, namespace, uid) {
            if self.selects(&object) {
                out.owned.push(object);
            } else if !leaving && !is_deleting(&object) {
                out.writes.push(patch(&self.resource, "", &object, &release(&object, uid)));
            }
        }
        if leaving {
            return out;
        }
        for object in world.uncontrolled(&self.resource, namespace) {
            if self.selects(&object) && !is_deleting(&object) && candidate(&object) {
                let adopted = self.adopt(&object);
                out.writes.push(patch(&self.resource, "", &object, &adopted));
                out.owned.push(Arc::new(adopted));
            }
        }
        out.owned.sort_by(|a, b| a.at("metadata").text("name").cmp(b.at("metadata").text("name")));
        out
    }

    fn selects(&self, object: &Value) -> bool {
        self.selector.matches(object.at("metadata").map("labels"))
    }

    fn adopt(&self, object: &Value) -> Value {
        let mut object = object.clone();
        let uid = self.reference.text("uid");
        let mut references = object.at("metadata").list("ownerReferences").to_vec();
        references.retain(|reference| reference.text("uid") != uid);
        references.push(self.reference.clone());
        object["metadata"].put("ownerReferences", references);
        object
    }
}

fn release(object: &Value, uid: &str) -> Value {
    debug_assert_eq!(controller_uid(object), uid, "the index gave what the owner controls");
    let mut object = object.clone();
    let mut references = object.at("metadata").list("ownerReferences").to_vec();
    references.retain(|reference| reference.text("uid") != uid);
    if references.is_empty() {
        object["metadata"].remove("ownerReferences");
    } else {
        object["metadata"].put("ownerReferences", references);
    }
    object
}
