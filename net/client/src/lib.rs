//! The Kubernetes API as a client reaches it over HTTPS: for the command line and for machines without a server.
//!
//! [`Rest`] carries plain requests and streams; [`ListWatch`] follows a resource over failures and restarts of servers.
//! Objects are JSON trees: no typed form is kept that a newer server could outgrow. Connection, TLS and credentials
//! come from a kubeconfig and are `kube`'s, but for machines of the cluster, which go from server to server
//! ([`Rest::roaming`]).

mod error;
mod list_watch;
mod rest;
mod roaming;
mod watch;

pub use error::{ClientError, Refusal};
pub use list_watch::{ListWatch, Seen};
pub use rest::{Ask, Rest};
pub use roaming::Servers;
pub use watch::{Event, EventKind, Watch};
