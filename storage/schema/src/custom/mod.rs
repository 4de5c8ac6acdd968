//! Custom kinds: everything that a CustomResourceDefinition (apiextensions.k8s.io/v1) declares, compiled once and
//! used by the same requests as built-in kinds.
//!
//! [`CustomKind::compile`] turns a definition into its versions; [`CustomKind::target`] is what
//! [`crate::request`] works on. [`definition`] validates definitions themselves, [`status`] settles their names.
//!
//! # Invariants
//! - A schema is data from outside: every walk over it or by it is bounded by [`limits`] (memory of regular
//!   expressions, steps of a validation, bytes that defaults add).
//! - Objects are stored at the storage version; [`read_stored`] and [`to_stored`] are the only ways between.
//!
//! # Deliberate absences
//! No CEL (`x-kubernetes-validations` is refused in a definition rather than left unenforced), no conversion
//! webhooks (a definition may name one; converting then fails).

mod check;
mod compile;
mod decode;
mod defaulting;
pub mod definition;
mod format;
mod go;
mod kind;
pub mod limits;
mod metadata;
mod pattern;
mod prune;
mod rule;
mod select;
pub mod status;
mod validate;
mod version;

pub use compile::{CompileError, compile_schema};
pub use decode::{read_stored, to_stored};
pub use defaulting::{TooMuchDefaulted, fill_defaults};
pub use format::Format;
pub use kind::{Column, Conversion, CustomKind};
pub use pattern::{Pattern, PatternError};
pub use prune::{drop_nulls, prune, prune_value};
pub use rule::{Additional, Bound, Checks, JsonType, ListRule, Rule};
pub use version::version_rank;
