//! The Kubernetes API as a client reaches it over HTTPS: for the command line and for machines without a server.
//!
//! [`Rest`] carries plain requests and streams; [`ListWatch`] follows a resource over failures and restarts of servers.
//! Objects are JSON trees: no typed form is kept that a newer server could outgrow. The connection, its TLS and its
//! credentials are `kube`'s.

mod error;
mod list_watch;
mod rest;
mod watch;

pub use error::{ClientError, Refusal};
pub use list_watch::{ListWatch, Seen};
pub use rest::{Ask, Rest};
pub use watch::{Event, EventKind, Watch};
