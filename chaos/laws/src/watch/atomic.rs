//! Atomic: the events of one transaction come in one delivery.

use super::{LoggedWrite, WatchRecord, each_stream};
use crate::{Law, Verdict};

/// Checks every stream; only writes that the stream asked for count, and a missing one counts as split off.
///
/// A stream may start in the middle of a transaction if it was asked to; it is then owed the rest at once.
pub fn check(records: &[WatchRecord], log: &[LoggedWrite]) -> Verdict {
    each_stream(records, log, Law::WatchAtomic, |stream| {
        for record in &stream.records {
            let WatchRecord::Delivered { events, .. } = record else { continue };
            for event in events {
                let Some(write) = stream.wanted_at(event.revision) else { continue };
                let whole = stream.wanted_with(event.revision);
                let absent =
                    whole.iter().find(|part| !events.iter().any(|other| other.revision == part.revision));
                if let Some(absent) = absent {
                    let text = format!(
                        "a delivery shows revision {} without revision {} of the same transaction {}",
                        event.revision, absent.revision, write.transaction
                    );
                    return Some(stream.broken(Law::WatchAtomic, text, &[record], &[write, absent]));
                }
            }
        }
        None
    })
}
