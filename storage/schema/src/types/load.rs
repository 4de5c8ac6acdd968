//! Reads `data/types.tsv` into the schema of the built-in kinds, once.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::Value;

use super::node::{
    Field, Key, ListKind, ListType, MapType, Node, PatchRule, Scalar, Schema, StructType, TypeRef,
};

static BUILTIN: LazyLock<Schema> = LazyLock::new(|| read(include_str!("../../data/types.tsv")));

/// The schema of all built-in kinds.
pub fn builtin() -> &'static Schema {
    &BUILTIN
}

/// The type of a built-in kind; `None` when the kind is not built in.
pub fn lookup(group: &str, version: &str, kind: &str) -> Option<TypeRef<'static>> {
    let folder = match group {
        "" => "api.core".to_owned(),
        "apiextensions.k8s.io" => "apiextensions-apiserver.pkg.apis.apiextensions".to_owned(),
        "apiregistration.k8s.io" => "kube-aggregator.pkg.apis.apiregistration".to_owned(),
        "meta.k8s.io" => "apimachinery.pkg.apis.meta".to_owned(),
        _ => format!("api.{}", group.split('.').next().unwrap_or("")),
    };
    lookup_type(&format!("{folder}.{version}.{kind}"))
}

/// The type of that full name (without the `io.k8s.` in front).
pub fn lookup_type(name: &str) -> Option<TypeRef<'static>> {
    let schema = builtin();
    schema.find(name).map(|id| schema.root(id))
}

fn read(text: &str) -> Schema {
    let mut by_name = BTreeMap::new();
    let names = text.lines().filter_map(|l| l.strip_prefix("T\t"));
    for (id, line) in names.enumerate() {
        let name = line.split('\t').next().unwrap_or("");
        by_name.insert(name.to_owned(), u32::try_from(id).expect("a few hundred types"));
    }
    let atomic: Vec<bool> =
        text.lines().filter_map(|l| l.strip_prefix("T\t")).map(|l| l.ends_with("\tatomic")).collect();
    let mut structs: Vec<StructType> = Vec::with_capacity(by_name.len());
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("T\t") {
            let (name, flag) = rest.split_once('\t').unwrap_or((rest, ""));
            structs.push(StructType {
                name: name.to_owned(),
                fields: Vec::new(),
                atomic: flag == "atomic",
                open: false,
                dynamic: false,
            });
        } else if let Some(last) = structs.last_mut() {
            last.fields.push(read_field(line, &by_name, &atomic));
        }
    }
    for one in &mut structs {
        one.fields.sort_by(|a, b| a.name.cmp(&b.name));
    }
    Schema { structs, by_name }
}

fn read_field(line: &str, by_name: &BTreeMap<String, u32>, struct_atomic: &[bool]) -> Field {
    let mut columns = line.split('\t');
    let name = columns.next().unwrap_or("").to_owned();
    let kind = columns.next().unwrap_or("");
    let flags: Vec<&str> = columns.next().unwrap_or("").split(' ').filter(|f| !f.is_empty()).collect();
    let has = |flag: &str| flags.contains(&flag);
    let value_of = |key: &str| flags.iter().find_map(|f| f.strip_prefix(key));
    let patch = PatchRule {
        merge: has("merge") || value_of("merge=").is_some(),
        merge_key: value_of("merge=").map(str::to_owned),
        retain_keys: has("retain"),
        replace: has("replace"),
    };
    let mut node = read_type(kind, by_name, struct_atomic);
    match &mut node {
        Node::List(list) => {
            let mut keys = value_of("map=").map(|k| k.split(',').map(str::to_owned).collect::<Vec<_>>());
            if keys.is_none() && !has("atomic") && !has("set") {
                keys = patch.merge_key.as_ref().map(|k| vec![k.clone()]);
            }
            if let Some(keys) = keys {
                list.kind = ListKind::Map;
                list.keys =
                    keys.into_iter().map(|name| Key { default: key_default(&flags, &name), name }).collect();
            } else if has("set") || (patch.merge && !has("atomic")) {
                list.kind = ListKind::Set;
            }
        }
        Node::Map(map) => map.atomic = has("atomic"),
        Node::Struct { atomic, .. } => *atomic = (*atomic || has("atomic")) && !has("granular"),
        Node::Scalar(_) | Node::Any | Node::Deduced => {}
    }
    Field {
        name,
        node,
        required: has("!"),
        keep_zero: has("*"),
        always: has("."),
        nullable: false,
        patch,
        default: None,
    }
}

