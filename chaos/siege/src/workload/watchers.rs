//! Watchers: follow a prefix at one member, and when that ends, go on at another from where they were.

use std::time::{Duration, Instant};

use tokio::sync::watch;
use trireme_core::Rng;
use trireme_kernel::codec;
use trireme_laws::Record;
use trireme_laws::watch::{Change, Start, WatchEvent, WatchRecord};
use trireme_mvcc::{Key, Revision};
use trireme_store::{WatchEnd, WatchFilter, WatchMessage, WatchTopic};

use super::value;
use crate::link::{Link, Watch};
use crate::recorder::Recorder;

/// Asked of the member.
const BOOKMARK_MS: u64 = 200;
/// A stream that says nothing for so long is given up: its member may be stopped.
const SILENCE: Duration = Duration::from_secs(3);
/// Pause before the next attempt at another member.
const PAUSE: Duration = Duration::from_millis(100);
/// How long a watcher waits for the last revision once nothing is written any more.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long it listens on behind the last revision, for what should not come.
const AFTERMATH: Duration = Duration::from_millis(500);
/// A stream is also given up at random about once in so many messages, so that resuming happens often.
const HANG_UP_ONE_IN: u64 = 2_000;

/// What a watcher is.
pub(crate) struct Watcher {
    pub(crate) number: u64,
    pub(crate) prefix: String,
    pub(crate) links: Vec<Link>,
    pub(crate) at: usize,
    pub(crate) rng: Rng,
    pub(crate) recorder: Recorder,
    /// The last revision of the run, once it is known.
    pub(crate) end: watch::Receiver<Option<u64>>,
}

/// What became of a stream.
enum Ended {
    /// The run is over and the watcher has caught up, or its patience is used up.
    Settled,
    /// Go on elsewhere.
    Lost,
    /// The history is gone: begin anew.
    Expired,
}

impl Watcher {
    /// Watches until the run is over. Says what was wrong when it could not end as a watcher should.
    pub(crate) async fn run(mut self) -> Result<(), String> {
        let mut start = Start::Fresh { after: 0 };
        let mut streams = 0;
        let mut over: Option<Instant> = None;
        loop {
            if self.end.borrow().is_some() {
                let since = *over.get_or_insert_with(Instant::now);
                if since.elapsed() > PATIENCE {
                    return Err(format!("watcher {} found no member to watch at the end", self.number));
                }
            }
            let topic = WatchTopic {
                filter: WatchFilter::Prefix(Key::from(self.prefix.as_str())),
                after: Revision::new(start.after()),
                previous: false,
                bookmark_ms: BOOKMARK_MS,
            };
            let link = self.links[self.at].clone();
            let Ok(opened) = link.watch(&topic).await else {
                self.elsewhere().await;
                continue;
            };
            streams += 1;
            let session = opened.number;
            let stream = self.number * 1_000_000 + streams;
            let mut one = Stream { watcher: &mut self, stream, last: start.after(), pending: Vec::new() };
            one.opened(start);
            let ended = one.follow(opened).await;
            let last = one.last;
            match ended {
                Ended::Settled => return Ok(()),
                Ended::Lost => start = Start::Resumed { after: last },
                Ended::Expired => return Err(format!("watcher {} was told of a compaction", self.number)),
            }
            link.give_up(session).await;
            self.elsewhere().await;
        }
    }

    async fn elsewhere(&mut self) {
        self.at = (self.at + 1) % self.links.len();
        tokio::time::sleep(PAUSE).await;
    }
}

struct Stream<'a> {
    watcher: &'a mut Watcher,
    stream: u64,
    /// From where to go on.
    last: u64,
    /// Parts of a transaction that is not complete yet.
    pending: Vec<WatchEvent>,
}

impl Stream<'_> {
    async fn follow(&mut self, mut opened: Watch) -> Ended {
        let mut caught_up: Option<Instant> = None;
        let mut heard = Instant::now();
        let mut over: Option<Instant> = None;
        loop {
            let end = *self.watcher.end.borrow();
            if let Some(end) = end {
                let over = *over.get_or_insert_with(Instant::now);
                if self.last >= end {
                    caught_up.get_or_insert_with(Instant::now);
                }
                if caught_up.is_some_and(|at| at.elapsed() > AFTERMATH) || over.elapsed() > PATIENCE {
                    self.push(|stream, at| WatchRecord::Settled { stream, at, revision: end });
                    return Ended::Settled;
                }
            }
            let message = tokio::time::timeout(PAUSE, opened.subscription.next()).await;
            match message {
                Err(_) if end.is_none() && heard.elapsed() > SILENCE => return self.closed(),
                Err(_) => {}
                Ok(Err(_)) => return self.closed(),
                Ok(Ok(item)) => {
                    heard = Instant::now();
                    let Ok(message) = codec::decode(&item.body) else {
                        self.watcher.recorder.note(format!("stream {}: undecodable message", self.stream));
                        return self.closed();
                    };
                    if let Some(ended) = self.take(message) {
                        return ended;
                    }
                    if end.is_none() && self.watcher.rng.chance(1, HANG_UP_ONE_IN) {
                        return self.closed();
                    }
                }
            }
        }
    }

    fn take(&mut self, message: WatchMessage) -> Option<Ended> {
        match message {
            WatchMessage::Events { events, through } => {
                self.pending.extend(events.iter().map(|event| {
                    // The key is in the version written, or in the one deleted.
                    let item = event.item.as_ref().or(event.previous.as_ref());
                    let key = item.map(|item| item.key.to_string()).unwrap_or_default();
                    let change = match &event.item {
                        Some(item) => Change::Put(value::fingerprint(&key, &item.value)),
                        None => Change::Delete,
                    };
                    WatchEvent { revision: event.revision.get(), key, change }
                }));
                if let Some(through) = through {
                    let events = std::mem::take(&mut self.pending);
                    if !events.is_empty() {
                        self.push(|stream, at| WatchRecord::Delivered { stream, at, events });
                    }
                    self.promised(through.get());
                }
            }
            WatchMessage::Previous(_) => {}
            WatchMessage::Bookmark(revision) => self.promised(revision.get()),
            WatchMessage::End(WatchEnd::Compacted { compacted, .. }) => {
                let compacted = compacted.get();
                self.push(|stream, at| WatchRecord::Expired { stream, at, compacted });
                return Some(Ended::Expired);
            }
            WatchMessage::End(_) => return Some(self.closed()),
        }
        None
    }

    /// Everything up to here was delivered, says the member.
    fn promised(&mut self, revision: u64) {
        self.push(|stream, at| WatchRecord::Bookmark { stream, at, revision });
        self.last = revision;
    }

    fn opened(&mut self, start: Start) {
        let (watcher, prefix) = (self.watcher.number, self.watcher.prefix.clone());
        self.push(|stream, at| WatchRecord::Opened { watcher, stream, at, prefix, start });
    }

    fn closed(&mut self) -> Ended {
        self.push(|stream, at| WatchRecord::Closed { stream, at });
        Ended::Lost
    }

    fn push(&mut self, record: impl FnOnce(u64, u64) -> WatchRecord) {
        let at = self.watcher.recorder.clock.now();
        self.watcher.recorder.push(Record::Watch(record(self.stream, at)));
    }
}
