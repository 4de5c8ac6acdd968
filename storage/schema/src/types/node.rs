//! [`Node`] and its parts: the structural description of one value.

use std::collections::BTreeMap;

use serde_json::Value;

/// A scalar's type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scalar {
    /// Text.
    Text,
    /// Whole number of 32 bits.
    Int32,
    /// Whole number of 64 bits.
    Int64,
    /// Number.
    Float,
    /// Truth value.
    Bool,
    /// Bytes in base64.
    Bytes,
    /// Resource quantity.
    Quantity,
    /// Time in whole seconds.
    Time,
    /// Time in microseconds.
    MicroTime,
    /// Whole number or text.
    IntOrString,
}

/// How the items of a list are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListKind {
    /// One value as a whole.
    Atomic,
    /// Distinct scalars.
    Set,
    /// Structs with keys.
    Map,
}

/// A key field of a list-map.
#[derive(Clone, Debug, PartialEq)]
pub struct Key {
    /// Field name.
    pub name: String,
    /// Value of an item that leaves the key out.
    pub default: Option<Value>,
}

/// A list.
#[derive(Clone, Debug, PartialEq)]
pub struct ListType {
    /// What the items are.
    pub item: Node,
    /// How they are told apart.
    pub kind: ListKind,
    /// Keys of a list-map.
    pub keys: Vec<Key>,
}

/// A map from text to values.
#[derive(Clone, Debug, PartialEq)]
pub struct MapType {
    /// What the values are.
    pub value: Node,
    /// Owned and replaced as a whole.
    pub atomic: bool,
}

/// The type of one value.
#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    /// A scalar.
    Scalar(Scalar),
    /// Any JSON, owned as a whole.
    Any,
    /// Any JSON whose fields are owned one by one (its shape is deduced from the value).
    Deduced,
    /// A struct of the same [`Schema`].
    Struct {
        /// Index of the struct.
        id: u32,
        /// Owned and replaced as a whole.
        atomic: bool,
    },
    /// A list.
    List(Box<ListType>),
    /// A map.
    Map(Box<MapType>),
}

/// How strategic merge patches treat a field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PatchRule {
    /// Lists merge instead of being replaced.
    pub merge: bool,
    /// The key by which items of struct lists are matched.
    pub merge_key: Option<String>,
    /// `$retainKeys` is honoured.
    pub retain_keys: bool,
    /// Structs are replaced instead of merged.
    pub replace: bool,
}

/// A field of a struct.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// Name on the wire.
    pub name: String,
    /// Type.
    pub node: Node,
    /// Printed (as zero or null) even when absent.
    pub required: bool,
    /// An explicit zero is kept (a pointer upstream).
    pub keep_zero: bool,
    /// A struct or time by value: printed even when absent.
    pub always: bool,
    /// Null is a value of its own (custom kinds only).
    pub nullable: bool,
    /// Strategic merge patch rules.
    pub patch: PatchRule,
    /// Default from an OpenAPI schema (custom kinds only).
    pub default: Option<Value>,
}

/// A struct: named fields, sorted by name.
#[derive(Clone, Debug, PartialEq)]
pub struct StructType {
    /// Full name, as `api.core.v1.Pod`; empty for the parts of custom kinds.
    pub name: String,
    /// Sorted by name.
    pub fields: Vec<Field>,
    /// Owned as a whole wherever it occurs, unless the field says otherwise.
    pub atomic: bool,
    /// Unknown fields are kept.
    pub open: bool,
    /// Part of a custom kind: values stay as they came, only pruned.
    pub dynamic: bool,
}

impl StructType {
    /// The field of that name.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.binary_search_by(|f| f.name.as_str().cmp(name)).ok().map(|i| &self.fields[i])
    }

    /// The last part of the name, as upstream's Go type is called.
    pub fn short_name(&self) -> &str {
        self.name.rsplit('.').next().unwrap_or("")
    }
}

