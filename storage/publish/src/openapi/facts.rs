//! Published facts beyond the structure of the types: enumerations, defaults, list semantics, required fields, unions.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::{Map, Value, json};

/// Kind of fact, type, field.
type Key = (&'static str, &'static str, &'static str);

static FACTS: LazyLock<BTreeMap<Key, &'static str>> = LazyLock::new(|| {
    let text = include_str!("../../data/openapi.tsv");
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .filter_map(|line| {
            let mut columns = line.split('\t');
            let key = (columns.next()?, columns.next()?, columns.next()?);
            Some((key, columns.next()?))
        })
        .collect()
});

/// The facts of one type, gathered once for all of its fields.
pub(super) struct TypeFacts {
    facts: Vec<(&'static str, &'static str, &'static str)>,
}

impl TypeFacts {
    /// Of the type of that name (without `io.k8s.`).
    pub(super) fn of(owner: &str) -> Self {
        let facts =
            FACTS.iter().filter(|((_, o, _), _)| *o == owner).map(|((kind, _, f), text)| (*kind, *f, *text));
        TypeFacts { facts: facts.collect() }
    }

    fn get(&self, of: &str, field: &str) -> Option<&'static str> {
        self.facts.iter().find(|(kind, f, _)| *kind == of && *f == field).map(|(.., text)| *text)
    }

    /// The values a field may have, sorted.
    pub(super) fn values(&self, field: &str) -> Option<Vec<&'static str>> {
        self.get("enum", field).map(|text| text.split(',').collect())
    }

    /// The default of a field that is not its zero value.
    pub(super) fn default(&self, field: &str) -> Option<Value> {
        self.get("default", field).and_then(|text| serde_json::from_str(text).ok())
    }

    /// Fields that must be there.
    pub(super) fn required(&self) -> Vec<&'static str> {
        self.get("required", "").map(|text| text.split(',').collect()).unwrap_or_default()
    }

    /// List and map semantics of a field, as extensions.
    pub(super) fn list_extensions(&self, field: &str, into: &mut Map<String, Value>) {
        match self.get("list", field) {
            None => {}
            Some("map-atomic") => {
                into.insert("x-kubernetes-map-type".to_owned(), "atomic".into());
            }
            Some(text) => match text.strip_prefix("map=") {
                None => {
                    into.insert("x-kubernetes-list-type".to_owned(), text.into());
                }
                Some(keys) => {
                    let keys: Vec<&str> = keys.split(',').collect();
                    into.insert("x-kubernetes-list-type".to_owned(), "map".into());
                    into.insert("x-kubernetes-list-map-keys".to_owned(), json!(keys));
                }
            },
        }
    }

    /// `x-kubernetes-unions` of the type.
    pub(super) fn unions(&self) -> Option<Value> {
        let (_, discriminator, members) = self.facts.iter().find(|(kind, ..)| *kind == "union")?;
        let fields: BTreeMap<&str, &str> = members.split(',').filter_map(|m| m.split_once('=')).collect();
        Some(json!([{ "discriminator": discriminator, "fields-to-discriminateBy": fields }]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_read() {
        let port = TypeFacts::of("api.core.v1.ServicePort");
        assert_eq!(port.values("protocol"), Some(vec!["SCTP", "TCP", "UDP"]));
        assert_eq!(port.default("protocol"), Some(json!("TCP")));
        let container = TypeFacts::of("api.core.v1.Container");
        assert_eq!(container.required(), ["name"]);
        let mut ports = Map::new();
        container.list_extensions("ports", &mut ports);
        assert_eq!(ports["x-kubernetes-list-map-keys"], json!(["containerPort", "protocol"]));
        let limit = TypeFacts::of("api.flowcontrol.v1.LimitResponse");
        assert_eq!(limit.unions().unwrap()[0]["fields-to-discriminateBy"], json!({"queuing": "Queuing"}));
    }
}
