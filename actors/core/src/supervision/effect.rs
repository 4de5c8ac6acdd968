use std::time::Duration;

use super::{ChildId, ExitReason, Incarnation};

/// What a supervisor core asks its shell to do. The pair of child and incarnation is the effect's id: the
/// answers ([`super::SupervisorInput::Started`], [`super::SupervisorInput::Exited`]) name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SupervisorEffect {
    /// Start an incarnation; answer by `Started`, or `Exited` with `StartFailed`.
    Start {
        /// Which child.
        child: ChildId,
        /// The incarnation to start.
        incarnation: Incarnation,
    },
    /// Ask an incarnation to stop; answer by `Exited`. The core keeps the time itself.
    Stop {
        /// Which child.
        child: ChildId,
        /// The incarnation to stop.
        incarnation: Incarnation,
        /// How long it has, as information for the child.
        grace: Duration,
    },
    /// End an incarnation without asking; answer by `Exited`.
    Kill {
        /// Which child.
        child: ChildId,
        /// The incarnation to end.
        incarnation: Incarnation,
    },
    /// A failure was counted and the child will be started again after a wait.
    Restarting {
        /// Which child failed.
        child: ChildId,
        /// Why.
        reason: ExitReason,
        /// The wait before the start.
        delay: Duration,
        /// Whether the intensity was exceeded.
        exceeded: bool,
    },
    /// A transient child ended normally; it stays declared but is not started again.
    ChildFinished {
        /// Which child.
        child: ChildId,
    },
    /// A child was forgotten: removed on demand, or a temporary one that ended.
    Removed {
        /// Which child.
        child: ChildId,
    },
    /// The intensity was exceeded and all children are down: the supervisor fails towards its parent. Last
    /// effect of the core's life.
    Escalate {
        /// The child whose failure was one too many.
        child: ChildId,
    },
    /// A shutdown is complete: all children are down. Last effect of the core's life.
    Finished,
}
