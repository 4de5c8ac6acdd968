//! Finalizers that keep claims and volumes while they are in use.
//!
//! Laws: a claim that a pod uses, and a volume that is bound, stay until they are not; the finalizer goes only from what
//! is on its way out.
//!
//! Source: upstream's pvc-protection and pv-protection controllers.

mod claims;
mod volumes;

pub use claims::ClaimProtectionController;
pub use volumes::VolumeProtectionController;

use serde_json::{Value, json};
use trireme_schema::view::{Edit, View};

use crate::controller::Resource;
use crate::owner::is_deleting;
use crate::plan::{Plan, Write};
use crate::writes::update;

/// Sees to it that an object has the finalizer, or that it goes when it may.
fn protect(resource: &Resource, object: &Value, finalizer: &str, in_use: impl FnOnce() -> bool) -> Plan {
    let list = object.at("metadata").list("finalizers");
    let protected = list.iter().any(|other| other == finalizer);
    let wanted = if is_deleting(object) { protected && in_use() } else { true };
    if wanted == protected {
        return Plan::settled();
    }
    let mut finalizers: Vec<Value> = list.iter().filter(|other| *other != finalizer).cloned().collect();
    if wanted {
        finalizers.push(json!(finalizer));
    }
    let mut object = object.clone();
    if finalizers.is_empty() {
        object["metadata"].remove("finalizers");
    } else {
        object["metadata"].put("finalizers", finalizers);
    }
    let write: Write = update(resource, object);
    Plan::one(write)
}
