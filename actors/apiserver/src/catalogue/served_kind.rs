//! [`ServedKind`]: one kind in one version, as it is served.

use std::sync::OnceLock;

use trireme_publish::table::TableFormat;
use trireme_schema::kinds::{Subresource, api_version};

use super::kind_rules::KindRules;
use crate::records::{ResourceKey, type_prefix_bytes};

/// One kind in one version.
pub struct ServedKind {
    /// API group; empty for core.
    pub group: String,
    /// Version.
    pub version: String,
    /// Such as `Pod`.
    pub kind: String,
    /// Such as `PodList`.
    pub list_kind: String,
    /// Such as `pods`.
    pub plural: String,
    /// Such as `pod`.
    pub singular: String,
    /// Objects live in namespaces.
    pub namespaced: bool,
    /// Verbs, sorted.
    pub verbs: Vec<String>,
    /// Such as `po`.
    pub short_names: Vec<String>,
    /// Such as `all`.
    pub categories: Vec<String>,
    /// Subresources, sorted by name.
    pub subresources: Vec<Subresource>,
    /// Where its objects are stored.
    pub storage: ResourceKey,
    /// The version in which its objects are stored.
    pub stored_version: String,
    /// This is the stored version: reads need no conversion.
    pub is_stored: bool,
    /// A custom kind: list items carry their type.
    pub custom: bool,
    /// What is said on each use, for deprecated versions.
    pub deprecation: Option<String>,
    /// How objects are decoded, completed, checked and converted.
    pub rules: Box<dyn KindRules>,
    /// Its Table, made at the first use.
    pub table: OnceLock<TableFormat>,
}

impl ServedKind {
    /// `v1` or `apps/v1`.
    pub fn api_version(&self) -> String {
        api_version(&self.group, &self.version)
    }

    /// Whether a verb is served.
    pub fn has_verb(&self, verb: &str) -> bool {
        self.verbs.iter().any(|own| own == verb)
    }

    /// The subresource of that name.
    pub fn subresource(&self, name: &str) -> Option<&Subresource> {
        self.subresources.iter().find(|own| own.name == name)
    }

    /// The columns of its Table.
    pub fn table(&self) -> &TableFormat {
        self.table.get_or_init(|| self.rules.table())
    }

    /// Bytes that an item of a list leaves out of the stored form.
    pub fn item_skip_bytes(&self) -> usize {
        if self.custom { 0 } else { type_prefix_bytes(&self.kind, &self.api_version()) }
    }
}
