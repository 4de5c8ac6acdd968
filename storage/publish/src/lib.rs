//! trireme-publish: how kinds and objects are shown: discovery, OpenAPI, Tables, partial metadata.
//!
//! Pure: a function of the kinds served and of the objects handed in; no clock, no I/O, no hash-ordered iteration.
//!
//! # Rooms
//! - [`discovery`]: which groups, versions and resources are served, legacy and aggregated.

pub mod discovery;
pub mod document;
