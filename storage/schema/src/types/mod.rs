//! The type tree: what fields an object has, of which types, and how lists and maps merge.
//!
//! Built-in kinds come from `data/types.tsv` (see `data/generate.py`); custom kinds build the same tree from the
//! OpenAPI schema of their CRD. Everything that walks objects (decoding, patches, apply) walks this tree beside them.

mod conform;
mod custom;
mod load;
mod node;
mod scalar;

pub use conform::{DecodeError, Report, conform, settle};
pub use custom::from_openapi;
pub use load::{builtin, lookup, lookup_type};
pub use node::{
    Field, Key, ListKind, ListType, MapType, Node, PatchRule, Scalar, Schema, StructType, TypeRef,
};
