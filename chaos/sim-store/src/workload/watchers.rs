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

/// A stream, and up to where it was delivered.
struct Stream {
    number: u64,
    last: u64,
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
        let stream = self.recorder.stream();
        match opened {
            Some(Ok(cursor)) => {
                self.opened(stream, start);
                let mut stream = Stream { number: stream, last: start.after() };
                self.listen(member, cursor, &mut stream).await.unwrap_or(Ended::Lost(stream.last))
            }
            Some(Err(WatchError::Compacted { compacted, .. })) => {
                self.opened(stream, start);
                let at = self.cluster.world.now();
                self.push(WatchRecord::Expired { stream, at, compacted: compacted.get() });
                Ended::Expired
            }
            None | Some(Err(_)) => match start {
                Start::Resumed { after } => Ended::Lost(after),
                // Nothing was seen yet: the list it began with is as good as before.
                Start::Fresh { .. } => Ended::Expired,
            },
        }
    }

    fn opened(&self, stream: u64, start: Start) {
        let (watcher, prefix, at) = (self.number, self.prefix.to_owned(), self.cluster.world.now());
        self.push(WatchRecord::Opened { watcher, stream, at, prefix, start });
    }

    /// Takes what comes until the stream ends; none if it ended for a reason that says nothing.
    async fn listen(
        &mut self,
        member: MemberId,
        mut cursor: WatchCursor,
        stream: &mut Stream,
    ) -> Option<Ended> {
        loop {
            let next = self.next(member, cursor).await;
            let (at, number) = (self.cluster.world.now(), stream.number);
            let ended = match next {
                Some((next, back)) => {
                    cursor = back;
                    self.take(next, stream)
                }
                None => {
                    self.push(WatchRecord::Closed { stream: number, at });
                    return None;
                }
            };
            if ended.is_some() {
                return ended;
            }
            let end = self.end.revision();
            // With no time left it had all there is: what it has not seen by now is lost.
            if let Some(revision) = end.filter(|end| stream.last >= *end || self.end.given_up()) {
                self.push(WatchRecord::Settled { stream: number, at, revision });
                return Some(Ended::Settled);
            }
            if end.is_none() && self.rng.chance(1, HANG_UP_ONE_IN) {
                self.push(WatchRecord::Closed { stream: number, at });
                return None;
            }
        }
    }

    fn take(&self, next: Next, to: &mut Stream) -> Option<Ended> {
        let (at, stream) = (self.cluster.world.now(), to.number);
        match next {
            Next::News(batch) => {
                let events = batch.events.iter().map(event).collect();
                self.push(WatchRecord::Delivered { stream, at, events });
                self.push(WatchRecord::Bookmark { stream, at, revision: batch.through.get() });
                to.last = batch.through.get();
            }
            Next::Bookmark(Some(revision)) => {
                self.push(WatchRecord::Bookmark { stream, at, revision: revision.get() });
                to.last = revision.get();
            }
            Next::Bookmark(None) => {}
            Next::Ended(WatchError::Compacted { compacted, .. }) => {
                self.push(WatchRecord::Expired { stream, at, compacted: compacted.get() });
                return Some(Ended::Expired);
            }
            Next::Ended(_) => {
                self.push(WatchRecord::Closed { stream, at });
                return Some(Ended::Lost(to.last));
            }
        }
        None
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
