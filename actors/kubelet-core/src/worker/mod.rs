//! [`PodWorker`]: one pod on this node, from its first sync until nothing of it is left.
//!
//! Parent: the kubelet's supervisor; its shell is the actor `pod/<uid>`. The worker holds no truth: what runs is the
//! runtime's answer to [`Op::Observe`], what is wanted is the API's object, and restart counts come from both. So it can
//! be killed and made anew at any step.
//!
//! # Laws
//! - At most one operation is in flight for a container, and none is started while the runtime's state is unknown: no
//!   container runs twice.
//! - A container's state and the pod's phase never go back; `Succeeded` and `Failed` are final.
//! - The latest wanted pod wins. A grace period only ever shrinks.
//! - Termination ends: every step has a limit, and what fails is tried again.
//!
//! # Time
//! The [`Tick`]s are nanoseconds since 1970, so that they compare with the runtime's times and can be written out.

mod config;
mod driver;
mod effect;
mod input;
mod overwritten;
mod resize;
mod start;
mod state;
mod status;
mod terminate;
mod track;
#[cfg(test)]
mod worker_test;

pub use config::WorkerConfig;
pub use effect::{Op, PodEffect};
pub use input::{Ending, Observation, OpOutcome, PodInput, StartOutcome, Trouble};
pub use state::PodWorker;

/// Annotation of a container: its identity, see [`crate::pod::Container::identity`].
pub const IDENTITY_ANNOTATION: &str = "io.kubernetes.container.hash";
/// Annotation of a container: the `resources` it was made with, as JSON.
pub const RESOURCES_ANNOTATION: &str = "trireme.io/resources";
/// Operations of one pod in flight: the named limit behind every queue of a worker.
pub const OPS_IN_FLIGHT_LIMIT: usize = 512;
