//! Discovery: what a client can ask this server for.
//!
//! Two forms of the same facts: the legacy documents (`/api`, `/apis`, one list of resources per group and version)
//! and the aggregated ones (apidiscovery.k8s.io, everything in one answer). A [`Catalogue`] is built from the kinds
//! served and rebuilt when a custom kind comes or goes; it holds no encoded bytes.
//!
//! Built-in kinds and custom kinds differ in two traits that clients can see, both kept from upstream: aggregated
//! discovery leaves group and version of a built-in kind's `responseKind` empty, and the priorities of custom groups
//! are all alike.

mod accept;
mod aggregated;
mod catalogue;
mod legacy;
mod priority;
mod served_kind;

pub use accept::{Form, negotiate};
pub use aggregated::AggregatedVersion;
pub use catalogue::Catalogue;
pub use priority::{CUSTOM_PRIORITY, Priority, compare_versions, priority};
pub use served_kind::{ServedKind, storage_version_hash};

#[cfg(test)]
mod discovery_test;
