//! [`Schemas`]: the schema of a type, and of the types it refers to.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};
use trireme_schema::types::{Field, Node, Schema, StructType, builtin};

use super::descriptions::Descriptions;
use super::facts::TypeFacts;
use super::flavor::Flavor;
use super::types::{META, PREFIX, any_type, scalar_form, scalar_type, zero};

/// Group, version and kind.
pub(super) type Gvk = (String, String, String);

/// Writes schemas in one flavor and notes which types they refer to.
pub(super) struct Schemas<'a> {
    flavor: Flavor,
    texts: &'a Descriptions,
    /// Kinds by the full name of their type.
    kinds: &'a BTreeMap<String, Vec<Gvk>>,
    builtin: &'static Schema,
    /// Types met in references and not written yet.
    met: BTreeSet<String>,
}

impl<'a> Schemas<'a> {
    pub(super) fn new(
        flavor: Flavor,
        texts: &'a Descriptions,
        kinds: &'a BTreeMap<String, Vec<Gvk>>,
    ) -> Self {
        Schemas { flavor, texts, kinds, builtin: builtin(), met: BTreeSet::new() }
    }

    /// The flavor written.
    pub(super) fn flavor(&self) -> Flavor {
        self.flavor
    }

    /// Types that the schemas written so far refer to.
    pub(super) fn take_met(&mut self) -> BTreeSet<String> {
        std::mem::take(&mut self.met)
    }

    /// The schema of a type by its full name; an open object when the name is unknown.
    pub(super) fn write(&mut self, name: &str) -> Value {
        let short = name.strip_prefix(PREFIX).unwrap_or(name);
        let mut schema = match self.builtin.find(short) {
            Some(id) => self.structure(self.builtin.get(id)),
            None => match short.strip_suffix("List").filter(|item| self.builtin.find(item).is_some()) {
                Some(item) => self.list(item),
                None => self.special(short),
            },
        };
        if let Some(kinds) = self.kinds.get(name) {
            let named =
                |(group, version, kind): &Gvk| json!({"group": group, "version": version, "kind": kind});
            schema.insert(
                "x-kubernetes-group-version-kind".to_owned(),
                kinds.iter().map(named).collect::<Vec<_>>().into(),
            );
        }
        Value::Object(schema)
    }

    fn described(&self, owner: &str, field: &str) -> Map<String, Value> {
        let mut schema = Map::new();
        if let Some(text) = self.texts.of(owner, field) {
            schema.insert("description".to_owned(), text.into());
        }
        schema
    }

    fn structure(&mut self, of: &StructType) -> Map<String, Value> {
        let facts = TypeFacts::of(&of.name);
        let mut schema = self.described(&of.name, "");
        schema.insert("type".to_owned(), "object".into());
        let properties: Map<String, Value> =
            of.fields.iter().map(|f| (f.name.clone(), self.property(&of.name, f, &facts))).collect();
        if !properties.is_empty() {
            schema.insert("properties".to_owned(), properties.into());
        }
        let required = facts.required();
        if !required.is_empty() {
            schema.insert("required".to_owned(), json!(required));
        }
        if of.atomic {
            schema.insert("x-kubernetes-map-type".to_owned(), "atomic".into());
        }
        if let Some(unions) = facts.unions() {
            schema.insert("x-kubernetes-unions".to_owned(), unions);
        }
        schema
    }

    fn property(&mut self, owner: &str, field: &Field, facts: &TypeFacts) -> Value {
        let mut beside = self.described(owner, &field.name);
        if let Some(default) = facts.default(&field.name).or_else(|| {
            let by_value = field.always || (field.required && !field.keep_zero);
            zero(&field.node).filter(|_| by_value)
        }) {
            self.put_default(&mut beside, default);
        }
        if let Some(values) = facts.values(&field.name).filter(|_| matches!(field.node, Node::Scalar(_))) {
            let listed: String = values.iter().map(|v| format!("\n - `{v:?}`")).collect();
            let text = beside.get("description").and_then(Value::as_str).unwrap_or("");
            let text = format!("{text}\n\nPossible enum values:{listed}");
            beside.insert("description".to_owned(), text.trim_start().into());
            beside.insert("enum".to_owned(), json!(values));
        }
        facts.list_extensions(&field.name, &mut beside);
        let strategy: Vec<&str> = [
            (field.patch.merge, "merge"),
            (field.patch.retain_keys, "retainKeys"),
            (field.patch.replace, "replace"),
        ]
        .into_iter()
        .filter_map(|(on, name)| on.then_some(name))
        .collect();
        if !strategy.is_empty() {
            beside.insert("x-kubernetes-patch-strategy".to_owned(), strategy.join(",").into());
        }
        if let Some(key) = &field.patch.merge_key {
            beside.insert("x-kubernetes-patch-merge-key".to_owned(), key.clone().into());
        }
        self.node(owner, &field.name, &field.node, beside)
    }

