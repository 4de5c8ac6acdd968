//! One stream with what it should have shown.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::{LoggedWrite, Start, WatchEvent, WatchRecord};
use crate::{Law, Record, Verdict};

/// A watch stream and the part of the log that it covers.
pub(super) struct Stream<'a> {
    pub(super) watcher: u64,
    pub(super) start: Start,
    pub(super) opened: &'a WatchRecord,
    /// Everything after `opened`, in order.
    pub(super) records: Vec<&'a WatchRecord>,
    /// All log entries that match, by revision (shared by streams with the same filter), and where `start` ends.
    matching: Rc<[&'a LoggedWrite]>,
    first: usize,
}

/// Sorts records into streams, in order of opening; the error says what the history lacks.
pub(super) fn streams<'a>(
    records: &'a [WatchRecord],
    log: &'a [LoggedWrite],
) -> Result<Vec<Stream<'a>>, String> {
    let mut sorted: Vec<&LoggedWrite> = log.iter().collect();
    sorted.sort_by_key(|write| write.revision);
    if let Some(pair) = sorted.windows(2).find(|pair| pair[0].revision == pair[1].revision) {
        return Err(format!("the log has revision {} twice; record it from one member", pair[0].revision));
    }
    let mut matching: BTreeMap<&str, Rc<[&LoggedWrite]>> = BTreeMap::new();
    let mut positions = BTreeMap::new();
    let mut streams: Vec<Stream<'a>> = Vec::new();
    for record in records {
        if let WatchRecord::Opened { watcher, stream, prefix, start, .. } = record {
            let all = matching.entry(prefix).or_insert_with(|| {
                sorted.iter().copied().filter(|write| write.key.starts_with(prefix.as_str())).collect()
            });
            let from = all.partition_point(|write| write.revision <= start.after());
            if positions.insert(*stream, streams.len()).is_some() {
                return Err(format!("stream {stream} is opened twice; each stream needs its own number"));
            }
            streams.push(Stream {
                watcher: *watcher,
                start: *start,
                opened: record,
                records: Vec::new(),
                matching: Rc::clone(all),
                first: from,
            });
            continue;
        }
        let stream = record.stream();
        let Some(position) = positions.get(&stream) else {
            return Err(format!(
                "stream {stream} has records before it was opened; the history is incomplete"
            ));
        };
        streams[*position].records.push(record);
    }
    Ok(streams)
}

impl<'a> Stream<'a> {
    /// All events with the delivery that brought them.
    pub(super) fn events(&self) -> impl Iterator<Item = (&'a WatchRecord, &'a WatchEvent)> + '_ {
        self.records.iter().flat_map(|record| {
            let events = if let WatchRecord::Delivered { events, .. } = record { &events[..] } else { &[] };
            events.iter().map(|event| (*record, event))
        })
    }

    /// The log entries after `start` that match, by revision.
    pub(super) fn wanted(&self) -> &[&'a LoggedWrite] {
        &self.matching[self.first..]
    }

    /// The wanted writes of the transaction to which this revision belongs.
    pub(super) fn wanted_with(&self, revision: u64) -> &[&'a LoggedWrite] {
        let wanted = self.wanted();
        let Ok(at) = wanted.binary_search_by_key(&revision, |write| write.revision) else { return &[] };
        let same = |write: &&&LoggedWrite| write.transaction == wanted[at].transaction;
        let before = wanted[..at].iter().rev().take_while(same).count();
        let after = wanted[at..].iter().take_while(same).count();
        &wanted[at - before..at + after]
    }

    /// The wanted write of this revision.
    pub(super) fn wanted_at(&self, revision: u64) -> Option<&'a LoggedWrite> {
        let at = self.wanted().binary_search_by_key(&revision, |write| write.revision).ok()?;
        Some(self.wanted()[at])
    }

    /// The first wanted write after one revision and up to another.
    pub(super) fn first_wanted_in(&self, after: u64, up_to: u64) -> Option<&'a LoggedWrite> {
        let at = self.wanted().partition_point(|write| write.revision <= after);
        self.wanted().get(at).copied().filter(|write| write.revision <= up_to)
    }

    /// A violation shown by this stream's opening, some of its records and some of the log.
    pub(super) fn broken(
        &self,
        law: Law,
        explanation: String,
        records: &[&WatchRecord],
        log: &[&LoggedWrite],
    ) -> Verdict {
        let explanation = format!("watcher {}, stream {}: {explanation}", self.watcher, self.opened.stream());
        let mut history = vec![Record::Watch(self.opened.clone())];
        let mut shown: Vec<&WatchRecord> = vec![self.opened];
        for record in records {
            // Two equal deliveries are two; the same one is shown once.
            if !shown.iter().any(|other| std::ptr::eq(*other, *record)) {
                shown.push(record);
                history.push(Record::Watch((*record).clone()));
            }
        }
        // What was delivered must stay in the log, lest the part fail for another reason than the whole.
        let mut kept: BTreeMap<u64, &LoggedWrite> =
            log.iter().map(|write| (write.revision, *write)).collect();
        for record in records {
            if let WatchRecord::Delivered { events, .. } = record {
                let shown = events.iter().filter_map(|event| self.wanted_at(event.revision));
                kept.extend(shown.map(|write| (write.revision, write)));
            }
        }
        history.extend(kept.into_values().map(|write| Record::Logged(write.clone())));
        Verdict::broken(law, explanation, history)
    }
}
