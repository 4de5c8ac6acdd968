//! The API server with its store and its listener, in this process.
#![allow(clippy::unwrap_used)]

mod actors;
mod fake_kubelet;
mod flow;
mod kit;
mod kubectl;
mod namespaces;
mod streams;
