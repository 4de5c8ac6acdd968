//! Endpoints of Services with selectors: the older form of EndpointSlices, which clients and tools still read.
//!
//! As upstream's endpoint controller: one object of the Service's name, at most [`ADDRESSES`] addresses, ready ones first.
//!
//! Laws: an object that somebody else made, without a Service of its name, is left alone.

mod controller;
mod subsets;

pub use controller::EndpointsController;

/// Addresses in one Endpoints object, as upstream.
const ADDRESSES: usize = 1000;
