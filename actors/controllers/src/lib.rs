//! trireme-controllers: what makes the cluster's objects true, as pure decisions.
//!
//! Role: a [`Controller`] looks at the applied state ([`World`]) and says which writes bring it nearer to what its
//! object asks for ([`Plan`]). A shell in the leader's scope hosts each of them as one actor with a [`WorkQueue`],
//! carries out the writes through the API's pipeline under the controller's own identity and the leader's term, and
//! looks again once the state it reads holds what it wrote.
//!
//! # Laws
//! - Level-triggered: a plan is a function of (moment, key, world). What was planned before counts for nothing, so a
//!   controller may be killed at any moment.
//! - A plan is made from a state that holds every write of the plans before it: the shell waits for the applied
//!   index of its last write. There are no expectations to keep.
//! - Writes name what they saw (uid, resourceVersion), so that a stale plan is refused and made anew.
//! - No clock, randomness, I/O, threads or hash-ordered iteration.

mod controller;
mod key;
mod plan;
mod queue;
mod world;

pub use controller::{Change, Controller, Resource};
pub use key::Key;
pub use plan::{Plan, Write};
pub use queue::{Attempt, KeyReport, KeyState, Limits, Outcome, WorkQueue};
pub use world::World;
