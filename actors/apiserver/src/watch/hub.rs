//! [`Hub`]: the feeds of all resources that are watched.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::feed::{self, Attach};
use super::watcher::OpenWatch;
use crate::limits::WATCHES;
use crate::records::{Records, ResourceKey};

/// Watches that may wait for their feed to take them in.
const ATTACH_QUEUE: usize = 1024;

pub(super) type Feeds = Mutex<BTreeMap<ResourceKey, mpsc::Sender<Attach>>>;

/// Where watches find their feed. Clones share it.
#[derive(Clone)]
pub(crate) struct Hub {
    pub(super) records: Arc<Records>,
    feeds: Arc<Feeds>,
    count: Arc<AtomicUsize>,
    /// Ends all watches, as when the server goes down.
    pub(crate) draining: CancellationToken,
}

impl Hub {
    pub(crate) fn new(records: Arc<Records>) -> Self {
        Self { records, feeds: Arc::default(), count: Arc::default(), draining: CancellationToken::new() }
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
                let known = feeds.get(&resource).filter(|sender| !sender.is_closed()).cloned();
                known.unwrap_or_else(|| {
                    let (sender, receiver) = mpsc::channel(ATTACH_QUEUE);
                    feeds.insert(resource.clone(), sender.clone());
                    let (hub, after) = (self.clone(), attach.watcher.position);
                    tokio::spawn(feed::run(hub, resource, after, receiver));
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

    /// Forgets a feed that has nothing to do, unless a watcher is on its way to it.
    pub(super) fn retire(&self, resource: &ResourceKey, queue: &mut mpsc::Receiver<Attach>) -> bool {
        let mut feeds = self.feeds.lock();
        if !queue.is_empty() {
            return false;
        }
        feeds.remove(resource);
        queue.close();
        true
    }
}
