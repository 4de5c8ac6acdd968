//! EndpointSlices of Services with selectors: where a Service's traffic may go.
//!
//! As upstream's `k8s.io/endpointslice`: at most [`ENDPOINTS_PER_SLICE`] endpoints in a slice, one set of slices for each
//! address family and each set of ports, and as few slices as possible rewritten for one changed pod.
//!
//! Laws: every pod that belongs is in exactly one slice of each family; a slice that did not change is not written; slices
//! of others are left alone.
//!
//! Deliberately absent: hints by the share of processors in a zone (`service.kubernetes.io/topology-mode: Auto`);
//! `spec.trafficDistribution` is what takes its place.

mod controller;
mod endpoint;
mod hints;
mod packing;
mod slice;

pub use controller::EndpointSliceController;
pub(crate) use endpoint::{
    changed_at, find_port, has_selector, hostname, is_headless, is_selected, may_belong, services_of_pod,
};
pub(crate) use packing::{PortsKey, ports_key};
pub(crate) use slice::{MANAGED_BY, SERVICE_NAME, TRIGGER_TIME, name_prefix};

/// Endpoints in one slice, as upstream's default.
pub const ENDPOINTS_PER_SLICE: usize = 100;
