//! Pods that nobody will ever clean up: those of nodes that are gone or out of service, those that were never placed
//! and are on their way out, and the oldest finished ones beyond a number.
//!
//! Source: upstream's podgc controller.

mod controller;

pub use controller::PodCollector;
