use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::ActorPath;

/// A request that an actor answers, from this machine or over the bus.
pub trait Call: Serialize + DeserializeOwned + Send + 'static {
    /// What comes back.
    type Answer: Serialize + DeserializeOwned + Send + 'static;
    /// Its name on the wire, unique within the actor it is sent to; never reused for another shape.
    const NAME: &'static str;
}

/// How a call is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallOptions {
    /// How long the caller waits, from now.
    pub deadline: Duration,
    /// Lets a receiver over the bus recognise a repeated call. Without meaning for an actor on this machine,
    /// where a call is delivered at most once by construction.
    pub key: Option<IdempotencyKey>,
    /// Its priority on the bus. Without meaning for an actor on this machine.
    pub class: Class,
}

impl CallOptions {
    /// A control-class call without a key.
    pub const fn within(deadline: Duration) -> Self {
        Self { deadline, key: None, class: Class::Control }
    }

    /// The same with an idempotency key.
    #[must_use]
    pub const fn with_key(mut self, key: IdempotencyKey) -> Self {
        self.key = Some(key);
        self
    }

    /// The same in another class.
    #[must_use]
    pub const fn with_class(mut self, class: Class) -> Self {
        self.class = class;
        self
    }
}

/// Names one intent of a caller: the same key on a retry means the same intent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct IdempotencyKey(pub u128);

/// Priority of traffic on the bus, most urgent first. Plain data: the kernel does not act on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// Consensus and heartbeats.
    Raft,
    /// Calls between actors.
    #[default]
    Control,
    /// Subscriptions.
    Watch,
    /// Snapshots, images, logs.
    Bulk,
}

/// Who calls: an identity the bus has checked, or this process itself.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Caller(Arc<str>);

impl Caller {
    /// The identity of a peer, in the bus's own words.
    pub fn new(identity: &str) -> Self {
        Self(Arc::from(identity))
    }

    /// This process.
    pub fn local() -> Self {
        Self(Arc::from("local"))
    }

    /// The identity.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// True for this process.
    pub fn is_local(&self) -> bool {
        &*self.0 == "local"
    }
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What may be done after a call failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// The call was not carried out: try again at will.
    Safe,
    /// The call may have been carried out: try again only with the same idempotency key, or when repeating
    /// does no harm.
    SameKeyOnly,
    /// Trying again cannot help.
    Never,
}

/// Why a call has no answer.
#[derive(Clone, Debug, PartialEq, Eq, Error, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CallError {
    /// No actor lives there.
    #[error("{path}: no such actor here; check the path and that its owner is up")]
    NoSuchActor {
        /// Where the call went.
        path: ActorPath,
    },
    /// The actor is there but does not answer calls of this name.
    #[error("{path}: the actor does not answer calls named {name:?}; check the versions of both sides")]
    NoSuchCall {
        /// Where the call went.
        path: ActorPath,
        /// The call's name.
        name: String,
    },
    /// The actor is busy and its mailbox is full.
    #[error("{path}: mailbox full; try again later")]
    MailboxFull {
        /// Where the call went.
        path: ActorPath,
    },
    /// The incarnation that held the call ended before it answered.
    #[error("{path}: restarted while the call was in flight; it may have been carried out")]
    Restarted {
        /// Where the call went.
        path: ActorPath,
    },
    /// The actor was stopped for good.
    #[error("{path}: stopped")]
    Stopped {
        /// Where the call went.
        path: ActorPath,
    },
    /// The actor took the call and let go of it without an answer.
    #[error("{path}: the call was dropped without an answer; it may have been carried out")]
    NoAnswer {
        /// Where the call went.
        path: ActorPath,
    },
    /// No answer came in time.
    #[error("{path}: no answer within {waited:?}; the call may still be carried out")]
    DeadlineExceeded {
        /// Where the call went.
        path: ActorPath,
        /// How long the caller waited.
        waited: Duration,
    },
    /// The caller's identity may not do this.
    #[error("{path}: denied: {reason}")]
    Denied {
        /// Where the call went.
        path: ActorPath,
        /// What is missing.
        reason: String,
    },
    /// The machine that owns the path cannot be reached; the call was not sent.
    #[error("{path}: unreachable: {reason}; the call was not sent")]
    Unreachable {
        /// Where the call went.
        path: ActorPath,
        /// What was tried.
        reason: String,
    },
    /// The connection broke after the call was sent.
    #[error("{path}: outcome unknown: {reason}; the call may have been carried out")]
    UnknownOutcome {
        /// Where the call went.
        path: ActorPath,
        /// What broke.
        reason: String,
    },
    /// The actor answered that it will not do this.
    #[error("{path}: refused: {reason}")]
    Refused {
        /// Where the call went.
        path: ActorPath,
        /// The actor's reason.
        reason: String,
    },
    /// The call or its answer cannot be encoded or decoded.
    #[error("{path}: malformed: {reason}")]
    Malformed {
        /// Where the call went.
        path: ActorPath,
        /// What is wrong with it.
        reason: String,
    },
}

impl CallError {
    /// What may be done about it.
    pub fn retry(&self) -> Retry {
        match self {
            Self::NoSuchActor { .. } | Self::MailboxFull { .. } | Self::Unreachable { .. } => Retry::Safe,
            Self::Restarted { .. }
            | Self::NoAnswer { .. }
            | Self::DeadlineExceeded { .. }
            | Self::UnknownOutcome { .. } => Retry::SameKeyOnly,
            Self::NoSuchCall { .. }
            | Self::Stopped { .. }
            | Self::Denied { .. }
            | Self::Refused { .. }
            | Self::Malformed { .. } => Retry::Never,
        }
    }

    /// Where the call went.
    pub fn path(&self) -> &ActorPath {
        match self {
            Self::NoSuchActor { path }
            | Self::NoSuchCall { path, .. }
            | Self::MailboxFull { path }
            | Self::Restarted { path }
            | Self::Stopped { path }
            | Self::NoAnswer { path }
            | Self::DeadlineExceeded { path, .. }
            | Self::Denied { path, .. }
            | Self::Unreachable { path, .. }
            | Self::UnknownOutcome { path, .. }
            | Self::Refused { path, .. }
            | Self::Malformed { path, .. } => path,
        }
    }
}
