//! trireme-apiserver: the Kubernetes API over the replicated store: one front door for every read and write.
//!
//! **Path of a request.** [`handler`] reads it, `gate` says who asks and whether they may, `dispatch` finds the verb,
//! [`verbs`](mod@verbs) carry it out over [`catalogue`] (the kinds) and [`records`] (the store), `render` writes the answer.
//! A write is: decode, begin, mutating admission, finish (defaults, validation), validating admission, allocation, one
//! transaction guarded by the version it was decided upon; when that changed meanwhile, all of it again.
//!
//! **Laws.** Reads of the stored version parse nothing. A write is one transaction, under a request id, so that it
//! applies once. What a client is told was done is durable. Watches share cursor, events and encodings; a slow client
//! is ended, never buffered without limit. Custom and built-in kinds go the same way.
//!
//! **Deliberately absent.** Sockets (net/http), disks (storage/raft), what kinds mean (storage/schema), who may do what
//! (actors/access), policies on writes (actors/admission).

mod allocation;
mod body;
mod bootstrap;
pub mod catalogue;
mod cidr;
pub mod client;
mod config;
mod deadline;
mod definitions;
mod dispatch;
mod endpoints;
mod failures;
pub mod features;
mod flow;
mod follow;
#[cfg(test)]
mod fuzz_test;
mod gate;
pub mod handler;
mod health;
mod kinds;
pub mod limits;
mod metrics;
pub mod nodes;
mod outcome;
mod own_objects;
mod paths;
mod publishing;
mod query;
pub mod records;
mod render;
mod rendered_shape;
mod request_info;
mod reviews;
mod scope;
mod selectable;
mod server;
mod service;
mod service_needs;
mod subresources;
mod tokens;
mod tree;
mod verbs;
mod watch;

pub use bootstrap::bootstrap;
pub use cidr::Cidr;
pub use client::ApiClient;
pub use config::ServerConfig;
pub use handler::ApiHandler;
pub use metrics::Exposition;
pub use nodes::{DialError, NodeDialer, NodeDialing, NodeIo};
pub use query::Query;
pub use request_info::RequestInfo;
pub use server::{Server, ServerError};
pub use service::{ApiService, ApiServiceError, ApiServiceParts};
pub use trireme_access::authz::{Mode, ModeError};
