//! [`Published`]: the documents about the kinds served at one moment: discovery and OpenAPI.

use std::sync::Arc;

use arc_swap::ArcSwap;
use serde_json::Value;
use trireme_publish::discovery;
use trireme_publish::openapi::{self, OpenApi, OpenApiInput};
use trireme_schema::kinds::Kind;

use crate::catalogue::{Catalogue, ServedKind};

/// The version that the documents name.
pub(crate) const VERSION: &str = "v1.35.0";

/// What clients are told about the kinds served. Replaced when these change; documents are built when they are asked
/// for.
pub(crate) struct Published(ArcSwap<Documents>);

/// Documents of one set of kinds.
pub(crate) struct Documents {
    pub(crate) discovery: Arc<discovery::Catalogue>,
    pub(crate) openapi: OpenApi,
}

impl Published {
    pub(crate) fn new(catalogue: &Catalogue) -> Self {
        Self(ArcSwap::from_pointee(documents(catalogue)))
    }

    /// Takes another set of kinds.
    pub(crate) fn replace(&self, catalogue: &Catalogue) {
        self.0.store(Arc::new(documents(catalogue)));
    }

    pub(crate) fn load(&self) -> Arc<Documents> {
        self.0.load_full()
    }
}

fn documents(catalogue: &Catalogue) -> Documents {
    let builtin = discovery::ServedKind::all_built_in();
    let own: Vec<&Arc<ServedKind>> = catalogue.kinds().filter(|kind| kind.custom).collect();
    let discovery = Arc::new(discovery::Catalogue::new(builtin.chain(own.iter().map(|kind| custom(kind)))));
    let schemas = own.iter().filter_map(|kind| {
        let definition = kind.rules.custom()?;
        let selectable: Vec<Value> =
            definition.selectable.iter().map(|path| serde_json::json!({"jsonPath": path})).collect();
        Some(openapi::CustomKind {
            served: custom(kind),
            schema: Arc::new(definition.openapi.clone()),
            selectable_fields: if selectable.is_empty() { Value::Null } else { selectable.into() },
        })
    });
    let input =
        OpenApiInput { catalogue: discovery.clone(), custom: schemas.collect(), version: VERSION.to_owned() };
    Documents { discovery, openapi: OpenApi::new(input) }
}

fn custom(kind: &ServedKind) -> discovery::ServedKind {
    let shown = Kind {
        group: kind.group.clone(),
        version: kind.version.clone(),
        kind: kind.kind.clone(),
        plural: kind.plural.clone(),
        singular: kind.singular.clone(),
        namespaced: kind.namespaced,
        verbs: kind.verbs.clone(),
        short_names: kind.short_names.clone(),
        categories: kind.categories.clone(),
        subresources: kind.subresources.clone(),
    };
    discovery::ServedKind::custom(shown, &kind.stored_version)
}