fn key_default(flags: &[&str], key: &str) -> Option<Value> {
    let text = flags.iter().find_map(|f| f.strip_prefix("def:")?.strip_prefix(key)?.strip_prefix('='))?;
    // A zero default is what the published schema shows for a required key that has none.
    match text.parse::<i64>() {
        Ok(0) => None,
        Ok(n) => Some(n.into()),
        Err(_) => Some(text.into()),
    }
}

fn read_type(kind: &str, by_name: &BTreeMap<String, u32>, struct_atomic: &[bool]) -> Node {
    let inner = kind.get(1..).unwrap_or("");
    match kind.as_bytes().first() {
        Some(b'[') => Node::List(Box::new(ListType {
            item: read_type(inner, by_name, struct_atomic),
            kind: ListKind::Atomic,
            keys: Vec::new(),
        })),
        Some(b'{') => {
            Node::Map(Box::new(MapType { value: read_type(inner, by_name, struct_atomic), atomic: false }))
        }
        Some(b'@') => match by_name.get(inner) {
            Some(&id) => Node::Struct { id, atomic: struct_atomic.get(id as usize) == Some(&true) },
            None => Node::Any,
        },
        Some(b's') => Node::Scalar(Scalar::Text),
        Some(b'i') => Node::Scalar(Scalar::Int32),
        Some(b'I') => Node::Scalar(Scalar::Int64),
        Some(b'f') => Node::Scalar(Scalar::Float),
        Some(b'b') => Node::Scalar(Scalar::Bool),
        Some(b'B') => Node::Scalar(Scalar::Bytes),
        Some(b'q') => Node::Scalar(Scalar::Quantity),
        Some(b't') => Node::Scalar(Scalar::Time),
        Some(b'm') => Node::Scalar(Scalar::MicroTime),
        Some(b'x') => Node::Scalar(Scalar::IntOrString),
        _ => Node::Any,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_served_kind_has_a_type() {
        for kind in crate::kinds::all() {
            assert!(
                lookup(&kind.group, &kind.version, &kind.kind).is_some(),
                "{} {}",
                kind.api_version(),
                kind.kind
            );
        }
    }

    #[test]
    fn every_reference_resolves() {
        for line in include_str!("../../data/types.tsv").lines() {
            if let Some((_, name)) = line.split('\t').nth(1).and_then(|t| t.split_once('@')) {
                assert!(builtin().find(name).is_some(), "{name}");
            }
        }
    }

    #[test]
    fn list_semantics() {
        let pod = lookup("", "v1", "Pod").unwrap();
        let spec = pod.child("spec").unwrap();
        let containers = spec.child("containers").unwrap().as_list().unwrap();
        assert_eq!((containers.kind, containers.keys[0].name.as_str()), (ListKind::Map, "name"));
        let container = spec.child("containers").unwrap().item().unwrap();
        let ports = container.child("ports").unwrap().as_list().unwrap();
        assert_eq!(ports.keys[1].default, Some(Value::from("TCP")));
        assert_eq!(ports.keys[0].default, None);
        assert!(container.child("args").unwrap().is_atomic());
        assert!(spec.child("nodeSelector").unwrap().is_atomic());
        let finalizers = pod.child("metadata").unwrap().child("finalizers").unwrap();
        assert_eq!(finalizers.as_list().unwrap().kind, ListKind::Set);
        let claim_ref =
            lookup("", "v1", "PersistentVolume").unwrap().child("spec").unwrap().child("claimRef");
        assert!(!claim_ref.unwrap().is_atomic());
    }
}
