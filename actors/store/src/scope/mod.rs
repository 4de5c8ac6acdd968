//! The leader scope: actors that run only where the leader is, below `/cluster`.
//!
//! [`LeaderScope`] (`/server/<name>/store/leader`, permanent) starts the supervisor `/cluster` when this member leads
//! and has applied the first entry of its term, and stops it when the term is over or is about to be given up. Each
//! child is made for one [`Reign`], whose term fences its writes: a leader that was cut off and does not know it yet
//! may still run its scope for a moment, but nothing it decides is carried out any more.
//!
//! Laws: a term has one leader, so at most one scope acts per term; the scope of a term is gone from this machine
//! before that of a later one starts here. The scope belongs to the process: a killed `LeaderScope` leaves it
//! running, and the next incarnation stops it if it should not.

mod auditor;
mod clock;
mod compaction;
mod compactor;
mod leader_scope;
mod plan;
mod reign;
mod verdict;

pub use auditor::ClusterAuditor;
pub use clock::ClusterClock;
pub use compactor::ClusterCompactor;
pub use leader_scope::{LeaderScope, ScopeChildren};
pub use reign::Reign;
