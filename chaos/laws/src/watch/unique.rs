//! Unique: no event comes twice on a stream.

use std::collections::BTreeMap;

use super::{LoggedWrite, WatchRecord, each_stream};
use crate::{Law, Verdict};

/// Checks every stream; events are the same if their revision is.
pub fn check(records: &[WatchRecord], log: &[LoggedWrite]) -> Verdict {
    each_stream(records, log, Law::WatchUnique, |stream| {
        let mut seen = BTreeMap::new();
        stream.events().find_map(|(delivery, event)| {
            let earlier = seen.insert(event.revision, delivery)?;
            let text = format!("revision {} came twice", event.revision);
            Some(stream.broken(Law::WatchUnique, text, &[earlier, delivery], &[]))
        })
    })
}
