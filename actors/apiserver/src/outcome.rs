//! [`Outcome`]: what a verb gives, before it is written in the client's format.

use std::sync::Arc;

use serde_json::Value;
use trireme_http::FrameReceiver;
use trireme_mvcc::Revision;

use crate::catalogue::ServedKind;
use crate::records::Record;

/// The answer to a request about objects.
pub(crate) struct Outcome {
    /// HTTP status.
    pub(crate) status: u16,
    /// The body.
    pub(crate) content: Content,
    /// Texts of Warning headers.
    pub(crate) warnings: Vec<String>,
}

/// The body of an answer.
pub(crate) enum Content {
    /// One stored object; shown in the version of `kind`.
    Stored(Arc<ServedKind>, Record),
    /// One object of a kind, in that kind's version.
    Object(Arc<ServedKind>, Value),
    /// Something else with `kind` and `apiVersion`: a Status, a Scale, a review.
    Other(Value),
    /// A list of stored objects.
    List(Box<ListContent>),
    /// Events.
    Watch(FrameReceiver, &'static str),
}

/// A list of objects of one kind.
pub(crate) struct ListContent {
    /// The kind in the asked version.
    pub(crate) kind: Arc<ServedKind>,
    /// Objects in order.
    pub(crate) items: Items,
    /// The state that the list speaks of.
    pub(crate) revision: Revision,
    /// Where the next page begins.
    pub(crate) continue_token: Option<String>,
    /// Objects behind this page, when known.
    pub(crate) remaining: Option<u64>,
}

/// The items of a list.
pub(crate) enum Items {
    /// As stored.
    Stored(Vec<Record>),
    /// Objects in the kind's version.
    Objects(Vec<Value>),
}

impl Outcome {
    /// Another value.
    pub(crate) fn other(status: u16, value: Value) -> Self {
        Self { status, content: Content::Other(value), warnings: Vec::new() }
    }

    /// A stored object.
    pub(crate) fn stored(status: u16, kind: &Arc<ServedKind>, record: Record) -> Self {
        Self { status, content: Content::Stored(kind.clone(), record), warnings: Vec::new() }
    }

    /// With warnings.
    #[must_use]
    pub(crate) fn warn(mut self, warnings: Vec<String>) -> Self {
        self.warnings.extend(warnings);
        self
    }
}
