//! [`Member`]: the running member, as everyone in the process holds it.

use std::sync::Arc;

use tokio::sync::watch;
use trireme_raft::store::RaftStore;
use trireme_raft::{DatabaseId, Identity, MemberId};

/// A running member.
#[derive(Clone)]
pub struct Member {
    /// The store.
    pub store: RaftStore,
    /// Its id.
    pub id: MemberId,
    /// Its database.
    pub database: DatabaseId,
    /// It founds a cluster if it has none.
    pub founder: bool,
    /// Whether it was closed: that ends what lives on it. Those hold the member as well, so it has to be said.
    over: Arc<watch::Sender<bool>>,
}

impl Member {
    pub(crate) fn of(store: RaftStore, identity: Identity, founder: bool) -> Self {
        let over = Arc::new(watch::Sender::new(false));
        Self { store, id: identity.member, database: identity.database, founder, over }
    }

    /// Ends what lives on this member.
    pub(crate) fn finish(&self) {
        self.over.send_replace(true);
    }

    /// Waits until the member is closed or replaced.
    pub(crate) fn finished(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut over = self.over.subscribe();
        async move {
            // The sender gone means the same.
            let _over = over.wait_for(|over| *over).await;
        }
    }
}
