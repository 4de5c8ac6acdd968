//! [`Feed`]: the applied state for actors that decide: an index over all objects, and every change in the order of the
//! log.
//!
//! **Role.** One per reign, shared by the controllers, the scheduler and whoever else decides where the leader is.
//! [`FeedActor`] (`/cluster/feed`, permanent) keeps it going; what it has read belongs to the reign, so that an actor
//! that is killed goes on where it stood.
//!
//! **How to follow it.** Call [`Feed::ready`]; open a [`FeedReader`] with [`Feed::follow`]; then look at everything that
//! concerns you with [`Feed::read`]; then take changes from the reader. What changes in between is in both. On
//! [`Missed`], look at everything again. After a write of your own, wait with [`Feed::caught_up`] before you decide
//! about the same object again: then what you decide upon holds what you wrote.
//!
//! **Laws.** The world that [`Feed::read`] shows is one revision, whole. A change is handed out after the index took it
//! in. A follower that does not keep up is told so, and costs a bounded queue until then. Nothing is polled.

mod actor;
mod applied;
mod head;
mod index;
mod reader;
mod uid;
mod world;

use std::sync::{Arc, Weak};

use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;
use trireme_apiserver::Server;
use trireme_apiserver::records::ROOT;
use trireme_controllers::Resource;
use trireme_mvcc::watch::{Batch, Filter, ReadLimits, WatchError, WatchRequest};
use trireme_mvcc::{At, Key, KeyRange, ListRequest, Revision, State};
use trireme_raft::store::{RaftStore, Store};

pub use actor::FeedActor;
pub use applied::Applied;
pub use reader::{FeedReader, Missed, READ_CHANGES, READER_CHANGES};
pub use world::FeedWorld;

use crate::kinds::Kinds;
use index::{Entry, Index};
use reader::{Interest, Queue};

/// See the module.
pub struct Feed {
    server: Arc<Server>,
    store: RaftStore,
    index: RwLock<Index>,
    /// The revision of the index; `None` before it was built.
    position: watch::Sender<Option<u64>>,
    followers: Mutex<Vec<Weak<Queue>>>,
    kinds: Mutex<Arc<Kinds>>,
}

impl Feed {
    /// A feed of one reign, empty until its actor runs.
    pub(crate) fn new(server: Arc<Server>, store: RaftStore) -> Arc<Self> {
        let kinds = Mutex::new(Arc::new(Kinds::new(server.catalogue())));
        let (position, _) = watch::channel(None);
        Arc::new(Self {
            server,
            store,
            index: RwLock::default(),
            position,
            followers: Mutex::default(),
            kinds,
        })
    }

    /// Waits until the index is built, which it is after the cluster's initial objects are there.
    pub async fn ready(&self) {
        self.reaches(0).await;
    }

    /// Waits until the index has everything that is applied on this member now: all that was written by, and
    /// acknowledged to, this process before the call.
    pub async fn caught_up(&self) {
        self.reaches(self.store.read(State::revision).get()).await;
    }

