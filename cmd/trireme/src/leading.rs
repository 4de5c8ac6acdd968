//! What runs where the leader is, as the command line asks for it.

use std::sync::Arc;
use std::time::Duration;

use trireme_apiserver::ApiService;
use trireme_manager::{ClusterCertificates, ClusterTokens, ControllerSettings, Manager};
use trireme_pki::ClusterAuthority;
use trireme_scheduler_host::{SchedulerActor, SchedulerSettings};
use trireme_store::{ClusterAuditor, ClusterClock, ClusterCompactor, ScopeChildren};

use crate::api_args::{ApiArgs, Component};
use crate::machine::Serving;

/// What runs where the leader is.
pub(crate) struct Leading {
    /// How long the store keeps its history.
    history: Duration,
    /// The feed and the recorder of events, for those that decide.
    manager: Option<Manager>,
    controllers: bool,
    scheduler: Option<Arc<SchedulerSettings>>,
}

impl Leading {
    /// # Errors
    /// Flags that cannot be used.
    pub(crate) fn new(
        serving: Serving<'_>,
        api: Option<&(ApiService, ApiArgs)>,
        authority: Option<&Arc<ClusterAuthority>>,
    ) -> anyhow::Result<Self> {
        let leads = |args: &ApiArgs| args.runs(Component::Controllers) || args.runs(Component::Scheduler);
        let manager = api.filter(|(_, args)| leads(args)).zip(authority).map(|((api, _), authority)| {
            let root_certificates = authority.certificate().to_pem();
            let pod_ranges = crate::node::pod_ranges(serving.node)?;
            let server = || Arc::clone(api.server());
            let certificates = Arc::new(ClusterCertificates::new(server(), Arc::clone(authority)));
            let tokens = Arc::new(ClusterTokens::new(server(), root_certificates.clone()));
            let settings = ControllerSettings { root_certificates, pod_ranges, certificates, tokens };
            anyhow::Ok(Manager::new(Arc::clone(api.server()), settings))
        });
        let manager = manager.transpose()?;
        let scheduler = serving.api.runs(Component::Scheduler);
        let scheduler = scheduler.then(|| crate::api::scheduler_settings(serving.api)).transpose()?;
        Ok(Self {
            history: serving.history,
            manager,
            controllers: serving.api.runs(Component::Controllers),
            scheduler: scheduler.map(Arc::new),
        })
    }
}

/// The actors that run where the leader is.
pub(crate) fn leader_scope(leading: Leading) -> ScopeChildren {
    let Leading { history, manager, controllers, scheduler } = leading;
    Arc::new(move |scope, reign| {
        let scope = scope
            .child(ClusterClock::spec(reign))
            .child(ClusterCompactor::spec(reign, history))
            .child(ClusterAuditor::spec(reign));
        let Some(manager) = &manager else { return scope };
        let (scope, feed) = manager.feed(scope, reign);
        let scope = if controllers { manager.controllers(scope, reign, &feed) } else { scope };
        match &scheduler {
            Some(settings) => scope.child(SchedulerActor::spec(Arc::clone(settings), feed, reign)),
            None => scope,
        }
    })
}
