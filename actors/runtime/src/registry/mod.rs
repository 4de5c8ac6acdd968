//! Registries: fetching and pushing images, through mirrors, with credentials, verified.
//!
//! An own small client over hyper and the product's TLS: a ready-made one would bring a second TLS stack. HTTP/1.1, a
//! connection per request. Deliberate absences, refused by name: `insecure_skip_verify`, client certificates; proxies
//! by environment are not used.

mod auth;
mod client;
mod config;
mod pull;
mod push;

#[cfg(test)]
mod registry_test;

pub use config::Registries;
