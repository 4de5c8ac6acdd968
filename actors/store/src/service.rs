//! What the bus hands to the store without an actor in between: Raft's messages and subscriptions.

use std::sync::Arc;

use bytes::Bytes;
use trireme_bus::frame::SubEndReason;
use trireme_bus::{Handling, Inbound, PeerIdentity, Publisher, Publishers, Service, SubscribeRefused};
use trireme_kernel::codec;

use crate::data_calls::DataCalls;
use crate::host::StoreHost;
use crate::watch_lanes::WatchLanes;
use crate::watch_serve::serve_watch;
use crate::watch_wire::WatchTopic;

/// Names that begin so are Raft's.
const RAFT_PREFIX: &str = "raft.";

/// Answers requests: Raft's, writes and reads by the host's member, all others by the service behind it.
pub struct StoreService {
    host: Arc<StoreHost>,
    path: String,
    data: DataCalls,
    others: Arc<dyn Service>,
}

impl StoreService {
    /// In front of `others`.
    pub fn new(host: Arc<StoreHost>, others: Arc<dyn Service>) -> Self {
        let (path, data) = (host.path().as_str().to_owned(), DataCalls::new(Arc::clone(&host)));
        Self { host, path, data, others }
    }
}

impl Service for StoreService {
    fn call(&self, request: Inbound) -> Handling {
        if *request.path == *self.path {
            if request.name.starts_with(RAFT_PREFIX) {
                return self.host.inbox.take(request);
            }
            if let Some(handling) = self.data.take(&request) {
                return handling;
            }
        }
        self.others.call(request)
    }
}

/// Serves watches at the store's path. Who may subscribe is for the bus's permission table to say.
pub struct StorePublishers {
    host: Arc<StoreHost>,
    lanes: WatchLanes,
}

impl StorePublishers {
    /// Watches of this host's member.
    pub fn new(host: Arc<StoreHost>) -> Self {
        let lanes = WatchLanes::start(&host.parts.io);
        Self { host, lanes }
    }
}

impl Publishers for StorePublishers {
    fn subscribe(
        &self,
        peer: &Arc<PeerIdentity>,
        path: &str,
        topic: Bytes,
        publisher: Publisher,
    ) -> Result<(), SubscribeRefused> {
        let refused = |reason, message| Err(SubscribeRefused { reason, message });
        if *path != *self.host.path().as_str() {
            let message = format!("nothing is published at {path} on this machine");
            return refused(SubEndReason::NoSuchActor, message);
        }
        let topic: WatchTopic = match codec::decode(&topic) {
            Ok(topic) => topic,
            Err(error) => return refused(SubEndReason::Refused, format!("the watch request: {error}")),
        };
        let Some(member) = self.host.member() else {
            let message = "the store is being opened; subscribe again".to_owned();
            return refused(SubEndReason::Restarted, message);
        };
        tracing::debug!(%peer, after = %topic.after, "watch opened");
        let connection = publisher.connection();
        let watch = |memo| serve_watch(member, topic, publisher, memo);
        self.lanes.add(connection, watch).map_err(|full| SubscribeRefused {
            reason: SubEndReason::Refused,
            message: format!("{full}; ask another server, or subscribe again later"),
        })
    }
}
