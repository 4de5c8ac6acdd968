//! One task per watched resource: reads changes once, hands frames to all watchers.

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use trireme_mvcc::watch::{Batch, Cursor, Filter, ReadLimits, WatchRequest};
use trireme_mvcc::{Change, Key, Revision};
use trireme_raft::store::WatchCursor;
use trireme_schema::status::Status;

use super::event::SharedEvent;
use super::hub::Hub;
use super::watcher::{Fate, Watcher};
use crate::limits::WATCH_SWEEP;
use crate::records::ResourceKey;

/// A watcher on its way to its feed. Its position says what it has seen.
pub(crate) struct Attach {
    pub(crate) watcher: Watcher,
}

/// How a feed's loop goes on.
enum Next {
    Events,
    Attach(Box<Attach>),
    Tick,
    Lost,
    Stop,
}

struct Feed {
    hub: Hub,
    resource: ResourceKey,
    watchers: Vec<Watcher>,
    /// All changes up to here were handed on.
    position: Revision,
    batch: Batch,
}

/// Runs while the resource has watchers.
pub(super) async fn run(
    hub: Hub,
    (resource, number): (ResourceKey, u64),
    after: Revision,
    mut queue: mpsc::Receiver<Attach>,
) {
    let mut feed = Feed { hub, resource, watchers: Vec::new(), position: after, batch: Batch::default() };
    loop {
        let Some(mut cursor) = feed.open().await else {
            feed.lose(&mut queue);
            if feed.hub.retire(&feed.resource, number, &mut queue) {
                return;
            }
            continue;
        };
        feed.follow(&mut cursor, &mut queue).await;
        if feed.watchers.is_empty() && feed.hub.retire(&feed.resource, number, &mut queue) {
            return;
        }
    }
}

impl Feed {
    fn request(&self, after: Revision) -> WatchRequest {
        let prefix = Key::from(self.resource.prefix("").as_str());
        WatchRequest { filter: Filter::Prefix(prefix), after, previous: true, bookmarks: false }
    }

    async fn open(&self) -> Option<WatchCursor> {
        match self.hub.records.watch(self.request(self.position)).await {
            Ok(Ok(cursor)) => Some(cursor),
            Ok(Err(error)) => {
                tracing::info!(%error, resource = self.resource.resource, "watches have to start again");
                None
            }
            Err(error) => {
                tracing::warn!(%error, resource = self.resource.resource, "watches end: the store is not there");
                None
            }
        }
    }

    /// Ends everybody: the history they need is gone.
    fn lose(&mut self, queue: &mut mpsc::Receiver<Attach>) {
        while let Ok(attach) = queue.try_recv() {
            self.watchers.push(attach.watcher);
        }
        let status = Status::expired("too old resource version").to_value();
        for watcher in self.watchers.drain(..) {
            // Full or gone: the stream ends either way.
            drop(watcher.sender.try_send(watcher.error_frame(&status)));
        }
        let newest = self.hub.records.read_local(trireme_mvcc::State::revision);
        self.position = newest.unwrap_or(self.position);
    }

    async fn follow(&mut self, cursor: &mut WatchCursor, queue: &mut mpsc::Receiver<Attach>) {
        loop {
            let draining = self.hub.draining.clone();
            let due = self.due();
            let next = tokio::select! {
                attach = queue.recv() => match attach {
                    Some(attach) => Next::Attach(Box::new(attach)),
                    None => Next::Stop,
                },
                read = cursor.next(ReadLimits::default(), &mut self.batch) => match read {
                    Ok(()) => Next::Events,
                    Err(_) => Next::Lost,
                },
                () = sleep_until(due) => Next::Tick,
                () = draining.cancelled() => Next::Stop,
            };
            match next {
                Next::Events => self.deliver(),
                Next::Attach(attach) => self.attach(*attach),
                Next::Tick => self.tick(),
                Next::Lost => return self.lose(queue),
                Next::Stop => {
                    self.deliver_rest(cursor).await;
                    self.watchers.clear();
                }
            }
            if self.watchers.is_empty() && queue.is_empty() {
                return;
            }
        }
    }

    /// Delivers what has happened already.
    async fn deliver_rest(&mut self, cursor: &mut WatchCursor) {
        loop {
            let read = cursor.next(ReadLimits::default(), &mut self.batch);
            // Polled once: what would have to be waited for is not delivered any more.
            match tokio::time::timeout(std::time::Duration::ZERO, read).await {
                Ok(Ok(())) => self.deliver(),
                Ok(Err(_)) | Err(_) => return,
            }
        }
    }

    fn due(&self) -> Instant {
        let sweep = Instant::now() + WATCH_SWEEP;
        self.watchers.iter().map(Watcher::due).min().map_or(sweep, |due| due.min(sweep))
    }

    fn deliver(&mut self) {
        let events = std::mem::take(&mut self.batch.events);
        for change in &events {
            self.hand_on(change);
        }
        self.position = self.batch.through;
        self.batch.events = events;
        self.batch.events.clear();
    }

    fn hand_on(&mut self, change: &Change) {
        let event = match SharedEvent::of(change) {
            Ok(event) => event,
            Err(error) => {
                // Nothing is left out in silence: who watches lists again, and is told what is wrong there.
                tracing::error!(%error, "a change cannot be read; its watches end");
                let status = Status::internal(&error.to_string()).to_value();
                for watcher in self.watchers.drain(..) {
                    drop(watcher.sender.try_send(watcher.error_frame(&status)));
                }
                return;
            }
        };
        let records = &self.hub.records;
        self.watchers.retain_mut(|watcher| {
            let fate = watcher.offer(&event, records);
            watcher.position = watcher.position.max(event.revision);
            fate == Fate::Stays
        });
    }

    /// Brings a watcher up to the feed's own position, then counts it in.
    fn attach(&mut self, attach: Attach) {
        let mut watcher = attach.watcher;
        if watcher.position < self.position && !self.catch_up(&mut watcher) {
            let status = Status::expired("too old resource version").to_value();
            drop(watcher.sender.try_send(watcher.error_frame(&status)));
            return;
        }
        if !watcher.sender.is_closed() {
            self.watchers.push(watcher);
        }
    }

    fn catch_up(&self, watcher: &mut Watcher) -> bool {
        let (from, to) = (watcher.position, self.position);
        let changes = self.hub.records.read_local(|state| {
            let mut cursor = Cursor::new(state, self.request(from)).ok()?;
            let mut all = Vec::new();
            let mut batch = Batch::default();
            loop {
                cursor.read(state, ReadLimits::default(), &mut batch).ok()?;
                all.append(&mut batch.events);
                if !batch.more || batch.through >= to {
                    return Some(all);
                }
            }
        });
        let Some(Some(changes)) = changes else { return false };
        for change in changes.iter().filter(|change| change.revision() <= to) {
            let Ok(event) = SharedEvent::of(change) else { return false };
            if watcher.offer(&event, &self.hub.records) == Fate::Ends {
                return false;
            }
            watcher.position = watcher.position.max(event.revision);
        }
        watcher.position = watcher.position.max(to);
        true
    }

    fn tick(&mut self) {
        let (now, through) = (Instant::now(), self.position);
        self.watchers.retain_mut(|watcher| watcher.tick(now, through) == Fate::Stays);
    }
}
