//! Field paths and the errors that name them, in upstream's wording (`k8s.io/apimachinery` field errors).

mod error;
mod path;

pub(crate) use error::quote;
pub use error::{ErrorList, ErrorType, FieldError, bad_value};
pub use path::Path;
