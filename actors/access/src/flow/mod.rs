//! Priority and fairness: which requests may run, which wait, which are turned away.
//!
//! [`FlowControl`] is a pure core: requests arrive, finish or give up; it says which start and which are rejected. The
//! pipeline hosts it behind one lock and holds the waiting requests. FlowSchemas sort requests into flows
//! ([`FlowSchema`]); each flow belongs to a priority level ([`PriorityLevel`]) with its share of the server's seats; within a
//! level flows are dealt to queues by shuffle sharding ([`hand`]), and queues are served fairly in virtual time.
//!
//! # Invariants
//! - Exempt levels start everything at once.
//! - A level never runs more seats than its limit, except one request wider than the limit when nothing else runs.
//! - Every queue has a length limit and every wait an end; beyond them a request is rejected, never forgotten.
//! - Same inputs, same effects: no clock, no randomness, no hash order.
//!
//! # Deliberate absences
//! How many seats a request is wide is the caller's estimate (upstream's work estimator looks at object counts and
//! watchers); seats are not kept beyond a request's end.

mod allocation;
mod control;
mod level;
mod priority_level;
mod schema;
mod shuffle;

pub use control::{Effect, FlowControl, Input, Limits, RejectReason, Request};
pub use priority_level::{PriorityLevel, Queuing};
pub use schema::{Flow, FlowSchema};
pub use shuffle::hand;
