//! What is served: built-in and custom kinds, all through one shape.

mod builtin;
mod custom;
mod kind_rules;
mod served_kind;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use kind_rules::KindRules;
pub use served_kind::ServedKind;

use crate::records::ResourceKey;

/// All kinds served at one moment. Replaced as a whole when custom kinds come or go.
#[derive(Clone, Default)]
pub struct Catalogue {
    by_resource: BTreeMap<(String, String, String), Arc<ServedKind>>,
    stored: BTreeMap<(String, String), ResourceKey>,
}

impl Catalogue {
    /// The built-in kinds in their stable versions; upstream serves beta versions on demand only.
    pub fn builtin() -> Self {
        let mut catalogue = Self::default();
        for kind in trireme_schema::kinds::all() {
            match builtin::served(kind) {
                Some(kind) => catalogue.add(Arc::new(kind)),
                None => tracing::error!(kind = kind.kind, "has no structure in this build and is not served"),
            }
        }
        catalogue
    }

    /// Adds the served versions of a custom kind.
    pub fn add_custom(&mut self, versions: Vec<trireme_schema::custom::CustomKind>) {
        for kind in custom::served(versions) {
            self.add(Arc::new(kind));
        }
    }

    /// Adds a kind, or replaces the one of the same group, version and resource.
    pub fn add(&mut self, kind: Arc<ServedKind>) {
        let own = (kind.group.clone(), kind.plural.clone());
        self.stored.insert(own, kind.storage.clone());
        let at = (kind.group.clone(), kind.version.clone(), kind.plural.clone());
        self.by_resource.insert(at, kind);
    }

    /// The kind served under a resource.
    pub fn get(&self, group: &str, version: &str, resource: &str) -> Option<&Arc<ServedKind>> {
        self.by_resource.get(&(group.to_owned(), version.to_owned(), resource.to_owned()))
    }

    /// Where a resource is stored, whatever the version.
    pub fn stored(&self, group: &str, resource: &str) -> Option<&ResourceKey> {
        self.stored.get(&(group.to_owned(), resource.to_owned()))
    }

    /// Every kind, by group, version and resource.
    pub fn kinds(&self) -> impl Iterator<Item = &Arc<ServedKind>> {
        self.by_resource.values()
    }
}
