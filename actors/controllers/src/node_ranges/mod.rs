//! Ranges of pod addresses for nodes (`spec.podCIDRs`), out of the cluster's.
//!
//! Laws: no two nodes have overlapping ranges; a node keeps its range for life. All nodes are one key, so that two looks
//! never hand out the same range.
//!
//! Source: upstream's nodeipam controller (RangeAllocator).

mod controller;
mod range;

pub use controller::NodeRangeController;
pub use range::{ClusterRange, RangeError};
