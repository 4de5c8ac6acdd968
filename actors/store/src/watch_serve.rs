//! One watch over the bus: a cursor on this member's applied log, pushed as messages.
//!
//! A part of a task of the I/O runtime (`watch_lanes.rs`), woken by the store's own wake. It belongs to the process, as
//! the member does: the store actor may die meanwhile. What watchers of the same keys get at the same moment is encoded
//! once (`watch_memo.rs`). A subscriber that is slow is not cut off: the next batch is read only when the one
//! before has left, so that it costs one batch here whatever it does. The history bounds how far it may fall behind;
//! beyond, its watch ends as compacted.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use trireme_bus::frame::SubEndReason;
use trireme_bus::{PublishError, Publisher};
use trireme_kernel::codec;
use trireme_mvcc::{Batch, Change, Filter, Object, ReadLimits, WatchError, WatchRequest};
use trireme_raft::store::{Store, WatchCursor};

use crate::calls::Item;
use crate::member::Member;
use crate::watch_memo::WatchMemo;
use crate::watch_wire::{WatchEnd, WatchEvent, WatchFilter, WatchMessage, WatchTopic};

/// Bounds of one read of the cursor: small enough that several fit into the bus's buffer.
const BATCH: ReadLimits = ReadLimits { events: 256, bytes: 256 * 1024 };
/// A message is closed once its objects reach this many bytes.
const MESSAGE_BYTES: usize = 512 * 1024;
/// Object and previous version together above this travel in two messages: a message has at most 4 MiB.
const PAIR_BYTES: usize = 3_600 * 1024;
/// Time between two looks at whether the subscriber is still there.
const GONE_CHECK: Duration = Duration::from_secs(10);
/// Shortest time between two bookmarks.
const BOOKMARK_MIN: Duration = Duration::from_millis(100);

/// Runs until the subscriber leaves, the watch cannot go on, or the member is closed.
pub(crate) async fn serve_watch(
    member: Member,
    topic: WatchTopic,
    publisher: Publisher,
    memo: Arc<Mutex<WatchMemo>>,
) {
    let served = tokio::select! {
        served = run(&member, topic, &publisher, &memo) => served,
        () = member.finished() => {
            return publisher.end(SubEndReason::Restarted, "the store was closed here; subscribe again");
        }
    };
    match served {
        Ok(end) => {
            tracing::debug!(%end, "watch ended");
            let told = publish(&publisher, &WatchMessage::End(end)).await;
            // Dropping the publisher would overtake it. A subscriber that left does not need to know.
            if told.is_ok() {
                let _gone = publisher.ready().await;
            }
        }
        Err(error) => tracing::debug!(%error, "watch ended"),
    }
}

async fn run(
    member: &Member,
    topic: WatchTopic,
    publisher: &Publisher,
    memo: &Mutex<WatchMemo>,
) -> Result<WatchEnd, PublishError> {
    let bookmark_every =
        (topic.bookmark_ms > 0).then(|| Duration::from_millis(topic.bookmark_ms).max(BOOKMARK_MIN));
    let mut cursor = match open(member, request(topic)).await {
        Ok(cursor) => cursor,
        Err(error) => return Ok(end_of(error)),
    };
    let mut batch = Batch::default();
    let mut tick = tokio::time::interval(bookmark_every.unwrap_or(GONE_CHECK));
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            read = cursor.next(BATCH, &mut batch) => {
                if let Err(error) = read {
                    return Ok(end_of(error));
                }
                let bodies = memo.lock().bodies(&batch, encode_batch);
                for body in bodies.iter() {
                    publisher.ready().await?;
                    publisher.publish(body.clone())?;
                }
            }
            _ = tick.tick() => {
                if publisher.is_ended() {
                    return Err(PublishError::Ended);
                }
                match cursor.bookmark() {
                    Ok(Some(revision)) => publish(publisher, &WatchMessage::Bookmark(revision)).await?,
                    Ok(None) => {}
                    Err(error) => return Ok(end_of(error)),
                }
            }
        }
    }
}

/// Opens the cursor. One that starts ahead of this member waits until the member has caught up with the cluster.
async fn open(member: &Member, request: WatchRequest) -> Result<WatchCursor, WatchError> {
    match member.store.watch(request.clone()) {
        Err(WatchError::Future { .. }) => {}
        opened => return opened,
    }
    if let Err(error) = member.store.read_index().await {
        tracing::debug!(%error, "a watch from the future waits in vain");
    }
    member.store.watch(request)
}

fn request(topic: WatchTopic) -> WatchRequest {
    let filter = match topic.filter {
        WatchFilter::Key(key) => Filter::Key(key),
        WatchFilter::Prefix(prefix) => Filter::Prefix(prefix),
        WatchFilter::Range(range) => Filter::Range(range),
    };
    WatchRequest { filter, after: topic.after, previous: topic.previous, bookmarks: topic.bookmark_ms > 0 }
}

