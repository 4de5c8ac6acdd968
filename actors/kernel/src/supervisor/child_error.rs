use std::time::Duration;

use thiserror::Error;

use crate::ActorPath;
use crate::path::PathError;

/// Why a child was not added, removed or restarted.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ChildError {
    /// The name makes no path.
    #[error(transparent)]
    Path(#[from] PathError),
    /// An actor of that path exists, or is still stopping.
    #[error("{0}: exists already; remove it and wait until it is gone")]
    Exists(ActorPath),
    /// The supervisor has [`MAX_CHILDREN`](super::MAX_CHILDREN) children.
    #[error("{path}: has {limit} children, the most there may be")]
    Full {
        /// The supervisor.
        path: ActorPath,
        /// Its limit.
        limit: usize,
    },
    /// The supervisor itself was removed or its kernel shut down.
    #[error("{0}: the supervisor was stopped")]
    Stopped(ActorPath),
    /// The supervisor has no such child.
    #[error("{path}: has no child {name:?}")]
    Unknown {
        /// The supervisor.
        path: ActorPath,
        /// The name asked for.
        name: String,
    },
    /// The child is stopping, but was not gone in time.
    #[error("{path}: not gone within {waited:?}; it is still being stopped")]
    DeadlineExceeded {
        /// The child.
        path: ActorPath,
        /// How long the caller waited.
        waited: Duration,
    },
}
