//! [`ConfigError`].

use thiserror::Error;

/// Why a scheduler configuration is refused. Trying again does not help: the file must change.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The document has another shape, or a field that is not known.
    #[error("the scheduler configuration cannot be read: {0}")]
    Shape(#[from] serde_json::Error),
    /// A field has a value that is not allowed.
    #[error("{field}: {why}")]
    Field {
        /// Path of the field.
        field: String,
        /// What is wrong and what would be right.
        why: String,
    },
}

impl ConfigError {
    /// For a field.
    pub(super) fn field(field: impl Into<String>, why: impl Into<String>) -> Self {
        Self::Field { field: field.into(), why: why.into() }
    }
}
