//! [`Kinds`]: what the catalogue says, in the words of controllers.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use trireme_apiserver::catalogue::{Catalogue, ServedKind};
use trireme_apiserver::records::{ROOT, ResourceKey};
use trireme_controllers::Resource;

/// Names of served kinds at one moment.
pub(crate) struct Kinds {
    catalogue: Arc<Catalogue>,
    by_kind: HashMap<(String, String), Resource>,
    /// Resources in namespaces that can be listed and deleted, by group and name.
    namespaced: Vec<Resource>,
    /// Served versions of a resource, the stored one first.
    served: HashMap<Resource, Vec<Arc<ServedKind>>>,
}

impl Kinds {
    pub(crate) fn new(catalogue: Arc<Catalogue>) -> Self {
        let mut by_kind = HashMap::new();
        let mut namespaced = BTreeSet::new();
        let mut served: HashMap<Resource, Vec<Arc<ServedKind>>> = HashMap::new();
        for kind in catalogue.kinds().filter(|kind| kind.has_verb("list")) {
            let resource = resource(&kind.storage);
            by_kind.insert((kind.api_version(), kind.kind.clone()), resource.clone());
            if kind.namespaced && kind.has_verb("delete") {
                namespaced.insert(resource.clone());
            }
            // A kind that is served under another group's name as well is written under its own.
            if kind.group == kind.storage.group && kind.plural == kind.storage.resource {
                let versions = served.entry(resource).or_default();
                let at = if kind.is_stored { 0 } else { versions.len() };
                versions.insert(at, kind.clone());
            }
        }
        let namespaced = namespaced.into_iter().collect();
        Self { catalogue, by_kind, namespaced, served }
    }

    /// Whether it speaks of this catalogue.
    pub(crate) fn is_of(&self, catalogue: &Arc<Catalogue>) -> bool {
        Arc::ptr_eq(&self.catalogue, catalogue)
    }

    pub(crate) fn of_kind(&self, api_version: &str, kind: &str) -> Option<Resource> {
        self.by_kind.get(&(api_version.to_owned(), kind.to_owned())).cloned()
    }

    pub(crate) fn namespaced(&self) -> &[Resource] {
        &self.namespaced
    }

    /// The kind under which objects of a resource that say `api_version` are written; the stored one when they say
    /// nothing, or one that is not served.
    pub(crate) fn served(&self, resource: &Resource, api_version: &str) -> Option<&Arc<ServedKind>> {
        let versions = self.served.get(resource)?;
        versions.iter().find(|kind| kind.api_version() == api_version).or(versions.first())
    }
}

fn resource(storage: &ResourceKey) -> Resource {
    let builtin = trireme_schema::kinds::all()
        .iter()
        .find(|kind| kind.group == storage.group && kind.plural == storage.resource);
    match builtin {
        Some(kind) => Resource::new(kind.group.as_str(), kind.plural.as_str()),
        None => Resource::named(&storage.group, &storage.resource),
    }
}

/// The resources of stored keys, each made once.
#[derive(Default)]
pub(crate) struct Interned(BTreeMap<Box<str>, Arc<Resource>>);

impl Interned {
    /// The resource that a key's object is of; `None` for keys that hold no objects.
    pub(crate) fn of(&mut self, key: &[u8]) -> Option<Arc<Resource>> {
        let (group, plural, name) = parts(key)?;
        if let Some(known) = self.0.get(name) {
            return Some(known.clone());
        }
        let group = if group == "core" { "" } else { group };
        let storage = ResourceKey { group: group.to_owned(), resource: plural.to_owned(), namespaced: false };
        let made = Arc::new(resource(&storage));
        self.0.insert(name.into(), made.clone());
        Some(made)
    }

    /// The same for a key whose resource was asked for before.
    pub(crate) fn known(&self, key: &[u8]) -> Option<&Arc<Resource>> {
        self.0.get(parts(key)?.2)
    }
}

/// Group, resource, and both as they stand in the key.
fn parts(key: &[u8]) -> Option<(&str, &str, &str)> {
    let path = std::str::from_utf8(key).ok()?.strip_prefix(ROOT)?;
    let (group, rest) = path.split_once('/')?;
    let (plural, _) = rest.split_once('/')?;
    // What the server keeps for itself is no object.
    if group.starts_with('~') {
        return None;
    }
    Some((group, plural, &path[..group.len() + 1 + plural.len()]))
}

/// The prefix of all keys of a resource, or of those of one namespace.
pub(crate) fn prefix(resource: &Resource, namespace: &str) -> String {
    let storage = ResourceKey {
        group: resource.group.to_string(),
        resource: resource.plural.to_string(),
        namespaced: true,
    };
    storage.prefix(namespace)
}

#[cfg(test)]
mod tests {
    use trireme_controllers::resources;

    use super::*;

    #[test]
    fn keys_tell_their_resource_and_versions_are_found() {
        let mut interned = Interned::default();
        assert_eq!(*interned.of(b"/registry/core/pods/d/a").unwrap(), resources::PODS);
        assert_eq!(*interned.of(b"/registry/apps/deployments/d/a").unwrap(), resources::DEPLOYMENTS);
        assert_eq!(*interned.of(b"/registry/x.io/foos/a").unwrap(), Resource::named("x.io", "foos"));
        assert!(interned.of(b"/trireme/keys").is_none() && interned.of(b"/registry/~keys/a/b").is_none());
        assert!(interned.of(b"/registry/").is_none() && interned.of(b"/registry/core").is_none());
        let kinds = Kinds::new(Arc::new(Catalogue::builtin()));
        assert_eq!(kinds.of_kind("apps/v1", "ReplicaSet"), Some(resources::REPLICA_SETS));
        assert!(kinds.namespaced().contains(&resources::PODS));
        assert!(!kinds.namespaced().contains(&resources::NAMESPACES));
        let served =
            |resource: &Resource, version| kinds.served(resource, version).map(|kind| kind.version.clone());
        assert_eq!(served(&resources::PODS, "v1").as_deref(), Some("v1"));
        assert_eq!(served(&Resource::new("", "events"), "").as_deref(), Some("v1"));
        assert_eq!(prefix(&resources::PODS, "d"), "/registry/core/pods/d/");
    }
}
