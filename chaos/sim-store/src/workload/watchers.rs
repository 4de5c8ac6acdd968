//! Watchers: follow a prefix at one member, and when that ends, go on at another from where they were.

use std::time::Duration;

use trireme_core::Rng;
use trireme_laws::Record;
use trireme_laws::watch::{Change, Start, WatchEvent, WatchRecord};
use trireme_mvcc::{Batch, Filter, Key, ReadLimits, Revision, WatchError, WatchRequest};
use trireme_raft::MemberId;
use trireme_raft::store::{Store, WatchCursor};

use super::value;
use crate::cluster::Cluster;
use crate::recorder::Recorder;
use crate::settle::End;

/// How long a watcher waits for news before it asks for a bookmark.
const PATIENCE: Duration = Duration::from_millis(150);
/// Pause before the next attempt at another member.
const PAUSE: Duration = Duration::from_millis(60);
/// A stream is given up about once in so many deliveries, so that resuming happens often.
const HANG_UP_ONE_IN: u64 = 25;

/// See the module.
pub(crate) struct Watcher {
    pub(crate) cluster: Cluster,
    pub(crate) recorder: Recorder,
    pub(crate) rng: Rng,
    pub(crate) number: u64,
    pub(crate) prefix: &'static str,
    pub(crate) end: End,
}

/// What became of a stream.
enum Ended {
    /// The run is over and the watcher has caught up.
    Settled,
    /// Go on elsewhere, after this revision.
    Lost(u64),
    /// The history is gone: list, and begin after this revision.
    Expired,
}

/// What a look at the stream brought.
enum Next {
    News(Batch),
    Bookmark(Option<Revision>),
    Ended(WatchError),
}

impl Watcher {
    /// Watches until the run is over and everything was seen.
    pub(crate) async fn run(mut self) {
        let mut start = Start::Fresh { after: 0 };
        while !self.end.given_up() {
            let present = self.cluster.present();
            let Some(at) = self.rng.index(present.len()) else { return };
            match self.follow(present[at], start).await {
                Ended::Settled => return,
                Ended::Lost(after) => start = Start::Resumed { after },
                Ended::Expired => match self.list(present[at]) {
                    Some(after) => start = Start::Fresh { after },
                    None => start = Start::Fresh { after: 0 },
                },
            }
            self.cluster.world.sleep(PAUSE).await;
        }
    }

    fn list(&self, member: MemberId) -> Option<u64> {
        self.cluster.look(member, |store| store.read(|state| state.revision().get()))
    }

    async fn follow(&mut self, member: MemberId, start: Start) -> Ended {
        let request = WatchRequest {
            filter: Filter::Prefix(Key::from(self.prefix)),
            after: Revision::new(start.after()),
            previous: false,
            bookmarks: true,
        };
        let opened = self.cluster.look(member, |store| store.watch(request));
        let (stream, at) = (self.recorder.stream(), self.cluster.world.now());
        let mut cursor = match opened {
            None | Some(Err(WatchError::Future { .. } | WatchError::TooMany { .. } | WatchError::Closed)) => {
                return match start {
                    Start::Resumed { after } => Ended::Lost(after),
                    // Nothing was seen yet: the list it began with is as good as before.
                    Start::Fresh { .. } => Ended::Expired,
                };
            }
            Some(Err(WatchError::Compacted { compacted, .. })) => {
                let (watcher, prefix) = (self.number, self.prefix.to_owned());
                self.push(WatchRecord::Opened { watcher, stream, at, prefix, start });
                self.push(WatchRecord::Expired { stream, at, compacted: compacted.get() });
                return Ended::Expired;
            }
            Some(Ok(cursor)) => cursor,
        };
        let (watcher, prefix) = (self.number, self.prefix.to_owned());
        self.push(WatchRecord::Opened { watcher, stream, at, prefix, start });
        let mut last = start.after();
        loop {
            let (next, back) = match self.next(member, cursor).await {
                Some(next) => next,
                None => {
                    let at = self.cluster.world.now();
                    self.push(WatchRecord::Closed { stream, at });
                    return Ended::Lost(last);
                }
            };
            cursor = back;
            let at = self.cluster.world.now();
            match next {
                Next::News(batch) => {
                    let events = batch.events.iter().map(event).collect();
                    self.push(WatchRecord::Delivered { stream, at, events });
                    self.push(WatchRecord::Bookmark { stream, at, revision: batch.through.get() });
                    last = batch.through.get();
                }
                Next::Bookmark(Some(revision)) => {
                    self.push(WatchRecord::Bookmark { stream, at, revision: revision.get() });
                    last = revision.get();
                }
                Next::Bookmark(None) => {}
                Next::Ended(WatchError::Compacted { compacted, .. }) => {
                    self.push(WatchRecord::Expired { stream, at, compacted: compacted.get() });
                    return Ended::Expired;
                }
                Next::Ended(_) => {
                    self.push(WatchRecord::Closed { stream, at });
                    return Ended::Lost(last);
                }
            }
            if let Some(revision) = self.end.revision().filter(|revision| last >= *revision) {
                self.push(WatchRecord::Settled { stream, at, revision });
                return Ended::Settled;
            }
            if self.end.given_up() {
                // It had all the time there is: what it has not seen by now is lost.
                let revision = self.end.revision().unwrap_or_default();
                self.push(WatchRecord::Settled { stream, at, revision });
                return Ended::Settled;
            }
            if self.end.revision().is_none() && self.rng.chance(1, HANG_UP_ONE_IN) {
                self.push(WatchRecord::Closed { stream, at });
                return Ended::Lost(last);
            }
        }
    }

    /// Waits on the member for what comes next; none if the member went down.
    async fn next(&mut self, member: MemberId, mut cursor: WatchCursor) -> Option<(Next, WatchCursor)> {
        let events = usize::try_from(self.rng.between(1, 20)).expect("at most 20");
        let (world, limits) = (self.cluster.world.clone(), ReadLimits { events, bytes: 1 << 16 });
        let looked = self.cluster.call(member, Duration::from_secs(60), move |_store| {
            Box::pin(async move {
                let mut batch = Batch::default();
                let next = match world.limit(PATIENCE, cursor.next(limits, &mut batch)).await {
                    Some(Ok(())) => Next::News(batch),
                    Some(Err(error)) => Next::Ended(error),
                    None => match cursor.bookmark() {
                        Ok(bookmark) => Next::Bookmark(bookmark),
                        Err(error) => Next::Ended(error),
                    },
                };
                (next, cursor)
            })
        });
        looked.await
    }

    fn push(&self, record: WatchRecord) {
        self.recorder.push(Record::Watch(record));
    }
}

fn event(change: &trireme_mvcc::Change) -> WatchEvent {
    WatchEvent {
        revision: change.revision().get(),
        key: value::name_of(change.key()),
        change: change.object().map_or(Change::Delete, |object| Change::Put(value::print(object))),
    }
}
