//! The replicated store's lower half: the durable Raft log, the applied state on disk, and openraft behind our own
//! trait. The only crate that names openraft and sled. It does not know Kubernetes kinds: keys and values are
//! opaque bytes.

mod database;
pub mod disk;
mod identity;
pub mod log_db;
mod priority;
mod rt;
mod sentinel;
mod sled_file;
pub mod state_db;
pub mod store;

pub use database::{Database, OpenError};
#[cfg(feature = "virtual-time")]
pub use rt::virtual_time;

pub use identity::{ClusterId, DatabaseId, FORMAT_VERSION, Identity, IdentityError, LogKind, MemberId};
pub use sentinel::{Position, Sentinel, SentinelError, SentinelSync};
