//! [`Watch`]: the events of one watch, as they come.

use futures_util::{AsyncBufRead, AsyncBufReadExt};
use serde_json::Value;

use crate::error::{ClientError, Refusal};
use crate::rest::{Ask, Rest};

/// Longest line of a watch, in bytes: an object may have 1.5 MiB, and its old form beside it.
const LINE_BYTES: usize = 16 * 1024 * 1024;

/// What happened to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// It came (or began to match).
    Added,
    /// It changed.
    Modified,
    /// It went (or no longer matches).
    Deleted,
    /// Nothing, but the watch is at its resourceVersion.
    Bookmark,
}

/// One event.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// What.
    pub kind: EventKind,
    /// The object; only its resourceVersion in a bookmark.
    pub object: Value,
}

/// An open watch.
pub struct Watch {
    lines: Box<dyn AsyncBufRead + Send + Unpin>,
    path: String,
}

impl Rest {
    /// Opens a watch; `ask.query` names its parameters but `watch`.
    ///
    /// # Errors
    /// As [`Rest::bytes`]; 410 when `resourceVersion` is too old.
    pub async fn watch(&self, ask: &Ask<'_>) -> Result<Watch, ClientError> {
        let mut query = ask.query.to_vec();
        query.push(("watch", "true"));
        let lines = self.stream(&Ask { query: &query, ..ask.clone() }).await?;
        Ok(Watch { lines: Box::new(lines), path: ask.path.to_owned() })
    }
}

impl Watch {
    /// The next event; `None` when the server ended the watch.
    ///
    /// # Errors
    /// [`ClientError::Refused`] for an ERROR event, [`ClientError::Malformed`] for what is none.
    pub async fn next(&mut self) -> Result<Option<Event>, ClientError> {
        let mut line = Vec::new();
        loop {
            let chunk = match self.lines.fill_buf().await {
                Ok(chunk) => chunk,
                // A connection that broke is a watch that ended.
                Err(_) => return Ok(None),
            };
            if chunk.is_empty() {
                return Ok(None);
            }
            let end = chunk.iter().position(|byte| *byte == b'\n');
            let taken = end.map_or(chunk.len(), |at| at + 1);
            line.extend_from_slice(&chunk[..taken]);
            self.lines.consume_unpin(taken);
            if line.len() > LINE_BYTES {
                return Err(self.malformed("a line of the watch is too long".to_owned()));
            }
            if end.is_some() {
                break;
            }
        }
        self.event(&line).map(Some)
    }

    fn event(&self, line: &[u8]) -> Result<Event, ClientError> {
        let mut value: Value =
            serde_json::from_slice(line).map_err(|error| self.malformed(error.to_string()))?;
        let object = value["object"].take();
        let kind = match value["type"].as_str().unwrap_or_default() {
            "ADDED" => EventKind::Added,
            "MODIFIED" => EventKind::Modified,
            "DELETED" => EventKind::Deleted,
            "BOOKMARK" => EventKind::Bookmark,
            "ERROR" => {
                let code = object["code"].as_u64().and_then(|code| u16::try_from(code).ok()).unwrap_or(500);
                let refusal = Refusal::read(code, object.to_string().as_bytes());
                return Err(ClientError::Refused(Box::new(refusal)));
            }
            other => return Err(self.malformed(format!("{other:?} is no kind of event"))),
        };
        Ok(Event { kind, object })
    }

    fn malformed(&self, why: String) -> ClientError {
        ClientError::Malformed { path: self.path.clone(), why }
    }
}
