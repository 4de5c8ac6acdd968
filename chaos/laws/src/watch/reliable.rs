//! Reliable: what a stream shows is an unbroken run of the log, as it was written.

use super::stream::Stream;
use super::{LoggedWrite, Start, WatchRecord, each_stream};
use crate::{Law, Verdict};

/// Checks every stream: each event stands in the log and looks the same, none between two events is missing, and a
/// stream that had time to catch up did. Up to the first event, a resumed stream is the business of
/// [`super::resumable`]; what precedes a bookmark is that of [`super::bookmarkable`].
pub fn check(records: &[WatchRecord], log: &[LoggedWrite]) -> Verdict {
    each_stream(records, log, Law::WatchReliable, |stream| altered(stream).or_else(|| missing(stream)))
}

fn altered(stream: &Stream<'_>) -> Option<Verdict> {
    stream.events().find_map(|(delivery, event)| {
        if event.revision <= stream.start.after() {
            return None;
        }
        match stream.wanted_at(event.revision) {
            Some(write) if write.key == event.key && write.change == event.change => None,
            Some(write) => {
                let text = format!("the event of revision {} differs from the log", event.revision);
                Some(stream.broken(Law::WatchReliable, text, &[delivery], &[write]))
            }
            None => {
                let text =
                    format!("the event of revision {} stands nowhere in what was asked for", event.revision);
                Some(stream.broken(Law::WatchReliable, text, &[delivery], &[]))
            }
        }
    })
}

fn missing(stream: &Stream<'_>) -> Option<Verdict> {
    let mut known = match stream.start {
        Start::Fresh { after } => Some((after, stream.opened)),
        Start::Resumed { .. } => None,
    };
    for record in &stream.records {
        let shown: Vec<u64> = match record {
            WatchRecord::Delivered { events, .. } => events.iter().map(|event| event.revision).collect(),
            WatchRecord::Settled { revision, .. } => vec![*revision],
            WatchRecord::Bookmark { .. } | WatchRecord::Expired { .. } | WatchRecord::Closed { .. } => {
                continue;
            }
            WatchRecord::Opened { .. } => continue,
        };
        let settled = matches!(record, WatchRecord::Settled { .. });
        for revision in shown {
            let (after, earlier) = known.unwrap_or((stream.start.after(), stream.opened));
            let owed =
                if known.is_some() || settled { stream.first_wanted_in(after, revision) } else { None };
            if let Some(owed) = owed.filter(|owed| settled || owed.revision < revision) {
                let text = if settled {
                    format!("revision {} never came, though there was time", owed.revision)
                } else {
                    format!("revision {} is missing between {after} and {revision}", owed.revision)
                };
                return Some(stream.broken(Law::WatchReliable, text, &[earlier, record], &[owed]));
            }
            if revision > after {
                known = Some((revision, record));
            }
        }
    }
    None
}
