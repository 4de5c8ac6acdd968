//! [`SharedEvent`]: one change of one object, decoded and encoded at most once for all its watchers.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use parking_lot::Mutex;
use serde_json::Value;
use trireme_mvcc::{Change, Revision};

use super::shape::EventShape;
use crate::limits::EVENT_ENCODINGS;
use crate::records::{Record, RecordError, Records};
use crate::selectable::Selection;

/// What a change is to a watcher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EventType {
    Added,
    Modified,
    Deleted,
}

impl EventType {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Added => "ADDED",
            Self::Modified => "MODIFIED",
            Self::Deleted => "DELETED",
        }
    }

    fn index(self) -> usize {
        match self {
            Self::Added => 0,
            Self::Modified => 1,
            Self::Deleted => 2,
        }
    }
}

type Encoded = (String, bool, EventType, Bytes);

/// One change.
pub(crate) struct SharedEvent {
    pub(crate) revision: Revision,
    new: Option<Record>,
    old: Option<Record>,
    new_value: OnceLock<Option<Arc<Value>>>,
    old_value: OnceLock<Option<Arc<Value>>>,
    plain: [OnceLock<Bytes>; 3],
    others: Mutex<Vec<Encoded>>,
}

impl SharedEvent {
    /// From a change of the store.
    ///
    /// # Errors
    /// The stored value is of an unknown format.
    pub(crate) fn of(change: &Change) -> Result<Self, RecordError> {
        let record = |object: Option<&Arc<trireme_mvcc::Object>>| object.map(|o| Record::new(o)).transpose();
        Ok(Self::new(change.revision(), record(change.object())?, record(change.previous())?))
    }

    /// An object that is there at the beginning of a watch.
    pub(crate) fn initial(record: Record) -> Self {
        Self::new(record.revision(), Some(record), None)
    }

    fn new(revision: Revision, new: Option<Record>, old: Option<Record>) -> Self {
        Self {
            revision,
            new,
            old,
            new_value: OnceLock::new(),
            old_value: OnceLock::new(),
            plain: Default::default(),
            others: Mutex::default(),
        }
    }

    /// The key that changed.
    pub(crate) fn key(&self) -> &[u8] {
        self.new.as_ref().or(self.old.as_ref()).map_or(&[], |record| record.key())
    }

    /// What the change is to a watcher with this selection; `None` when it does not concern it.
    pub(crate) fn judge(&self, selection: &Selection, records: &Records) -> Option<EventType> {
        let (was, is) = if selection.is_everything() || selection.is_by_key() {
            (self.old.is_some(), self.new.is_some())
        } else {
            let matches = |value: Option<Arc<Value>>| value.is_some_and(|value| selection.matches(&value));
            (matches(self.old_value()), matches(self.new_value(records)))
        };
        match (was, is) {
            (false, true) => Some(EventType::Added),
            (true, true) => Some(EventType::Modified),
            (true, false) => Some(EventType::Deleted),
            (false, false) => None,
        }
    }

    fn new_value(&self, records: &Records) -> Option<Arc<Value>> {
        self.new_value.get_or_init(|| records.decode(self.new.as_ref()?).ok()).clone()
    }

    fn old_value(&self) -> Option<Arc<Value>> {
        self.old_value.get_or_init(|| self.old.as_ref()?.decode_at(self.revision).ok().map(Arc::new)).clone()
    }

    /// The frame of this event in a shape. `first` is true for the first event of a watch.
    pub(crate) fn frame(
        &self,
        kind: EventType,
        shape: &EventShape,
        first: bool,
        records: &Records,
    ) -> Option<Bytes> {
        match shape {
            EventShape::Plain => {
                Some(self.plain[kind.index()].get_or_init(|| self.encode_plain(kind)).clone())
            }
            EventShape::Other(encoder) => {
                let first = first && encoder.differs_at_first();
                let known = |own: &&Encoded| own.0 == encoder.key() && own.1 == first && own.2 == kind;
                if let Some(found) = self.others.lock().iter().find(known) {
                    return Some(found.3.clone());
                }
                let value = match kind {
                    EventType::Deleted => self.old_value()?,
                    EventType::Added | EventType::Modified => self.new_value(records)?,
                };
                let frame = encoder.event(kind, &value, first);
                let mut others = self.others.lock();
                if others.len() < EVENT_ENCODINGS {
                    others.push((encoder.key().to_owned(), first, kind, frame.clone()));
                }
                Some(frame)
            }
        }
    }

    fn encode_plain(&self, kind: EventType) -> Bytes {
        let mut out = format!("{{\"type\":\"{}\",\"object\":", kind.name()).into_bytes();
        let record = if kind == EventType::Deleted { &self.old } else { &self.new };
        if let Some(record) = record {
            record.write_json(self.revision, 0, &mut out);
        }
        out.extend_from_slice(b"}\n");
        Bytes::from(out)
    }
}
