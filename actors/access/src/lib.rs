//! trireme-access: who is asking, and may they? Identities, authentication, authorisation.
//!
//! | question | answered by |
//! |---|---|
//! | who is it? | [`authn`]: certificates, static tokens, service account and bootstrap tokens, impersonation |
//! | may they? | [`authz`] puts together [`rbac`] and [`node`] |
//! | may somebody else? | [`review`]; for signers of certificates [`signers`] |
//! | now, later, or not at all? | [`flow`]: priority and fairness |
//! | what is there at the start? | [`bootstrap`]: default roles and bindings, namespaces, flow control |
//!
//! Reads the cluster through [`trireme_schema::objects::Objects`]; knows neither stores nor sockets.
//!
//! # Invariants
//! - A decision is made on the applied state as it is at that moment; caches are checked against
//!   [`revision`](trireme_schema::objects::Objects::revision) or the object itself before they are believed.
//! - No clock: every moment comes in as an argument. Keys and file texts come in as bytes.
//! - Secrets (tokens, private keys) are in no message and no `Debug` text.

// A match over names reads as a table: one arm a name, its condition inside.
#![allow(clippy::collapsible_match)]

mod attributes;
pub mod authn;
pub mod authz;
pub mod bootstrap;
pub mod flow;
pub mod known;
pub mod node;
mod quote;
pub mod rbac;
pub mod review;
pub mod signers;
mod user;

pub use attributes::{Attributes, Authorizer, Decision, NonResourceRule, ResourceRule, Rules};
pub use user::User;
