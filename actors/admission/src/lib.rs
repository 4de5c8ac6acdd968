//! trireme-admission: the ordered chain of plugins that judge and change what is about to be written.
//!
//! Pure: a plugin sees the request and reads other objects through [`trireme_schema::objects::Objects`]. Order and
//! names are upstream's, so that `--enable-admission-plugins` and `--disable-admission-plugins` mean the same.
//!
//! # Where it stands
//! Part of the API server's request pipeline: [`Chain::admit`] runs between decoding and the kind's own strategy,
//! [`Chain::validate`] after defaults and validation, just before the proposal. What a plugin must write besides the
//! request's object (a quota's usage) comes back as a [`SideWrite`] and joins the same transaction.
//!
//! # Invariants
//! - No clock, randomness, I/O or hash-ordered iteration: the moment comes with the request, and generated names are
//!   derived from it.
//! - A plugin that refuses leaves no trace: writes exist only in the verdict of a request that every plugin let pass.
//! - Plugins run in upstream's order whatever order they joined in.
//!
//! # Deliberate absences
//! Webhooks and CEL policies: their places in the order are named ([`ORDER`]), and [`Chain::join`] takes them.
//! ImagePolicyWebhook and EventRateLimit are refused by name.

// Conditions of the field's rules read as written upstream: one rule an `if`, nested where rules nest.
#![allow(clippy::collapsible_if)]

mod chain;
#[cfg(test)]
mod chain_test;
mod config;
mod plugin;
mod plugins;
mod pod;
mod refuse;
mod request;
mod resources;
#[cfg(test)]
mod testing;

pub use chain::{Chain, ChainError, ON_BY_DEFAULT, ORDER};
pub use config::{ChainConfig, LimitedResource, NamespaceTolerations, NodeSelectors, PodSecurityConfig};
pub use plugin::{Plugin, World};
pub use plugins::{quota_kinds, quota_usage};
pub use request::{Operation, Request, SideWrite, Verdict};
