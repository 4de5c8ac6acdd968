//! [`CustomKind`]: one version of a custom kind, compiled from its CustomResourceDefinition.

use serde_json::Value;

use super::compile::{CompileError, compile_schema};
use super::rule::Rule;
use crate::kinds::{Kind, Subresource};
use crate::request::{ScaleRules, Target};
use crate::types::{Schema, TypeRef, from_openapi};
use crate::view::View;

/// A column of the kind's tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Heading.
    pub name: String,
    /// `string`, `integer`, `number`, `boolean` or `date`.
    pub kind: String,
    /// Such as `int32`; may be empty.
    pub format: String,
    /// Explanation; may be empty.
    pub description: String,
    /// 0 is always shown; higher numbers only in wide tables.
    pub priority: i64,
    /// JSONPath below the object, with a leading dot.
    pub json_path: String,
}

/// How versions are converted into each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conversion {
    /// Only `apiVersion` changes.
    None,
    /// By a webhook, which this server does not call yet.
    Webhook,
}

/// One version of a custom kind.
#[derive(Clone, Debug)]
pub struct CustomKind {
    /// Names, scope, verbs (in upstream's order of discovery) and subresources, as built-in kinds have them.
    pub kind: Kind,
    /// Kind of lists.
    pub list_kind: String,
    /// Clients may use this version.
    pub served: bool,
    /// Objects are stored at this version.
    pub storage: bool,
    /// Text for a Warning header on every use of a deprecated version.
    pub deprecation: Option<String>,
    /// Status is a subresource: ordinary writes cannot change it.
    pub status: bool,
    /// The scale subresource.
    pub scale: Option<ScaleRules>,
    /// Columns besides the name; none means the age alone.
    pub columns: Vec<Column>,
    /// JSONPaths that field selectors may use, with a leading dot.
    pub selectable: Vec<String>,
    /// How versions are converted.
    pub conversion: Conversion,
    /// Schema in OpenAPI's notation, null when there is none.
    pub openapi: Value,
    rule: Rule,
    types: Schema,
    root: u32,
}

impl CustomKind {
    /// Compiles every version of a stored (defaulted and validated) CustomResourceDefinition, in its order. Names are
    /// those accepted in `status`, or those asked for in `spec` while none are.
    ///
    /// # Errors
    /// [`CompileError`] when the definition was never validated.
    pub fn compile(definition: &Value) -> Result<Vec<CustomKind>, CompileError> {
        let spec = definition.at("spec");
        let accepted = definition.at("status").at("acceptedNames");
        let names = if accepted.text("kind").is_empty() { spec.at("names") } else { accepted };
        for name in ["kind", "plural"] {
            if names.text(name).is_empty() {
                return Err(CompileError::Missing("spec.names"));
            }
        }
        let versions = spec.list("versions");
        let scales = scale_paths(spec.text("group"), versions);
        versions.iter().map(|version| one_version(spec, names, version, &scales)).collect()
    }

    /// What requests about this version are about.
    pub fn target(&self) -> Target<'_> {
        Target {
            group: &self.kind.group,
            version: &self.kind.version,
            kind: &self.kind.kind,
            resource: &self.kind.plural,
            namespaced: self.kind.namespaced,
            custom: true,
            of: self.of(),
            schema: Some(self),
        }
    }

    /// The structure of the kind's objects.
    pub fn of(&self) -> TypeRef<'_> {
        self.types.root(self.root)
    }

    /// The compiled schema.
    pub fn rule(&self) -> &Rule {
        &self.rule
    }
}

type Paths = Vec<(String, Option<Vec<String>>)>;

/// Where each version keeps the replicas, for the ownership of that field.
fn scale_paths(group: &str, versions: &[Value]) -> Paths {
    let path = |version: &Value| {
        let text = version.below(&["subresources", "scale"]).text("specReplicasPath");
        (!text.is_empty()).then(|| steps(text))
    };
    versions.iter().map(|v| (format!("{group}/{}", v.text("name")), path(v))).collect()
}

/// The field names of `.spec.replicas`.
fn steps(json_path: &str) -> Vec<String> {
    json_path.trim_start_matches('.').split('.').map(str::to_owned).collect()
}

