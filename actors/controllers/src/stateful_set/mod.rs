//! StatefulSets: pods with names, claims and an order of their own.
//!
//! Laws: one pod a name; under `OrderedReady` no pod is made before those below it are available, none is taken down
//! for scale before those above it are gone; an update takes down the highest ordinal first and never more than
//! `maxUnavailable` at once; pods below the partition keep (and are made anew at) the current revision.
//!
//! Source: upstream's statefulset controller; KEP-961 (maxUnavailable), KEP-1847 (claim retention), KEP-3335 (start
//! ordinal).

mod claims;
mod controller;
mod identity;
mod status;
mod sync;

pub use controller::StatefulSetController;