fn end_of(error: WatchError) -> WatchEnd {
    match error {
        WatchError::Compacted { position, compacted } => WatchEnd::Compacted { position, compacted },
        WatchError::Future { position, current } => WatchEnd::Future { position, current },
        WatchError::Closed | WatchError::TooMany { .. } => WatchEnd::TooMany,
    }
}

/// Sends a message once the one before it has left.
async fn publish(publisher: &Publisher, message: &WatchMessage) -> Result<(), PublishError> {
    publisher.ready().await?;
    publisher.publish(encode(message))
}

fn encode(message: &WatchMessage) -> Bytes {
    codec::encode(message).expect("objects are limited, and messages are cut to fit")
}

/// A batch as it travels: one body for each message.
fn encode_batch(batch: &Batch) -> Arc<[Bytes]> {
    let mut messages = Vec::new();
    pack(batch, &mut messages);
    messages.iter().map(encode).collect()
}

/// Cuts a batch into messages. Only the last one says how far the watch has come.
fn pack(batch: &Batch, out: &mut Vec<WatchMessage>) {
    let (mut events, mut bytes) = (Vec::new(), 0);
    for change in &batch.events {
        let size =
            |object: Option<&std::sync::Arc<Object>>| object.map_or(0, |o| o.key().len() + o.value().len());
        let (object, previous) = (size(change.object()), size(change.previous()));
        if bytes > 0 && bytes + object + previous > MESSAGE_BYTES {
            out.push(WatchMessage::Events { events: std::mem::take(&mut events), through: None });
            bytes = 0;
        }
        bytes += object + previous;
        let apart = object + previous > PAIR_BYTES && object > 0;
        events.push(event(change, !apart));
        if apart && let Some(previous) = change.previous() {
            out.push(WatchMessage::Events { events: std::mem::take(&mut events), through: None });
            out.push(WatchMessage::Previous(item(previous)));
            bytes = 0;
        }
    }
    out.push(WatchMessage::Events { events, through: Some(batch.through) });
}

fn event(change: &Change, with_previous: bool) -> WatchEvent {
    let previous = change.previous();
    WatchEvent {
        revision: change.revision(),
        transaction_end: change.transaction_end(),
        item: change.object().map(|object| item(object)),
        previous: previous.filter(|_| with_previous).map(|object| item(object)),
        previous_follows: !with_previous && previous.is_some(),
    }
}

/// An object as it travels.
pub(crate) fn item(object: &Object) -> Item {
    Item {
        key: object.key().clone(),
        value: object.value().clone(),
        create_revision: object.create_revision(),
        mod_revision: object.mod_revision(),
        version: object.version(),
        lease: object.lease(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use trireme_mvcc::{Delta, Key, KeyRange, Operation, Proposal, Revision, State, Watches};

    /// Puts these values of one key per transaction and packs what a watcher of everything gets.
    fn packed(values: &[usize]) -> Vec<WatchMessage> {
        let (mut state, mut delta) = (State::new(), Delta::new());
        for (index, bytes) in (1..).zip(values) {
            let put =
                Operation::Put { key: Key::from("/k"), value: Bytes::from(vec![7; *bytes]), lease: None };
            state
                .apply(index, 1, &Proposal::transaction(Vec::new(), vec![put]), &mut delta)
                .unwrap()
                .unwrap();
        }
        let filter = Filter::Range(KeyRange::all());
        let request = WatchRequest { filter, after: Revision::ZERO, previous: true, bookmarks: false };
        let (mut watches, mut batch) = (Watches::new(), Batch::default());
        let id = watches.open(&state, request).unwrap();
        watches.read(&state, id, ReadLimits { events: 1000, bytes: 64 * 1024 * 1024 }, &mut batch).unwrap();
        let mut messages = Vec::new();
        pack(&batch, &mut messages);
        messages
    }

    #[test]
    fn messages_fit_the_class_and_only_the_last_says_how_far_it_has_come() {
        let big = 3 * 1024 * 1024;
        let messages = packed(&[big, big, 10, 200_000, 200_000, 200_000, 5]);
        let mut revisions = Vec::new();
        let mut owed = false;
        for (at, message) in messages.iter().enumerate() {
            codec::encode(message).unwrap();
            match message {
                WatchMessage::Events { events, through } => {
                    assert!(!owed, "the previous version comes at once");
                    assert_eq!(through.is_some(), at + 1 == messages.len());
                    revisions.extend(events.iter().map(|event| event.revision.get()));
                    owed = events.last().is_some_and(|event| event.previous_follows);
                }
                WatchMessage::Previous(item) => {
                    assert!(std::mem::take(&mut owed));
                    assert_eq!(item.value.len(), big);
                }
                WatchMessage::Bookmark(_) | WatchMessage::End(_) => panic!("{message:?}"),
            }
        }
        assert_eq!(revisions, [1, 2, 3, 4, 5, 6, 7]);
        assert!(messages.iter().any(|message| matches!(message, WatchMessage::Previous(_))));
    }
}
