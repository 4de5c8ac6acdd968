//! Server-side apply and the tracking of field ownership (KEP-555).
//!
//! [`Set`] is a set of field paths in the FieldsV1 encoding; [`Managed`] the owners of an object's fields;
//! [`update_managers`] records what a create, update or patch changed, [`apply`] carries out an apply request.
//! Custom kinds work alike: everything walks a [`crate::types::TypeRef`].
//!
//! Deliberate absence: sets recorded at another version of the kind are taken as they are, since the built-in
//! versions that coexist share their field names at the places that matter and custom kinds convert by name.

mod compare;
mod element;
mod extract;
mod managed;
mod manager;
mod merge;
mod remove;
mod scale;
mod set;

pub use compare::{Comparison, compare};
pub use extract::{check_declared, field_set};
pub use managed::{Managed, ManagerId, Operation};
pub use manager::{Applied, ApplyError, Writer, apply, update_managers};
pub use merge::merge;
pub use remove::remove_items;
pub use scale::{ReplicaPaths, parent_managers, scale_managers};
pub use set::{Set, SetError};
