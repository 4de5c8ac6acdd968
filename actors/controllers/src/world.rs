//! [`World`]: the applied state as controllers read it.

use std::sync::Arc;

use serde_json::Value;
use trireme_schema::objects::Objects;

use crate::controller::Resource;

/// Objects, and the index that controllers need to find what is theirs without looking at everything.
pub trait World: Objects {
    /// Objects of a resource in a namespace whose controlling owner reference has this uid, by name.
    fn controlled_by(&self, resource: &Resource, namespace: &str, owner_uid: &str) -> Vec<Arc<Value>>;

    /// Objects of a resource in a namespace without a controlling owner reference, by name.
    fn uncontrolled(&self, resource: &Resource, namespace: &str) -> Vec<Arc<Value>>;

    /// The object with this uid, and of which resource it is.
    fn by_uid(&self, uid: &str) -> Option<(Resource, Arc<Value>)>;

    /// Objects with an owner reference to this uid, controlling or not.
    fn dependents(&self, owner_uid: &str) -> Vec<(Resource, Arc<Value>)>;

    /// Resources whose objects live in namespaces and can be listed and deleted, custom ones included.
    fn namespaced_resources(&self) -> Vec<Resource>;

    /// The resource that an owner reference speaks of.
    fn resource_of(&self, api_version: &str, kind: &str) -> Option<Resource>;
}
