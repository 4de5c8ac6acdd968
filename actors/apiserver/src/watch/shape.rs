//! [`EventShape`]: the form in which a watcher wants its events.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;

use super::event::EventType;

/// The form of a watch's frames.
#[derive(Clone)]
pub(crate) enum EventShape {
    /// JSON of the stored version: copied, never parsed.
    Plain,
    /// Anything else.
    Other(Arc<dyn ShapeEncoder>),
}

/// Turns stored objects into frames of another version, of tables or of partial metadata.
pub(crate) trait ShapeEncoder: Send + Sync {
    /// Names the shape: watchers with equal keys share their frames.
    fn key(&self) -> &str;
    /// The first frame of a watch carries more, as tables their columns.
    fn differs_at_first(&self) -> bool;
    /// One event about an object in its stored version.
    fn event(&self, kind: EventType, object: &Value, first: bool) -> Bytes;
    /// One event whose object is no stored object: BOOKMARK or ERROR.
    fn raw(&self, kind: &str, object: Value) -> Bytes;
}

/// A frame about an object that is not stored.
pub(crate) fn raw_frame(shape: &EventShape, kind: &str, object: Value) -> Bytes {
    match shape {
        EventShape::Plain => {
            let mut out = serde_json::to_vec(&serde_json::json!({"type": kind, "object": object}))
                .expect("a value is always JSON");
            out.push(b'\n');
            Bytes::from(out)
        }
        EventShape::Other(encoder) => encoder.raw(kind, object),
    }
}