/// A set of structs that refer to each other.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Schema {
    pub(super) structs: Vec<StructType>,
    pub(super) by_name: BTreeMap<String, u32>,
}

impl Schema {
    /// The struct at an index taken from a [`Node`] of this schema.
    pub fn get(&self, id: u32) -> &StructType {
        &self.structs[id as usize]
    }

    /// The struct of that full name.
    pub fn find(&self, name: &str) -> Option<u32> {
        self.by_name.get(name).copied()
    }

    /// A reference to a struct of this schema.
    pub fn root(&self, id: u32) -> TypeRef<'_> {
        TypeRef::Struct { schema: self, id, atomic: false }
    }
}

/// A type together with the schema its references point into. Cheap to copy.
#[derive(Clone, Copy, Debug)]
pub enum TypeRef<'a> {
    /// A struct.
    Struct {
        /// Where it is defined.
        schema: &'a Schema,
        /// Which one.
        id: u32,
        /// Owned as a whole.
        atomic: bool,
    },
    /// Anything else.
    Other {
        /// Where references point.
        schema: &'a Schema,
        /// The type.
        node: &'a Node,
    },
}

impl<'a> TypeRef<'a> {
    /// The reference for a node of `schema`.
    pub fn of(schema: &'a Schema, node: &'a Node) -> Self {
        match node {
            Node::Struct { id, atomic } => TypeRef::Struct { schema, id: *id, atomic: *atomic },
            node => TypeRef::Other { schema, node },
        }
    }

    /// The schema.
    pub fn schema(&self) -> &'a Schema {
        match self {
            TypeRef::Struct { schema, .. } | TypeRef::Other { schema, .. } => schema,
        }
    }

    /// The struct, if this is one.
    pub fn as_struct(&self) -> Option<&'a StructType> {
        match self {
            TypeRef::Struct { schema, id, .. } => Some(schema.get(*id)),
            TypeRef::Other { .. } => None,
        }
    }

    /// The list, if this is one.
    pub fn as_list(&self) -> Option<&'a ListType> {
        match self {
            TypeRef::Other { node: Node::List(list), .. } => Some(list),
            _ => None,
        }
    }

    /// The map, if this is one.
    pub fn as_map(&self) -> Option<&'a MapType> {
        match self {
            TypeRef::Other { node: Node::Map(map), .. } => Some(map),
            _ => None,
        }
    }

    /// Owned and replaced as a whole.
    pub fn is_atomic(&self) -> bool {
        match self {
            TypeRef::Struct { atomic, .. } => *atomic,
            TypeRef::Other { node, .. } => match node {
                Node::Scalar(_) | Node::Any => true,
                Node::Deduced | Node::Struct { .. } => false,
                Node::List(list) => list.kind == ListKind::Atomic,
                Node::Map(map) => map.atomic,
            },
        }
    }

    /// The type of a struct's field or a map's entry.
    pub fn child(&self, name: &str) -> Option<TypeRef<'a>> {
        match self {
            TypeRef::Struct { schema, id, .. } => {
                let schema: &'a Schema = schema;
                let parent = schema.get(*id);
                match parent.field(name) {
                    Some(field) => Some(TypeRef::of(schema, &field.node)),
                    None if parent.open => Some(TypeRef::Other { schema, node: &Node::Deduced }),
                    None => None,
                }
            }
            TypeRef::Other { schema, node: Node::Map(map) } => Some(TypeRef::of(schema, &map.value)),
            TypeRef::Other { schema, node: node @ Node::Deduced } => Some(TypeRef::Other { schema, node }),
            TypeRef::Other { .. } => None,
        }
    }

    /// The type of a list's items.
    pub fn item(&self) -> Option<TypeRef<'a>> {
        match self {
            TypeRef::Other { schema, node: Node::List(list) } => Some(TypeRef::of(schema, &list.item)),
            _ => None,
        }
    }
}
