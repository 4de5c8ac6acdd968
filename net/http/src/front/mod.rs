//! The listener and its connections.
//!
//! Place in the tree: owned by the API server's actor, which starts it on the process's I/O runtime, keeps the handle
//! and shuts it down. One task accepts, one task serves each connection; HTTP/2 requests have tasks of their own. A
//! panic in a handler ends its request (HTTP/2) or connection (HTTP/1.1) and nothing else.

mod connection;
mod counters;
mod deadline;
mod listener;
mod service;
mod watch;
mod watched_io;

pub use counters::Counts;
pub use listener::{Accepting, Acceptor, Front, FrontConfig, FrontError};
pub(crate) use service::RequestGuard;
