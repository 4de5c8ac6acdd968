//! PodDisruptionBudgets: how many pods may be evicted right now.
//!
//! Laws: `disruptionsAllowed` never exceeds what is healthy beyond what must be; what cannot be computed allows
//! nothing. Evictions take from the number in the API server, and name the pods in `disruptedPods` until these are
//! gone.
//!
//! Source: upstream's disruption controller.

mod controller;
mod scale;

pub use controller::DisruptionController;
