//! Request bodies in Kubernetes' protobuf encoding (`application/vnd.kubernetes.protobuf`), read into JSON.
//!
//! Typed clients send it, among them `kubectl create` and `kubectl auth can-i` since 1.32. A body is four magic bytes
//! and an envelope that names the kind; the object is one message. What fields mean comes from
//! [`trireme_schema::types`], their numbers from `data/protobuf.tsv`.
//!
//! The outcome is the object as the client's JSON would be: values that its encoder would leave out are left out.
//! Deliberate absence: answers are not written in protobuf; these clients accept JSON as well.

mod decode;
mod numbers;
mod reader;

pub use decode::{ProtobufError, decode};

/// `Content-Type` of such a body.
pub const MEDIA_TYPE: &str = "application/vnd.kubernetes.protobuf";
/// The first bytes of every body.
pub const MAGIC: [u8; 4] = *b"k8s\0";
/// Deepest nesting of messages accepted.
const DEPTH_LIMIT: usize = 64;

#[cfg(test)]
mod protobuf_test;
