//! trireme-schema: what Kubernetes objects are, and what may be done to them.
//!
//! Pure machinery that turns (old object, request body, verb) into (new object or a Kubernetes `Status`): decoding,
//! defaulting, validation, patches, server-side apply. It knows neither stores nor sockets.
//!
//! # Invariants
//! - No clock, randomness, I/O, threads or hash-ordered iteration: the moment, generated names and UIDs come in as
//!   arguments, so that every replica and every test gets the same answer.
//! - Objects are [`serde_json::Value`] trees with sorted keys; what [`types`] normalised is canonical.
//! - No input panics: JSON nesting, sizes and repeat counts are bounded by [`limits`].
//!
//! # Deliberate absences
//! No admission (plugins look at other objects), no allocation (addresses, ports), no CEL, no webhooks.

// A match over names reads as a table: one arm a name, its condition inside.
#![allow(clippy::collapsible_match)]

pub mod apply;
pub mod convert;
pub mod custom;
pub mod defaults;
pub mod field;
pub mod int_or_string;
pub mod json;
pub mod kinds;
pub mod limits;
pub mod names;
pub mod objects;
pub mod patch;
pub mod quantity;
pub mod request;
pub mod resource_version;
pub mod selector;
pub mod status;
pub mod time;
pub mod types;
pub mod validate;
pub mod view;
pub mod yaml;

pub use quantity::Quantity;
pub use status::Status;
