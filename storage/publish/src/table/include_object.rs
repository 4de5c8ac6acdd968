//! [`IncludeObject`]: how much of an object its row carries.

use std::fmt;

/// The `includeObject` query parameter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IncludeObject {
    /// No object at all.
    None,
    /// Its metadata, as PartialObjectMetadata.
    #[default]
    Metadata,
    /// All of it.
    Object,
}

/// The parameter has another value. Answer 400; the text is upstream's. Not retryable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IncludeObjectError(String);

impl fmt::Display for IncludeObjectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Unable to convert to Table as requested: includeObject: Invalid value: {:?}: must be 'Metadata', \
             'Object', 'None', or empty",
            self.0
        )
    }
}

impl std::error::Error for IncludeObjectError {}

impl IncludeObject {
    /// Reads the parameter; an absent one is the empty text.
    ///
    /// # Errors
    /// The value is none of `None`, `Metadata`, `Object` and the empty text.
    pub fn parse(text: &str) -> Result<Self, IncludeObjectError> {
        match text {
            "" | "Metadata" => Ok(IncludeObject::Metadata),
            "None" => Ok(IncludeObject::None),
            "Object" => Ok(IncludeObject::Object),
            other => Err(IncludeObjectError(other.to_owned())),
        }
    }
}
