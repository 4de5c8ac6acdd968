//! Priority and fairness at the door: hosts the core of `trireme_access::flow`.
//!
//! Every request that is short (all but connections to nodes) is sorted into a flow before it is authorized, and waits
//! for seats of its level. A watch holds its seat until its initial events are sent. The configuration objects are looked
//! at again at most every [`LOOK_US`]; the core itself never reads the clock.
//!
//! Deliberately absent: seats for the work that a write makes for watchers (events are encoded once for all of them).

mod gate;
mod metrics;
pub(crate) mod status;
mod width;

pub(crate) use gate::{Admitted, FlowGate, Label, Seat, Turned};
pub(crate) use width::width;

/// Time between two looks at whether the configuration changed, in microseconds.
const LOOK_US: u64 = 100_000;
