//! [`Manager`]: adds the leader's deciding actors to its scope.

use std::sync::Arc;

use trireme_apiserver::Server;
use trireme_core::supervision::{BackOff, Intensity, WhenExceeded};
use trireme_kernel::SupervisorSpec;
use trireme_store::Reign;

use crate::events::EventRecorder;
use crate::feed::{Feed, FeedActor};
use crate::host::{ControllerActor, Hosted};
use crate::roster::{ControllerSettings, controllers};

/// See the module. Clones are cheap.
#[derive(Clone)]
pub struct Manager {
    server: Arc<Server>,
    settings: ControllerSettings,
}

impl Manager {
    /// Over the API server of this process.
    pub fn new(server: Arc<Server>, settings: ControllerSettings) -> Self {
        Self { server, settings }
    }

    /// Adds the feed and the recorder of events to the scope of one reign. Others of the scope may follow the feed.
    pub fn feed(&self, scope: SupervisorSpec, reign: &Reign) -> (SupervisorSpec, Arc<Feed>) {
        let feed = Feed::new(self.server.clone(), reign.store().clone());
        let scope = scope.child(FeedActor::spec(feed.clone())).child(EventRecorder::spec());
        (scope, feed)
    }

    /// Adds the controllers.
    pub fn controllers(&self, scope: SupervisorSpec, reign: &Reign, feed: &Arc<Feed>) -> SupervisorSpec {
        let endless = Intensity { when_exceeded: WhenExceeded::BackOff, ..Intensity::default() };
        let mut all = SupervisorSpec::new("controllers")
            .intensity(endless)
            .back_off(BackOff { max: std::time::Duration::from_secs(1), ..BackOff::default() });
        for controller in controllers(&self.settings) {
            all = all.child(ControllerActor::spec(Hosted::new(controller, feed.clone(), reign.clone())));
        }
        scope.supervisor(all)
    }
}