    /// Shows the world at one revision. The feed stands still meanwhile: decide, do not wait.
    pub fn read<T>(&self, look: impl FnOnce(&FeedWorld<'_>) -> T) -> T {
        let kinds = self.kinds();
        let index = self.index.read();
        look(&FeedWorld { index: &index, records: self.server.records(), kinds })
    }

    /// Follows the changes that `interest` picks, from now on.
    pub fn follow(&self, interest: impl Fn(&Applied) -> bool + Send + Sync + 'static) -> FeedReader {
        let interest: Interest = Box::new(interest);
        let queue = Arc::new(Queue::new(interest));
        self.followers.lock().push(Arc::downgrade(&queue));
        FeedReader { queue }
    }

    /// The server whose applied state this is.
    pub fn server(&self) -> &Arc<Server> {
        &self.server
    }

    /// A page of the stored keys of a resource, or of all, behind `after`. With `owned_only`, objects without owners
    /// that are not on their way out are left out.
    pub(crate) fn page(
        &self,
        resource: Option<&Resource>,
        after: Option<&Key>,
        limit: usize,
        owned_only: bool,
    ) -> (Vec<Applied>, Option<Key>) {
        let prefix = resource.map_or(ROOT.to_owned(), |resource| crate::kinds::prefix(resource, ""));
        let index = self.index.read();
        let mut last = None;
        let mut seen = 0;
        let mut out = Vec::new();
        for (key, entry) in index.range(prefix.as_bytes(), after.map(|key| &**key)).take(limit) {
            seen += 1;
            last = Some(key.clone());
            if owned_only && entry.head.owners.is_empty() && !entry.head.deleting {
                continue;
            }
            out.extend(self.shown(&index, key, entry));
        }
        (out, last.filter(|_| seen == limit))
    }

    fn shown(&self, index: &Index, key: &Key, entry: &Entry) -> Option<Applied> {
        let resource = Arc::new(index.resource_of(key)?);
        Some(Applied::there(resource, entry.object.clone(), self.server.records().clone()))
    }

    pub(crate) fn kinds(&self) -> Arc<Kinds> {
        let catalogue = self.server.catalogue();
        let mut kinds = self.kinds.lock();
        if !kinds.is_of(&catalogue) {
            *kinds = Arc::new(Kinds::new(catalogue));
        }
        kinds.clone()
    }

    async fn reaches(&self, revision: u64) {
        let mut position = self.position.subscribe();
        // The sender lives as long as the feed.
        let _open = position.wait_for(|at| at.is_some_and(|at| at >= revision)).await.is_ok();
    }

    /// Follows the log; ends when the history that it needs is gone.
    async fn run(&self) -> WatchError {
        if self.position.borrow().is_none() {
            self.server.bootstrapped().await;
            self.build();
        }
        let after = Revision::new(self.index.read().revision);
        let request =
            WatchRequest { filter: Filter::Prefix(Key::new([])), after, previous: true, bookmarks: false };
        let mut cursor = match self.store.watch(request) {
            Ok(cursor) => cursor,
            Err(error) => return error,
        };
        let mut batch = Batch::default();
        loop {
            if let Err(error) = cursor.next(ReadLimits::default(), &mut batch).await {
                return error;
            }
            self.take(&batch);
        }
    }

    /// Builds the index from the newest state; whoever follows has to begin anew.
    fn build(&self) {
        let range = KeyRange::prefix(ROOT);
        let request = ListRequest {
            range: &range,
            at: At::Latest,
            after: None,
            limit_objects: usize::MAX,
            limit_bytes: usize::MAX,
        };
        let page = self.store.read(|state| state.list(&request));
        let page = page.expect("the newest state can be listed");
        let index = Index::new(page.revision.get(), page.objects);
        tracing::info!(
            objects = index.len(),
            revision = index.revision,
            "the index of the leader's actors is built"
        );
        *self.index.write() = index;
        for queue in self.followers.lock().iter().filter_map(Weak::upgrade) {
            queue.miss();
        }
        self.position.send_replace(Some(page.revision.get()));
    }

    fn take(&self, batch: &Batch) {
        let records = self.server.records();
        let mut applied = Vec::with_capacity(batch.events.len());
        {
            let mut index = self.index.write();
            for change in &batch.events {
                if let Some(taken) = index.take(change) {
                    applied.push(Arc::new(Applied::new(
                        taken.resource,
                        change,
                        taken.metadata,
                        records.clone(),
                    )));
                }
            }
            index.revision = index.revision.max(batch.through.get());
        }
        self.followers.lock().retain(|queue| match queue.upgrade() {
            Some(queue) => {
                queue.offer(&applied);
                true
            }
            None => false,
        });
        self.position.send_replace(Some(batch.through.get()));
    }
}
