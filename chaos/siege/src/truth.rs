//! The log as one member has it, once the run is over: what watchers are held against.
//!
//! It comes by a watch, and watches are on trial. So its numbers must have no hole (every write takes exactly one
//! revision), and a hole is filled by comparing two lists of the whole keyspace, which come another way.

use std::collections::BTreeMap;
use std::time::Duration;

use trireme_kernel::codec;
use trireme_laws::watch::{Change, LoggedWrite};
use trireme_mvcc::{Key, KeyRange, Revision};
use trireme_store::calls::{Consistency, List, PAGE_BYTES_MAX, PAGE_OBJECTS_MAX};
use trireme_store::{WatchFilter, WatchMessage, WatchTopic};

use crate::link::Link;
use crate::workload::{CALL_DEADLINE, value};

/// How long a member may be silent while it tells its log.
const SILENCE: Duration = Duration::from_secs(10);
/// Most holes that are filled.
const HOLES_LIMIT: usize = 32;

/// Reads the log up to and including `last`, from one member.
///
/// # Errors
/// Says why it is not complete.
pub(crate) async fn read(link: &Link, last: u64) -> Result<Told, String> {
    let mut log = follow(link, last).await?;
    log.sort_by_key(|write| write.revision);
    let holes = holes(&log, last);
    if holes.len() > HOLES_LIMIT {
        return Err(format!("the log of {} lacks {} revisions", link.server.name, holes.len()));
    }
    for hole in &holes {
        let write = compare(link, *hole).await?;
        log.extend(write);
    }
    log.sort_by_key(|write| write.revision);
    Ok(Told { log, holes })
}

/// A log, and what its watch left out.
pub(crate) struct Told {
    pub(crate) log: Vec<LoggedWrite>,
    pub(crate) holes: Vec<u64>,
}

fn holes(sorted: &[LoggedWrite], last: u64) -> Vec<u64> {
    let mut next = 1;
    let mut holes = Vec::new();
    for write in sorted {
        holes.extend(next..write.revision);
        next = write.revision + 1;
    }
    holes.extend(next..=last);
    holes
}

async fn follow(link: &Link, last: u64) -> Result<Vec<LoggedWrite>, String> {
    let name = &link.server.name;
    let filter = WatchFilter::Prefix(Key::from(""));
    let topic = WatchTopic { filter, after: Revision::ZERO, previous: false, bookmark_ms: 200 };
    let mut watch = link.watch(&topic).await.map_err(|error| format!("the log of {name}: {error}"))?;
    let mut log = Vec::new();
    let mut reached = 0;
    while reached < last {
        let item = match tokio::time::timeout(SILENCE, watch.subscription.next()).await {
            Ok(Ok(item)) => item,
            Ok(Err(end)) => return Err(format!("the log of {name} ended at {reached} of {last}: {end}")),
            Err(_) => return Err(format!("{name} fell silent at revision {reached} of {last}")),
        };
        let message = codec::decode(&item.body).map_err(|error| format!("the log of {name}: {error}"))?;
        match message {
            WatchMessage::Events { events, through } => {
                for event in &events {
                    let item = event.item.as_ref().or(event.previous.as_ref());
                    let key = item.map(|item| item.key.to_string()).unwrap_or_default();
                    let change = match &event.item {
                        Some(item) => Change::Put(value::fingerprint(&key, &item.value)),
                        None => Change::Delete,
                    };
                    let transaction = event.transaction_end.get();
                    log.push(LoggedWrite { revision: event.revision.get(), transaction, key, change });
                }
                reached = through.map_or(reached, Revision::get);
            }
            WatchMessage::Bookmark(revision) => reached = revision.get(),
            WatchMessage::Previous(_) => {}
            WatchMessage::End(end) => return Err(format!("the log of {name}: {end}")),
        }
    }
    Ok(log)
}

/// What one revision did, by the whole keyspace before and behind it.
async fn compare(link: &Link, revision: u64) -> Result<Option<LoggedWrite>, String> {
    let before = keyspace(link, revision - 1).await?;
    let behind = keyspace(link, revision).await?;
    let changed = behind.iter().find(|(key, value)| before.get(*key) != Some(*value));
    let gone = before.keys().find(|key| !behind.contains_key(*key));
    let write =
        |key: &String, change| LoggedWrite { revision, transaction: revision, key: key.clone(), change };
    Ok(match (changed, gone) {
        (Some((key, (value, _))), _) => Some(write(key, Change::Put(*value))),
        (None, Some(key)) => Some(write(key, Change::Delete)),
        (None, None) => None,
    })
}

/// Every key with the fingerprint and revision of its value.
async fn keyspace(link: &Link, at: u64) -> Result<BTreeMap<String, (u64, u64)>, String> {
    let mut all = BTreeMap::new();
    let mut after: Option<Key> = None;
    loop {
        let call = List {
            range: KeyRange::prefix(""),
            consistency: Consistency::AtRevision(Revision::new(at)),
            after: after.clone(),
            limit_objects: PAGE_OBJECTS_MAX,
            limit_bytes: PAGE_BYTES_MAX,
        };
        let page = match link.call("store", &call, CALL_DEADLINE).await {
            Ok(Ok(page)) => page,
            Ok(Err(error)) => return Err(format!("the keyspace at {at}: {error}")),
            Err(error) => return Err(format!("the keyspace at {at}: {error}")),
        };
        after = page.items.last().map(|item| item.key.clone());
        for item in &page.items {
            let key = item.key.to_string();
            let print = value::fingerprint(&key, &item.value);
            all.insert(key, (print, item.mod_revision.get()));
        }
        if page.remaining == 0 || after.is_none() {
            return Ok(all);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_are_found_at_both_ends_and_inside() {
        let write = |revision| LoggedWrite {
            revision,
            transaction: revision,
            key: "k".into(),
            change: Change::Put(revision),
        };
        let log: Vec<LoggedWrite> = [2, 3, 5].into_iter().map(write).collect();
        assert_eq!(holes(&log, 6), [1, 4, 6]);
        assert!(holes(&log[..0], 0).is_empty());
    }
}