    fn put_default(&self, into: &mut Map<String, Value>, default: Value) {
        if self.flavor.has_defaults() {
            into.insert("default".to_owned(), default);
        }
    }

    /// A type with the fields that stand beside it.
    fn node(&mut self, owner: &str, field: &str, node: &Node, mut beside: Map<String, Value>) -> Value {
        match node {
            Node::Scalar(scalar) => match scalar_type(*scalar) {
                Some(name) => self.refer(&name, beside),
                None => {
                    let (of_type, format) = scalar_form(*scalar);
                    beside.insert("type".to_owned(), of_type.into());
                    beside.extend(format.map(|f| ("format".to_owned(), f.into())));
                    Value::Object(beside)
                }
            },
            Node::Struct { id, .. } => {
                let name = format!("{PREFIX}{}", self.builtin.get(*id).name);
                self.refer(&name, beside)
            }
            Node::List(list) => {
                beside.insert("type".to_owned(), "array".into());
                let item = self.item(owner, field, &list.item);
                beside.insert("items".to_owned(), item);
                Value::Object(beside)
            }
            Node::Map(map) => {
                beside.insert("type".to_owned(), "object".into());
                let value = self.item(owner, field, &map.value);
                beside.insert("additionalProperties".to_owned(), value);
                Value::Object(beside)
            }
            Node::Any | Node::Deduced => self.refer(&any_type(owner, field), beside),
        }
    }

    /// An item of a list or a value of a map: its default is its zero value, but for any JSON.
    fn item(&mut self, owner: &str, field: &str, node: &Node) -> Value {
        let mut beside = Map::new();
        let any = matches!(node, Node::Any | Node::Deduced);
        if let Some(default) = zero(node).filter(|_| !any) {
            self.put_default(&mut beside, default);
        }
        self.node(owner, field, node, beside)
    }

    fn refer(&mut self, name: &str, beside: Map<String, Value>) -> Value {
        self.met.insert(name.to_owned());
        self.flavor.reference_with(name, beside)
    }

    /// The list of a kind.
    fn list(&mut self, item: &str) -> Map<String, Value> {
        let kind = item.rsplit('.').next().unwrap_or(item);
        let any_object = "apimachinery.pkg.apis.meta.v1.Status";
        let text = |field: &str| -> Value {
            let mut schema = self.described(any_object, field);
            schema.insert("type".to_owned(), "string".into());
            schema.into()
        };
        let (api_version, kind_field) = (text("apiVersion"), text("kind"));
        let mut beside = Map::new();
        self.put_default(&mut beside, json!({}));
        let items = self.refer(&format!("{PREFIX}{item}"), beside.clone());
        beside.extend(self.described(any_object, "metadata"));
        let metadata = self.refer(&format!("{META}ListMeta"), beside);
        let schema = json!({
            "description": format!("A list of objects of kind {kind}."),
            "type": "object",
            "required": ["items"],
            "properties": {
                "apiVersion": api_version,
                "kind": kind_field,
                "metadata": metadata,
                "items": { "description": "The objects.", "type": "array", "items": items },
            },
        });
        match schema {
            Value::Object(map) => map,
            _ => Map::new(),
        }
    }

    /// Types that are no structs.
    fn special(&self, short: &str) -> Map<String, Value> {
        let mut schema = self.described(short, "");
        let base = short.rsplit('.').next().unwrap_or(short);
        let form = match (base, self.flavor) {
            ("Time" | "MicroTime", _) => json!({ "type": "string", "format": "date-time" }),
            ("Quantity", Flavor::V2) => json!({ "type": "string" }),
            ("Quantity", Flavor::V3) => json!({ "oneOf": [{ "type": "string" }, { "type": "number" }] }),
            ("IntOrString", Flavor::V2) => json!({ "type": "string", "format": "int-or-string" }),
            ("IntOrString", Flavor::V3) => {
                json!({ "format": "int-or-string", "oneOf": [{ "type": "integer" }, { "type": "string" }] })
            }
            (name, _) if name.starts_with("JSON") => json!({}),
            _ => json!({ "type": "object" }),
        };
        schema.extend(form.as_object().cloned().unwrap_or_default());
        schema
    }
}
