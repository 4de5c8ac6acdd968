//! [`Effect`]: what the scheduler asks for.

use std::sync::Arc;

use serde_json::Value;
use trireme_core::OpId;

/// A pod.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PodRef {
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// Its uid: a pod of the same name is another one.
    pub uid: Arc<str>,
}

/// What the scheduler asks its shell to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Bind a pod to a node, and answer with [`crate::Input::Bound`]. Those of one step may be one transaction.
    Bind {
        /// Its id.
        op: OpId,
        /// The pod.
        pod: PodRef,
        /// The node's name.
        node: Arc<str>,
    },
    /// Write the condition PodScheduled=False and `status.nominatedNodeName` of a pod. No answer is awaited: what was not
    /// written is written with the next attempt.
    Patch {
        /// The pod.
        pod: PodRef,
        /// Reason and message; `None` leaves the condition.
        condition: Option<(&'static str, String)>,
        /// The condition was not False before: its time of transition is now.
        turns: bool,
        /// The name, empty to clear it; `None` leaves it.
        nominated: Option<Arc<str>>,
    },
    /// Evict a pod: write its DisruptionTarget condition, then delete it; answer with
    /// [`crate::Input::Evicted`].
    Evict {
        /// Its id.
        op: OpId,
        /// The victim.
        pod: PodRef,
        /// Message of the condition, whose reason is PreemptionByScheduler.
        message: String,
    },
    /// Record an event.
    Record {
        /// What it is about.
        about: PodRef,
        /// The other pod.
        related: Option<PodRef>,
        /// Warning rather than Normal.
        warning: bool,
        /// Upstream's reason.
        reason: &'static str,
        /// Upstream's action.
        action: &'static str,
        /// For people, at most [`crate::NOTE_LIMIT_BYTES`].
        message: String,
        /// The scheduler's name, the event's reporting controller.
        scheduler: Arc<str>,
    },
    /// Ask an extender, and answer with [`crate::Input::Extended`].
    Extend {
        /// Its id.
        op: OpId,
        /// Index into [`crate::SchedulerConfig::extenders`].
        extender: usize,
        /// Verb, appended to its prefix.
        verb: String,
        /// Body of the POST.
        body: Value,
    },
}
