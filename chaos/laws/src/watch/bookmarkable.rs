//! Bookmarkable: a bookmark is a promise about everything up to its revision.

use super::stream::Stream;
use super::{LoggedWrite, WatchRecord, each_stream};
use crate::{Law, Verdict};

/// Checks every stream: before a bookmark of `r`, all wanted writes up to `r` were delivered; after it, none of them
/// comes any more; bookmarks do not go back, and none is ahead of the log.
pub fn check(records: &[WatchRecord], log: &[LoggedWrite]) -> Verdict {
    let end = log.iter().map(|write| write.revision).max();
    each_stream(records, log, Law::WatchBookmarkable, |stream| check_stream(stream, end))
}

fn check_stream(stream: &Stream<'_>, end: Option<u64>) -> Option<Verdict> {
    let mut shown = (stream.start.after(), stream.opened);
    let mut promised: Option<(u64, &WatchRecord)> = None;
    let broken = |text, records: &[&WatchRecord], log: &[&LoggedWrite]| {
        Some(stream.broken(Law::WatchBookmarkable, text, records, log))
    };
    for record in &stream.records {
        match record {
            WatchRecord::Delivered { events, .. } => {
                let late = promised.and_then(|(revision, bookmark)| {
                    let event = events.iter().find(|event| event.revision <= revision)?;
                    Some((event.revision, revision, bookmark))
                });
                if let Some((event, revision, bookmark)) = late {
                    let text =
                        format!("revision {event} came after a bookmark had promised all up to {revision}");
                    return broken(text, &[bookmark, record], &[]);
                }
                if let Some(last) = events.last() {
                    shown = (last.revision, record);
                }
            }
            WatchRecord::Bookmark { revision, .. } => {
                if let Some(owed) = stream.first_wanted_in(shown.0, *revision) {
                    let text =
                        format!("a bookmark promised all up to {revision}, but {} never came", owed.revision);
                    return broken(text, &[shown.1, record], &[owed]);
                }
                if let Some((earlier, bookmark)) = promised.filter(|(earlier, _)| earlier > revision) {
                    let text = format!("a bookmark of {revision} came after one of {earlier}");
                    return broken(text, &[bookmark, record], &[]);
                }
                if *revision < shown.0 {
                    let text =
                        format!("a bookmark of {revision} came after revision {} had been shown", shown.0);
                    return broken(text, &[shown.1, record], &[]);
                }
                if let Some(end) = end.filter(|end| revision > end) {
                    let text = format!("a bookmark of {revision} is ahead of the log, which ends at {end}");
                    return broken(
                        text,
                        &[record],
                        &stream.wanted().last().copied().into_iter().collect::<Vec<_>>(),
                    );
                }
                promised = Some((*revision, record));
            }
            WatchRecord::Opened { .. } | WatchRecord::Expired { .. } => {}
            WatchRecord::Closed { .. } | WatchRecord::Settled { .. } => {}
        }
    }
    None
}
