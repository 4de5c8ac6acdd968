//! [`Objects`]: read access to the cluster's objects for code that must not know the store.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use crate::view::View;

/// Read access to the applied state, from memory, never blocking. Objects are in their storage version, defaulted,
/// with `metadata.resourceVersion` set.
pub trait Objects: Send + Sync {
    /// One object; the namespace is empty for cluster-scoped kinds.
    fn get(&self, group: &str, resource: &str, namespace: &str, name: &str) -> Option<Arc<Value>>;
    /// All objects of a resource, or those of one namespace, by namespace and name.
    fn list(&self, group: &str, resource: &str, namespace: Option<&str>) -> Vec<Arc<Value>>;
    /// Changes whenever any object of the resource changes: for caches of what was derived from a list.
    fn revision(&self, group: &str, resource: &str) -> u64;
}

/// Objects by namespace and name.
type OfResource = BTreeMap<(String, String), Arc<Value>>;

/// Objects in a map, for tests and for tools without a cluster.
#[derive(Clone, Debug, Default)]
pub struct MemoryObjects {
    /// By group and resource.
    objects: BTreeMap<(String, String), OfResource>,
    revision: u64,
}

impl MemoryObjects {
    /// Puts an object under its own namespace and name, with the next resourceVersion.
    pub fn put(&mut self, group: &str, resource: &str, mut object: Value) {
        self.revision += 1;
        let metadata = object.at("metadata");
        let key = (metadata.text("namespace").to_owned(), metadata.text("name").to_owned());
        object["metadata"]["resourceVersion"] = Value::from(self.revision.to_string());
        let kind = (group.to_owned(), resource.to_owned());
        self.objects.entry(kind).or_default().insert(key, Arc::new(object));
    }

    /// Takes an object out.
    pub fn remove(&mut self, group: &str, resource: &str, namespace: &str, name: &str) {
        self.revision += 1;
        if let Some(of_kind) = self.objects.get_mut(&(group.to_owned(), resource.to_owned())) {
            of_kind.remove(&(namespace.to_owned(), name.to_owned()));
        }
    }
}

impl Objects for MemoryObjects {
    fn get(&self, group: &str, resource: &str, namespace: &str, name: &str) -> Option<Arc<Value>> {
        let of_kind = self.objects.get(&(group.to_owned(), resource.to_owned()))?;
        of_kind.get(&(namespace.to_owned(), name.to_owned())).cloned()
    }

    fn list(&self, group: &str, resource: &str, namespace: Option<&str>) -> Vec<Arc<Value>> {
        let Some(of_kind) = self.objects.get(&(group.to_owned(), resource.to_owned())) else {
            return Vec::new();
        };
        let wanted = of_kind.iter().filter(|((own, _), _)| namespace.is_none_or(|wanted| own == wanted));
        wanted.map(|(_, object)| object.clone()).collect()
    }

    fn revision(&self, _: &str, _: &str) -> u64 {
        self.revision
    }
}
