//! [`Ways`]: what an actor's incarnations share: the way to the API, and what is on its way there.

use std::sync::Arc;

use tokio::sync::watch;
use trireme_access::User;
use trireme_apiserver::{ApiClient, Exposition};
use trireme_manager::Feed;
use trireme_store::Reign;

use crate::pending::Pending;

/// The user that upstream's roles are bound to.
const USER: &str = "system:kube-scheduler";
/// Field manager of its writes.
const AGENT: &str = "kube-scheduler";

/// See the module.
pub(crate) struct Ways {
    pub(crate) feed: Arc<Feed>,
    pub(crate) client: Arc<ApiClient>,
    /// Shown at this server's `/metrics` for as long as the reign lasts.
    pub(crate) pending: Arc<Pending>,
    /// Writes that are being carried out. Those of a killed incarnation go on to their end, and the next one waits for it:
    /// else it would decide without what they still write.
    on_the_way: watch::Sender<usize>,
}

/// Something on its way.
pub(crate) struct OnTheWay(Arc<Ways>);

impl Ways {
    /// For one reign.
    pub(crate) fn new(feed: Arc<Feed>, reign: &Reign) -> Arc<Self> {
        let user = User::internal(USER, &["system:authenticated"]);
        let client = ApiClient::new(feed.server().clone(), user, AGENT).fenced(reign.term());
        let (on_the_way, _) = watch::channel(0);
        let pending = Arc::new(Pending::default());
        let shown: Arc<dyn Exposition> = pending.clone();
        feed.server().expose(Arc::downgrade(&shown));
        Arc::new(Self { feed, client: Arc::new(client), pending, on_the_way })
    }

    /// Something sets out.
    pub(crate) fn sets_out(self: &Arc<Self>) -> OnTheWay {
        self.on_the_way.send_modify(|count| *count += 1);
        OnTheWay(self.clone())
    }

    /// Waits until nothing that an earlier incarnation decided is on its way, and all of it is in the feed.
    pub(crate) async fn quiet(&self) {
        let mut count = self.on_the_way.subscribe();
        // The sender lives as long as this.
        let _open = count.wait_for(|count| *count == 0).await.is_ok();
        self.feed.ready().await;
        self.feed.caught_up().await;
    }
}

impl Drop for OnTheWay {
    fn drop(&mut self) {
        self.0.on_the_way.send_modify(|count| *count -= 1);
    }
}
