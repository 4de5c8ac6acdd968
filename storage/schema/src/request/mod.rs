//! Requests against objects: decode, create, update, patch, apply, each as pure steps around admission.
//!
//! A create is [`decode`], [`begin_create`], (mutating admission), [`finish_create`]; an update [`decode`],
//! [`begin_update`], (mutating admission), [`finish_update`]; patches start with [`patch_object`] or
//! [`apply_object`] instead of [`decode`] and go on as updates (or as a create, for apply on a missing object).
//! Validating admission and the store come after `finish_*`.

mod create;
mod decode;
mod options;
mod patch;
mod scale;
mod service;
mod strategy;
mod subresource;
mod target;
mod update;

pub use create::{begin_create, finish_create, place};
pub use decode::{Decoded, FieldValidation, decode, decode_value};
pub use options::{WriteOptions, check_options};
pub use patch::{PatchType, apply_object, patch_object};
pub use scale::ScaleRules;
pub use service::keep_allocated;
pub use strategy::{Generation, Strategy, strategy};
pub use target::{Context, Target};
pub use update::{begin_update, check_name, check_uid, check_version, finish_update, missing};
