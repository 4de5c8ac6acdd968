//! Built-in kinds.

use serde_json::Value;
use trireme_publish::table::TableFormat;
use trireme_schema::convert::{convert, hub};
use trireme_schema::kinds::Kind;
use trireme_schema::request::{Target, strategy};
use trireme_schema::status::{Failure, Status};

use super::kind_rules::KindRules;
use super::served_kind::ServedKind;
use crate::records::ResourceKey;
use crate::render::RELEASE;
use crate::selectable;

/// Kinds that upstream calls deprecated on each use.
const DEPRECATED: [(&str, &str, &str); 2] = [
    ("", "componentstatuses", "v1 ComponentStatus is deprecated in v1.19+"),
    ("", "endpoints", "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"),
];

struct Builtin {
    target: Target<'static>,
    selectable: &'static [&'static str],
}

/// A built-in kind as served; `None` for one whose structure this build does not know.
pub(super) fn served(kind: &'static Kind) -> Option<ServedKind> {
    let (stored_group, stored_version) = hub(&kind.group, &kind.version, &kind.kind);
    let target = Target::builtin(kind)?;
    let deprecation =
        DEPRECATED.iter().find(|(group, plural, _)| *group == kind.group && *plural == kind.plural);
    Some(ServedKind {
        group: kind.group.clone(),
        version: kind.version.clone(),
        kind: kind.kind.clone(),
        list_kind: format!("{}List", kind.kind),
        plural: kind.plural.clone(),
        singular: kind.singular.clone(),
        namespaced: kind.namespaced,
        verbs: kind.verbs.clone(),
        short_names: kind.short_names.clone(),
        categories: kind.categories.clone(),
        subresources: kind.subresources.clone(),
        storage: ResourceKey {
            group: stored_group.to_owned(),
            resource: kind.plural.clone(),
            namespaced: kind.namespaced,
        },
        stored_version: stored_version.to_owned(),
        is_stored: stored_group == kind.group && stored_version == kind.version,
        custom: false,
        deprecation: deprecation
            .filter(|(_, plural, _)| *plural != "endpoints")
            .map(|(.., text)| (*text).to_owned()),
        rules: Box::new(Builtin { target, selectable: selectable::builtin(&kind.group, &kind.plural) }),
        table: std::sync::OnceLock::new(),
    })
}

impl KindRules for Builtin {
    fn target(&self) -> Target<'_> {
        self.target
    }

    fn warnings(&self, old: Option<&Value>, object: &Value) -> Vec<String> {
        let (group, kind) = (self.target.group, self.target.kind);
        match old {
            None => trireme_schema::validate::warnings(group, kind, object),
            Some(old) if kind == "CronJob" && old["spec"] != object["spec"] => {
                trireme_schema::validate::warnings(group, kind, object)
            }
            Some(_) => Vec::new(),
        }
    }

    fn served_form(&self, object: Value) -> Result<Value, Failure> {
        convert(object, self.target.group, self.target.version).map_err(|e| Status::internal(&e.to_string()))
    }

    fn to_stored(&self, object: Value) -> Result<Value, Failure> {
        let (group, version) = hub(self.target.group, self.target.version, self.target.kind);
        convert(object, group, version).map_err(|e| Status::internal(&e.to_string()))
    }

    fn creates_on_update(&self) -> bool {
        strategy(self.target.group, self.target.kind).create_on_update
    }

    fn selectable_fields(&self) -> Vec<&str> {
        self.selectable.to_vec()
    }

    fn table(&self) -> TableFormat {
        TableFormat::built_in(self.target.group, self.target.version, self.target.kind, RELEASE)
    }
}
