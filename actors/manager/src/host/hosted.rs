//! [`Hosted`]: what a controller's incarnations share: the controller, its way to the API, and what is on its way.

use std::sync::Arc;

use tokio::sync::watch;
use trireme_access::User;
use trireme_apiserver::{ApiClient, Server};
use trireme_controllers::{Controller, Resource};
use trireme_store::Reign;

use crate::feed::{Applied, Feed};

/// The field manager of controllers' writes, as upstream's.
const AGENT: &str = "kube-controller-manager";

/// See the module.
pub(crate) struct Hosted {
    pub(crate) controller: Arc<dyn Controller>,
    pub(crate) feed: Arc<Feed>,
    pub(crate) client: Arc<ApiClient>,
    pub(crate) reign: Reign,
    /// Plans that are being carried out. Those of a killed incarnation go on to their end, and the next one waits for it:
    /// else it would decide without what they still write.
    on_the_way: watch::Sender<usize>,
}

/// One plan on its way.
pub(crate) struct OnTheWay(Arc<Hosted>);

impl Hosted {
    pub(crate) fn new(controller: Arc<dyn Controller>, feed: Arc<Feed>, reign: Reign) -> Arc<Self> {
        let client = controller_client(feed.server().clone(), controller.identity(), reign.term());
        let (on_the_way, _) = watch::channel(0);
        Arc::new(Self { controller, feed, client: Arc::new(client), reign, on_the_way })
    }

    /// Whether a change is handed to the controller.
    pub(crate) fn concerns(&self, change: &Applied) -> bool {
        let resource = change.resource();
        self.controller.concerns(resource)
            && (change.is_about_metadata() || !self.controller.metadata_only(resource))
    }

    /// The resources whose objects are looked at when it begins; `None` stands for all of them.
    pub(crate) fn begins_with(&self) -> Vec<Option<Resource>> {
        if self.controller.begins_with_everything() {
            return vec![None];
        }
        self.controller.resources().iter().cloned().map(Some).collect()
    }

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

/// The API as a controller uses it: under the identity that the cluster's roles are bound to, fenced by the term.
pub fn controller_client(server: Arc<Server>, name: &str, term: u64) -> ApiClient {
    let user = User::internal(
        &format!("system:serviceaccount:kube-system:{name}"),
        &["system:serviceaccounts", "system:serviceaccounts:kube-system", "system:authenticated"],
    );
    ApiClient::new(server, user, AGENT).fenced(term)
}
