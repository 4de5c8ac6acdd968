//! The API server with its store and its listener, in this process.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod actors;
mod fake_kubelet;
mod flow;
mod hostile;
mod kit;
mod kubectl;
mod libraries;
mod namespaces;
mod streams;
