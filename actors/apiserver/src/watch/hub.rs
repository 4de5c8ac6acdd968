//! [`Hub`]: the feeds of all resources that are watched.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use trireme_kernel::Address;

use super::feed::{self, Attach};
use super::watcher::OpenWatch;
use crate::limits::WATCHES;
use crate::records::{Records, ResourceKey};
use crate::tree::RunFeed;

/// Watches that may wait for their feed to take them in.
const ATTACH_QUEUE: usize = 1024;

/// Each with a number of its own.
pub(super) type Feeds = Mutex<BTreeMap<ResourceKey, (u64, mpsc::Sender<Attach>)>>;

/// Where watches find their feed. Clones share it.
#[derive(Clone)]
pub(crate) struct Hub {
    pub(super) records: Arc<Records>,
    feeds: Arc<Feeds>,
    count: Arc<AtomicUsize>,
    /// Number of the next feed.
    last: Arc<AtomicU64>,
    actor: Arc<OnceLock<Address<RunFeed>>>,
    /// Ends all watches, as when the server goes down.
    pub(crate) draining: CancellationToken,
}

impl Hub {
    pub(crate) fn new(records: Arc<Records>) -> Self {
        Self {
            records,
            feeds: Arc::default(),
            count: Arc::default(),
            last: Arc::default(),
            actor: Arc::default(),
            draining: CancellationToken::new(),
        }
    }

    /// From now on feeds run below this actor.
    pub(crate) fn run_below(&self, actor: Address<RunFeed>) {
        // A second actor would be another tree.
        let _first = self.actor.set(actor);
    }

    /// Ends the watches of a resource once they have what has happened so far.
    pub(crate) fn end(&self, resource: &ResourceKey) {
        // A feed whose queue has no sender any more delivers what is there, and stops.
        self.feeds.lock().remove(resource);
    }

    /// Open watches.
    pub(crate) fn open_watches(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// A place for one more watch, unless there are too many.
    pub(crate) fn open(&self) -> Option<OpenWatch> {
        OpenWatch::take(&self.count, WATCHES)
    }

    /// Hands a watcher to the feed of its resource.
    pub(crate) async fn attach(&self, mut attach: Attach) {
        loop {
            let feed = {
                let mut feeds = self.feeds.lock();
                let resource = attach.watcher.resource.clone();
                let known = feeds.get(&resource).filter(|(_, sender)| !sender.is_closed());
                known.map(|(_, sender)| sender.clone()).unwrap_or_else(|| {
                    let (sender, receiver) = mpsc::channel(ATTACH_QUEUE);
                    let number = self.last.fetch_add(1, Ordering::Relaxed);
                    feeds.insert(resource.clone(), (number, sender.clone()));
                    let (hub, after) = (self.clone(), attach.watcher.position);
                    self.run(feed::run(hub, (resource, number), after, receiver));
                    sender
                })
            };
            match feed.send(attach).await {
                Ok(()) => return,
                // The feed ended in between: the next round makes another.
                Err(back) => attach = back.0,
            }
        }
    }

    fn run(&self, feed: impl Future<Output = ()> + Send + 'static) {
        match self.actor.get() {
            Some(actor) => {
                if let Err(error) = actor.send(RunFeed(Box::pin(feed))) {
                    tracing::warn!(%error, "a feed is not run; its watches end");
                }
            }
            None => drop(tokio::spawn(feed)),
        }
    }

    /// Forgets a feed that has nothing to do, unless a watcher is on its way to it.
    pub(super) fn retire(
        &self,
        resource: &ResourceKey,
        number: u64,
        queue: &mut mpsc::Receiver<Attach>,
    ) -> bool {
        let mut feeds = self.feeds.lock();
        if !queue.is_empty() {
            return false;
        }
        // Another feed may have begun since the watches of this one were ended.
        if feeds.get(resource).is_some_and(|(own, _)| *own == number) {
            feeds.remove(resource);
        }
        queue.close();
        true
    }
}
