//! Resumable: a stream that continues from the last seen revision misses and repeats nothing.

use std::collections::BTreeMap;

use super::stream::Stream;
use super::{LoggedWrite, Start, WatchRecord};
use crate::{Law, Record, Verdict};

/// Checks every resumed stream against the one that its watcher had before.
///
/// A server may refuse only if the history that the stream needs was compacted. A watcher that resumed from
/// elsewhere than it should have is the workload's mistake, and leaves the law undecided.
pub fn check(records: &[WatchRecord], log: &[LoggedWrite]) -> Verdict {
    let mut last_seen = BTreeMap::new();
    let mut mistake = None;
    let streams = match super::stream::streams(records, log) {
        Ok(streams) => streams,
        Err(reason) => return Verdict::Undecided { law: Law::WatchResumable, reason },
    };
    for stream in &streams {
        if let Start::Resumed { after } = stream.start {
            let seen = last_seen.get(&stream.watcher);
            if seen.is_some_and(|seen: &Seen<'_>| seen.revision != after) {
                mistake.get_or_insert(stream.opened.stream());
            }
            if let Some(verdict) = continues(stream, after, seen) {
                return verdict;
            }
        }
        if let Some(verdict) = refused_needlessly(stream) {
            return verdict;
        }
        last_seen.insert(stream.watcher, Seen::of(stream));
    }
    match mistake {
        None => Verdict::Ok,
        Some(stream) => Verdict::Undecided {
            law: Law::WatchResumable,
            reason: format!("stream {stream} was not resumed from the last revision its watcher had seen"),
        },
    }
}

/// The last that a watcher saw on a stream.
struct Seen<'a> {
    revision: u64,
    opened: &'a WatchRecord,
    record: &'a WatchRecord,
}

impl<'a> Seen<'a> {
    fn of(stream: &Stream<'a>) -> Seen<'a> {
        let mut seen = Seen { revision: stream.start.after(), opened: stream.opened, record: stream.opened };
        for record in &stream.records {
            let revision = match record {
                WatchRecord::Delivered { events, .. } => events.last().map(|event| event.revision),
                WatchRecord::Bookmark { revision, .. } => Some(*revision),
                _ => None,
            };
            if let Some(revision) = revision {
                seen = Seen { revision, opened: stream.opened, record };
            }
        }
        seen
    }
}

/// Whether the first event is the next one in the log.
fn continues(stream: &Stream<'_>, after: u64, seen: Option<&Seen<'_>>) -> Option<Verdict> {
    let (delivery, event) = stream.events().next()?;
    let owed = stream.first_wanted_in(after, u64::MAX);
    if owed.is_some_and(|owed| owed.revision == event.revision) {
        return None;
    }
    let text = match owed {
        Some(owed) if owed.revision < event.revision => {
            format!(
                "resumed after {after} and skipped revision {}: {} came first",
                owed.revision, event.revision
            )
        }
        _ => format!("resumed after {after} and got revision {}, which is not what follows", event.revision),
    };
    let verdict =
        stream.broken(Law::WatchResumable, text, &[delivery], &owed.into_iter().collect::<Vec<_>>());
    Some(with_former_stream(verdict, seen))
}

/// Puts the former stream in front, so that the part shows what the watcher had seen.
fn with_former_stream(verdict: Verdict, seen: Option<&Seen<'_>>) -> Verdict {
    let (Verdict::Violation(mut violation), Some(seen)) = (verdict.clone(), seen) else { return verdict };
    let mut history = vec![Record::Watch(seen.opened.clone())];
    if seen.record != seen.opened {
        history.push(Record::Watch(seen.record.clone()));
    }
    history.append(&mut violation.history);
    violation.history = history;
    Verdict::Violation(violation)
}

/// A 410 although the history was still there.
fn refused_needlessly(stream: &Stream<'_>) -> Option<Verdict> {
    let reached = Seen::of(stream).revision;
    stream.records.iter().find_map(|record| match record {
        WatchRecord::Expired { compacted, .. } if *compacted <= reached => {
            let text = format!("was refused after {reached} although only history up to {compacted} is gone");
            let seen = Seen::of(stream).record;
            Some(stream.broken(Law::WatchResumable, text, &[seen, record], &[]))
        }
        _ => None,
    })
}
