//! Objects that every namespace has: the service account `default`, and the root certificates of the API server.
//!
//! Laws: what is deleted comes back, what is changed is put right; a namespace on its way out gets nothing.

mod root_certificates;
mod service_account;

pub use root_certificates::RootCertificatePublisher;
pub use service_account::ServiceAccountController;

use serde_json::Value;
use trireme_schema::view::View;

use crate::controller::{Change, Resource, resources};
use crate::key::Key;
use crate::owner::is_deleting;
use crate::world::World;

/// Keys are namespaces: a changed one, or the one whose object called `name` changed.
fn keys(change: &Change, resource: &Resource, name: &str) -> Vec<Key> {
    let object = change.new.as_ref().or(change.old.as_ref()).expect("a change has an object");
    let metadata = object.at("metadata");
    if change.resource == resources::NAMESPACES {
        vec![Key::new("", metadata.text("name"))]
    } else if change.resource == *resource && metadata.text("name") == name {
        vec![Key::new("", metadata.text("namespace"))]
    } else {
        Vec::new()
    }
}

/// Whether objects may be made in a namespace.
fn is_open(world: &dyn World, namespace: &str) -> bool {
    let found = resources::NAMESPACES.get(world, "", namespace);
    found.is_some_and(|namespace: std::sync::Arc<Value>| !is_deleting(&namespace))
}
