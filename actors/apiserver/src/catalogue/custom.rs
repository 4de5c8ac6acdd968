//! Custom kinds, compiled from their definitions.

use std::sync::{Arc, OnceLock};

use serde_json::{Value, json};
use trireme_publish::table::TableFormat;
use trireme_schema::custom::{CustomKind, read_stored, to_stored};
use trireme_schema::request::Target;
use trireme_schema::status::Failure;

use super::kind_rules::KindRules;
use super::served_kind::ServedKind;
use crate::records::ResourceKey;

struct Custom {
    versions: Arc<Vec<CustomKind>>,
    own: usize,
    selectable: Vec<String>,
}

/// The served versions of a definition.
pub(super) fn served(versions: Vec<CustomKind>) -> Vec<ServedKind> {
    let versions = Arc::new(versions);
    let stored = versions.iter().find(|version| version.storage).map(|version| version.kind.version.clone());
    let Some(stored) = stored else { return Vec::new() };
    let served = versions.iter().enumerate().filter(|(_, version)| version.served);
    served.map(|(own, version)| one(&versions, own, version, &stored)).collect()
}

fn one(versions: &Arc<Vec<CustomKind>>, own: usize, version: &CustomKind, stored: &str) -> ServedKind {
    let kind = &version.kind;
    ServedKind {
        group: kind.group.clone(),
        version: kind.version.clone(),
        kind: kind.kind.clone(),
        list_kind: version.list_kind.clone(),
        plural: kind.plural.clone(),
        singular: kind.singular.clone(),
        namespaced: kind.namespaced,
        verbs: kind.verbs.clone(),
        short_names: kind.short_names.clone(),
        categories: kind.categories.clone(),
        subresources: kind.subresources.clone(),
        storage: ResourceKey {
            group: kind.group.clone(),
            resource: kind.plural.clone(),
            namespaced: kind.namespaced,
        },
        stored_version: stored.to_owned(),
        is_stored: version.storage,
        custom: true,
        deprecation: version.deprecation.clone(),
        rules: Box::new(Custom {
            versions: versions.clone(),
            own,
            selectable: version
                .selectable
                .iter()
                .map(|path| path.trim_start_matches('.').to_owned())
                .collect(),
        }),
        table: OnceLock::new(),
    }
}

impl Custom {
    fn kind(&self) -> &CustomKind {
        &self.versions[self.own]
    }
}

impl KindRules for Custom {
    fn target(&self) -> Target<'_> {
        self.kind().target()
    }

    fn custom(&self) -> Option<&CustomKind> {
        Some(self.kind())
    }

    fn warnings(&self, _: Option<&Value>, _: &Value) -> Vec<String> {
        Vec::new()
    }

    fn served_form(&self, object: Value) -> Result<Value, Failure> {
        read_stored(&self.versions, self.kind(), object)
    }

    fn to_stored(&self, object: Value) -> Result<Value, Failure> {
        to_stored(&self.versions, object)
    }

    fn creates_on_update(&self) -> bool {
        false
    }

    fn selectable_fields(&self) -> Vec<&str> {
        self.selectable.iter().map(String::as_str).collect()
    }

    fn table(&self) -> TableFormat {
        let columns: Vec<Value> = self
            .kind()
            .columns
            .iter()
            .map(|column| {
                json!({
                    "name": column.name, "type": column.kind, "format": column.format,
                    "description": column.description, "priority": column.priority, "jsonPath": column.json_path,
                })
            })
            .collect();
        TableFormat::custom(&Value::Array(columns))
    }
}
