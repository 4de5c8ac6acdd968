//! trireme-publish: how kinds and objects are shown: discovery, OpenAPI, Tables, partial metadata.
//!
//! Pure: a function of the kinds served and of the objects handed in; no clock, no I/O, no hash-ordered iteration.
//!
//! # Rooms
//! - [`discovery`]: which groups, versions and resources are served, legacy and aggregated.
//! - [`table`]: objects as the rows that kubectl prints; [`partial`]: objects reduced to their metadata.
//! - [`jsonpath`]: the paths of custom kinds' printer columns.
//! - [`openapi`]: the schemas of every kind and the paths they are served under.
//! - [`document`]: encoded answers with entity tags.

pub mod discovery;
pub mod document;
pub mod jsonpath;
pub mod openapi;
pub mod partial;
pub mod table;
