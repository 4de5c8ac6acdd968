use std::fmt;

use serde::{Deserialize, Serialize};

use super::ChildPolicy;

/// A child within its supervisor. Ids order the children: a smaller id starts earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ChildId(pub u64);

/// One life of an actor: 1 for the first, counted up with each start and never used twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Incarnation(pub u64);

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Why an incarnation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExitReason {
    /// It stopped by itself or when told to.
    Normal,
    /// A handler panicked.
    Panic,
    /// It gave up by itself, saying why.
    Failed,
    /// It was killed.
    Killed,
    /// It was stuck in one input past its progress limit.
    Stalled,
    /// Its factory or its start failed.
    StartFailed,
    /// It is a supervisor whose children failed too often.
    Escalated,
    /// It lost its arbiter through a stuck neighbour; not its own failure.
    Abandoned,
}

/// What is known of a child when it is declared, other than nothing when its supervisor was restarted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// The last incarnation that was started.
    pub last: Incarnation,
    /// Whether that one is still alive.
    pub alive: bool,
    /// Whether the child (a transient one) ended for good.
    pub finished: bool,
}

/// What a supervisor core receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SupervisorInput {
    /// Bring up everything declared so far. Incarnations left over from an earlier life of the supervisor
    /// are stopped first.
    Start,
    /// Declare a child; it is started once the supervisor is started. Ignored unless the id is greater than
    /// all declared before, so that a late repetition does not bring back a child that was removed. A
    /// temporary child that was alive before and is not any more is forgotten at once.
    AddChild {
        /// Its id; order of start.
        child: ChildId,
        /// Its policy.
        policy: ChildPolicy,
        /// What is known of it.
        seen: Seen,
    },
    /// Stop a child with its grace and forget it.
    RemoveChild {
        /// Which.
        child: ChildId,
    },
    /// Stop a child with its grace and start it again, with those the strategy ties to it. Not counted.
    /// Brings back a transient child that had ended.
    RestartChild {
        /// Which.
        child: ChildId,
    },
    /// A start asked for has succeeded.
    Started {
        /// Which child.
        child: ChildId,
        /// Which incarnation.
        incarnation: Incarnation,
    },
    /// An incarnation has ended.
    Exited {
        /// Which child.
        child: ChildId,
        /// Which incarnation.
        incarnation: Incarnation,
        /// Why.
        reason: ExitReason,
    },
    /// Stop all children and finish.
    Shutdown,
}
