//! [`Watcher`]: one client's watch as its feed sees it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::time::Instant;
use trireme_http::{FrameSendError, FrameSender};
use trireme_mvcc::Revision;

use super::event::SharedEvent;
use super::shape::{EventShape, raw_frame};
use crate::limits::{BOOKMARK_BEFORE_END, BOOKMARK_INTERVAL};
use crate::records::{Records, ResourceKey};
use crate::selectable::Selection;

/// Counts an open watch; given back when dropped.
pub(crate) struct OpenWatch(Arc<AtomicUsize>);

impl OpenWatch {
    /// A place among `limit` watches.
    pub(crate) fn take(count: &Arc<AtomicUsize>, limit: usize) -> Option<Self> {
        if count.fetch_add(1, Ordering::Relaxed) >= limit {
            count.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        Some(Self(count.clone()))
    }
}

impl Drop for OpenWatch {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One client's watch.
pub(crate) struct Watcher {
    pub(crate) resource: ResourceKey,
    /// Only this namespace; empty for all.
    pub(crate) namespace: String,
    pub(crate) selection: Selection,
    pub(crate) shape: EventShape,
    pub(crate) sender: FrameSender,
    /// Everything up to here was sent.
    pub(crate) position: Revision,
    pub(crate) first: bool,
    /// When the watch ends.
    pub(crate) deadline: Instant,
    /// When the next bookmark is due; `None` for watches that want none.
    pub(crate) bookmark_at: Option<Instant>,
    /// `kind` and `apiVersion` of bookmarks.
    pub(crate) bookmark_type: (String, String),
    pub(crate) bookmarked: Revision,
    pub(crate) _open: OpenWatch,
}

/// What became of a watcher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Stays,
    /// Its client is gone, or did not keep up.
    Ends,
}

impl Watcher {
    /// The frame that an event is to this watcher, if it concerns it.
    pub(crate) fn frame(&mut self, event: &SharedEvent, records: &Records) -> Option<Bytes> {
        if event.revision <= self.position {
            return None;
        }
        self.frame_of(event, records)
    }

    fn frame_of(&mut self, event: &SharedEvent, records: &Records) -> Option<Bytes> {
        let (namespace, name) = self.resource.parse(event.key());
        if !self.namespace.is_empty() && self.namespace != namespace {
            return None;
        }
        if self.selection.is_by_key() && !self.selection.matches_key(namespace, name) {
            return None;
        }
        let kind = event.judge(&self.selection, records)?;
        let frame = event.frame(kind, &self.shape, self.first, records)?;
        self.first = false;
        Some(frame)
    }

    /// The frame of an object that is there at the beginning.
    pub(crate) fn initial_frame(&mut self, event: &SharedEvent, records: &Records) -> Option<Bytes> {
        self.frame_of(event, records)
    }

    /// Hands an event on without waiting.
    pub(crate) fn offer(&mut self, event: &SharedEvent, records: &Records) -> Fate {
        match self.frame(event, records) {
            Some(frame) => self.push(frame),
            None => Fate::Stays,
        }
    }

    fn push(&mut self, frame: Bytes) -> Fate {
        match self.sender.try_send(frame) {
            Ok(()) => Fate::Stays,
            Err(FrameSendError::Full(_)) => {
                tracing::info!(resource = self.resource.resource, "a watch does not keep up and is ended");
                Fate::Ends
            }
            Err(FrameSendError::Gone(_)) => Fate::Ends,
        }
    }

    /// Sends a bookmark when one is due, and ends the watch at its deadline.
    pub(crate) fn tick(&mut self, now: Instant, through: Revision) -> Fate {
        if self.sender.is_closed() || now >= self.deadline {
            return Fate::Ends;
        }
        let position = self.position.max(through);
        let Some(due) = self.bookmark_at.filter(|due| *due <= now) else { return Fate::Stays };
        let last = self.deadline - BOOKMARK_BEFORE_END;
        let next = due + BOOKMARK_INTERVAL;
        self.bookmark_at = if due < last { Some(next.min(last)) } else { None };
        if position <= self.bookmarked {
            return Fate::Stays;
        }
        self.bookmarked = position;
        let frame = self.bookmark_frame(position, None);
        self.push(frame)
    }

    /// A bookmark at a revision.
    pub(crate) fn bookmark_frame(&self, at: Revision, annotation: Option<&str>) -> Bytes {
        let (kind, api_version) = &self.bookmark_type;
        let mut metadata = json!({"resourceVersion": at.to_string(), "creationTimestamp": null});
        if let Some(name) = annotation {
            metadata["annotations"] = json!({name: "true"});
        }
        let object = json!({"kind": kind, "apiVersion": api_version, "metadata": metadata});
        raw_frame(&self.shape, "BOOKMARK", object)
    }

    /// Tells the client why the watch ends.
    pub(crate) fn error_frame(&self, status: &Value) -> Bytes {
        raw_frame(&self.shape, "ERROR", status.clone())
    }

    /// When this watcher next wants attention besides events.
    pub(crate) fn due(&self) -> Instant {
        self.bookmark_at.map_or(self.deadline, |bookmark| bookmark.min(self.deadline))
    }
}
