//! Ordered: the revisions of a stream's events only go up, and start above what the stream was asked for.

use super::{LoggedWrite, WatchRecord, each_stream};
use crate::{Law, Verdict};

/// Checks every stream. An event that repeats the one before it is the business of [`super::unique`].
pub fn check(records: &[WatchRecord], log: &[LoggedWrite]) -> Verdict {
    each_stream(records, log, Law::WatchOrdered, |stream| {
        let mut highest = None;
        for (delivery, event) in stream.events() {
            if event.revision <= stream.start.after() {
                let text = format!(
                    "got revision {}, asked for what comes after {}",
                    event.revision,
                    stream.start.after()
                );
                return Some(stream.broken(Law::WatchOrdered, text, &[delivery], &[]));
            }
            match highest {
                Some((revision, earlier)) if event.revision < revision => {
                    let text = format!("revision {} came after revision {revision}", event.revision);
                    return Some(stream.broken(Law::WatchOrdered, text, &[earlier, delivery], &[]));
                }
                Some(_) | None => highest = Some((event.revision, delivery)),
            }
        }
        None
    })
}
