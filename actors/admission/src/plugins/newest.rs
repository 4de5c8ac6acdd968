//! Which of several objects that are marked as the default counts.

use std::cmp::Reverse;
use std::sync::Arc;

use serde_json::Value;
use trireme_schema::view::View;

use crate::plugin::World;

/// The newest of the objects with one of the annotations at `"true"`; among equally old ones the first by name.
pub(super) fn default_of(
    world: &World<'_>,
    group: &str,
    resource: &str,
    annotations: &[&str],
) -> Option<Arc<Value>> {
    let marked = |object: &Arc<Value>| {
        let own = object.at("metadata").at("annotations");
        annotations.iter().any(|annotation| own.text(annotation) == "true")
    };
    // Times are all in UTC with whole seconds, so their texts sort as they do; `max_by_key` prefers the last one.
    let defaults = world.objects.list(group, resource, None).into_iter().filter(marked);
    defaults.max_by_key(|object| {
        let metadata = object.at("metadata");
        (metadata.text("creationTimestamp").to_owned(), Reverse(metadata.text("name").to_owned()))
    })
}