fn texts(list: &[Value]) -> Vec<String> {
    list.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn one_version(
    spec: &Value,
    names: &Value,
    version: &Value,
    paths: &Paths,
) -> Result<CustomKind, CompileError> {
    let (group, name) = (spec.text("group"), version.text("name"));
    let openapi = version.at("schema").at("openAPIV3Schema").clone();
    let subresources = version.at("subresources");
    let (status, scale) = (subresources.has("status"), subresources.at("scale"));
    let (types, root) = from_openapi(&openapi, spec.is_true("preserveUnknownFields"));
    let mut rule = compile_schema(&openapi)?;
    rule.preserve_unknown |= spec.is_true("preserveUnknownFields");
    let list_kind = match names.text("listKind") {
        "" => format!("{}List", names.text("kind")),
        given => given.to_owned(),
    };
    Ok(CustomKind {
        kind: kind(spec, names, name, status, scale.is_object()),
        list_kind,
        served: version.is_true("served"),
        storage: version.is_true("storage"),
        deprecation: version.is_true("deprecated").then(|| deprecation(spec, names, version)),
        status,
        scale: scale.is_object().then(|| {
            ScaleRules::custom(
                &format!("{group}/{name}"),
                scale.text("specReplicasPath"),
                scale.text("statusReplicasPath"),
                scale.text("labelSelectorPath"),
                paths.clone(),
            )
        }),
        columns: version.list("additionalPrinterColumns").iter().map(column).collect(),
        selectable: version.list("selectableFields").iter().map(|f| f.text("jsonPath").to_owned()).collect(),
        conversion: if spec.at("conversion").text("strategy") == "Webhook" {
            Conversion::Webhook
        } else {
            Conversion::None
        },
        openapi,
        rule,
        types,
        root,
    })
}

fn kind(spec: &Value, names: &Value, version: &str, status: bool, scale: bool) -> Kind {
    let verbs = |list: &[&str]| list.iter().map(|v| (*v).to_owned()).collect::<Vec<_>>();
    let subresource = |name: &str, group: &str, version: &str, kind: &str| Subresource {
        name: name.to_owned(),
        group: group.to_owned(),
        version: version.to_owned(),
        kind: kind.to_owned(),
        verbs: verbs(&["get", "patch", "update"]),
    };
    let mut subresources = Vec::new();
    if scale {
        subresources.push(subresource("scale", "autoscaling", "v1", "Scale"));
    }
    if status {
        subresources.push(subresource("status", "", "", names.text("kind")));
    }
    let singular = match names.text("singular") {
        "" => names.text("kind").to_lowercase(),
        given => given.to_owned(),
    };
    Kind {
        group: spec.text("group").to_owned(),
        version: version.to_owned(),
        kind: names.text("kind").to_owned(),
        plural: names.text("plural").to_owned(),
        singular,
        namespaced: spec.text("scope") != "Cluster",
        verbs: verbs(&["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"]),
        short_names: texts(names.list("shortNames")),
        categories: texts(names.list("categories")),
        subresources,
    }
}

fn column(column: &Value) -> Column {
    Column {
        name: column.text("name").to_owned(),
        kind: column.text("type").to_owned(),
        format: column.text("format").to_owned(),
        description: column.text("description").to_owned(),
        priority: column.int("priority").unwrap_or(0),
        json_path: column.text("jsonPath").to_owned(),
    }
}

/// The warning of a deprecated version: its own, or one that names the best served version instead.
fn deprecation(spec: &Value, names: &Value, version: &Value) -> String {
    if let Some(text) = version.at("deprecationWarning").as_str() {
        return text.to_owned();
    }
    let (group, kind, own) = (spec.text("group"), names.text("kind"), version.text("name"));
    let better = spec
        .list("versions")
        .iter()
        .filter(|v| v.is_true("served") && !v.is_true("deprecated"))
        .map(|v| v.text("name"))
        .max_by_key(|name| super::version_rank(name));
    match better.filter(|better| super::version_rank(better) > super::version_rank(own)) {
        Some(better) => format!("{group}/{own} {kind} is deprecated; use {group}/{better} {kind}"),
        None => format!("{group}/{own} {kind} is deprecated"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn versions_are_compiled_with_their_own_parts() {
        let definition = json!({"spec":{"group":"e.com","scope":"Namespaced",
            "names":{"plural":"widgets","singular":"widget","kind":"Widget","listKind":"WidgetSet","shortNames":["w"]},
            "versions":[
                {"name":"v1","served":true,"storage":true,"deprecated":true,
                 "schema":{"openAPIV3Schema":{"type":"object","properties":{"a":{"type":"string"}}}},
                 "subresources":{"status":{},"scale":{"specReplicasPath":".spec.n","statusReplicasPath":".status.n"}}},
                {"name":"v2","served":true,"storage":false,"selectableFields":[{"jsonPath":".spec.a"}],
                 "additionalPrinterColumns":[{"name":"A","type":"string","jsonPath":".a"}],
                 "schema":{"openAPIV3Schema":{"type":"object"}}}]}});
        let kinds = CustomKind::compile(&definition).unwrap();
        let [v1, v2] = &kinds[..] else { panic!("two versions") };
        assert_eq!(v1.kind.api_version(), "e.com/v1");
        assert!(v1.storage && v1.status && v1.scale.is_some());
        assert_eq!(v1.kind.subresource("scale").unwrap().kind, "Scale");
        assert_eq!(v1.deprecation.as_deref(), Some("e.com/v1 Widget is deprecated; use e.com/v2 Widget"));
        assert_eq!((v2.list_kind.as_str(), v2.deprecation.as_deref()), ("WidgetSet", None));
        assert_eq!((v2.selectable.len(), v2.columns[0].json_path.as_str()), (1, ".a"));
        assert!(v1.rule().properties.contains_key("a") && !v2.rule().properties.contains_key("a"));
        assert!(v1.target().custom && v1.target().namespaced);
    }

    #[test]
    fn a_definition_without_names_is_refused() {
        assert!(matches!(CustomKind::compile(&json!({})), Err(CompileError::Missing(_))));
    }
}
