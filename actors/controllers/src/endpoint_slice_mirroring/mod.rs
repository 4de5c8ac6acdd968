//! Mirroring: EndpointSlices of Endpoints that people wrote for Services without selectors (KEP-0752).
//!
//! As upstream's mirroring controller: one slice for each family of each subset, of at most [`ADDRESSES_PER_SUBSET`]
//! addresses. Events say what was left out.
//!
//! Laws: Endpoints labelled `endpointslice.kubernetes.io/skip-mirror=true`, and those that elections use, have no mirror.

mod controller;
mod mirror;

pub use controller::EndpointSliceMirroringController;

/// Addresses that are mirrored of one subset, as upstream's default.
const ADDRESSES_PER_SUBSET: usize = 1000;
