//! A world in a map, for tests of one look.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;
use trireme_schema::objects::{MemoryObjects, Objects};
use trireme_schema::view::View;

use crate::controller::Resource;
use crate::owner::controller_uid;
use crate::world::World;

/// Objects that were put there.
#[derive(Default)]
pub(crate) struct TestWorld {
    objects: MemoryObjects,
    resources: BTreeMap<(String, String), Resource>,
}

impl TestWorld {
    pub(crate) fn put(&mut self, resource: &Resource, object: Value) {
        self.objects.put(&resource.group, &resource.plural, object);
        self.resources.insert((resource.group.to_string(), resource.plural.to_string()), resource.clone());
    }

    fn everything(&self) -> Vec<(Resource, Arc<Value>)> {
        let all = self.resources.values();
        all.flat_map(|resource| {
            self.list(&resource.group, &resource.plural, None)
                .into_iter()
                .map(|object| (resource.clone(), object))
        })
        .collect()
    }
}

impl Objects for TestWorld {
    fn get(&self, group: &str, resource: &str, namespace: &str, name: &str) -> Option<Arc<Value>> {
        self.objects.get(group, resource, namespace, name)
    }

    fn list(&self, group: &str, resource: &str, namespace: Option<&str>) -> Vec<Arc<Value>> {
        self.objects.list(group, resource, namespace)
    }

    fn revision(&self, group: &str, resource: &str) -> u64 {
        self.objects.revision(group, resource)
    }
}

impl World for TestWorld {
    fn controlled_by(&self, resource: &Resource, namespace: &str, owner_uid: &str) -> Vec<Arc<Value>> {
        let mut out = self.list(&resource.group, &resource.plural, Some(namespace));
        out.retain(|object| controller_uid(object) == owner_uid);
        out
    }

    fn uncontrolled(&self, resource: &Resource, namespace: &str) -> Vec<Arc<Value>> {
        self.controlled_by(resource, namespace, "")
    }

    fn by_uid(&self, uid: &str) -> Option<(Resource, Arc<Value>)> {
        self.everything().into_iter().find(|(_, object)| object.at("metadata").text("uid") == uid)
    }

    fn dependents(&self, owner_uid: &str) -> Vec<(Resource, Arc<Value>)> {
        let refers = |object: &Value| {
            let references = object.at("metadata").list("ownerReferences");
            references.iter().any(|reference| reference.text("uid") == owner_uid)
        };
        self.everything().into_iter().filter(|(_, object)| refers(object)).collect()
    }

    fn namespaced_resources(&self) -> Vec<Resource> {
        self.resources.values().cloned().collect()
    }

    fn resource_of(&self, _: &str, _: &str) -> Option<Resource> {
        None
    }
}
