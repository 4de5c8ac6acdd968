//! [`ProtobufError`].

use thiserror::Error;

/// Why bytes are no object, or an object has no protobuf form.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ProtobufError {
    /// The bytes do not begin as upstream's envelope does.
    #[error("provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]")]
    NoEnvelope,
    /// The bytes end in the middle of something, or a length is wrong.
    #[error("protobuf: {0}")]
    Malformed(&'static str),
    /// The nesting is deeper than [`crate::DEPTH_MAX`].
    #[error("protobuf: messages are nested deeper than {limit}")]
    TooDeep {
        /// The limit.
        limit: usize,
    },
    /// The kind has no protobuf form.
    #[error("no protobuf form is known for kind \"{kind}\" in version \"{api_version}\"")]
    NoForm {
        /// Group and version.
        api_version: String,
        /// Kind.
        kind: String,
    },
    /// A field holds what its type does not allow.
    #[error("field \"{field}\" does not fit its protobuf type")]
    Unfit {
        /// Name of the field.
        field: String,
    },
    /// The object is in an encoding that is not built.
    #[error("the content type {0:?} inside a protobuf envelope is not built")]
    Content(String),
}
