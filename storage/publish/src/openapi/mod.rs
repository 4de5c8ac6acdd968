//! OpenAPI: what the API's types and paths are, for `kubectl explain`, client-side validation and generators.
//!
//! Two forms of the same facts: v3, one document a group and version behind an index (`/openapi/v3`), and v2
//! (`/openapi/v2`), one document for everything, in JSON or in the protobuf encoding that kubectl reads. The
//! structure of the types is the one that decoding and apply walk ([`trireme_schema::types`]); texts, enumerations
//! and defaults come from this crate's data. Schemas of custom kinds are published as their definitions state them.
//!
//! Documents are built when they are first asked for, piece by piece, and kept compressed: an [`OpenApi`] is made anew
//! when the set of kinds changes, and what nobody reads is never built.
//!
//! Deliberate absences: `/logs` and other paths that this server does not serve are not listed.

mod constants;
mod custom;
mod descriptions;
mod facts;
mod fixed_paths;
mod flavor;
mod gzip;
mod open_api;
mod operation;
mod paths;
mod proto;
mod render;
mod schemas;
mod types;
mod v2;
mod v3;

pub use custom::CustomKind;
pub use gzip::Packed;
pub use open_api::{OpenApi, OpenApiInput};
pub use v2::{V2_JSON, V2_PROTOBUF, V2Form, negotiate_v2};

#[cfg(test)]
mod openapi_test;
