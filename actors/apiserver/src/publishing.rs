//! [`Published`]: the discovery documents of the kinds served at one moment.

use std::sync::Arc;

use arc_swap::ArcSwap;
use trireme_publish::discovery;
use trireme_schema::kinds::Kind;

use crate::catalogue::{Catalogue, ServedKind};

/// What clients are told about the kinds served. Replaced when these change.
pub(crate) struct Published(ArcSwap<discovery::Catalogue>);

impl Published {
    pub(crate) fn new(catalogue: &Catalogue) -> Self {
        Self(ArcSwap::from_pointee(documents(catalogue)))
    }

    /// Takes another set of kinds.
    pub(crate) fn replace(&self, catalogue: &Catalogue) {
        self.0.store(Arc::new(documents(catalogue)));
    }

    pub(crate) fn discovery(&self) -> Arc<discovery::Catalogue> {
        self.0.load_full()
    }
}

fn documents(catalogue: &Catalogue) -> discovery::Catalogue {
    let builtin = discovery::ServedKind::all_built_in();
    let custom = catalogue.kinds().filter(|kind| kind.custom).map(|kind| custom(kind));
    discovery::Catalogue::new(builtin.chain(custom))
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
