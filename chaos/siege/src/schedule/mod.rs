//! Which fault happens when. Pure: a schedule is a function of seed, members, length and kinds.

mod fault;
mod plan;

pub use fault::{Cut, DiskHarm, Fault, FaultKind, LinkHarm, Target, UnknownFault};
pub use plan::{Schedule, Step};
