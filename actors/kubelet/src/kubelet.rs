//! [`Kubelet`]: what an integrator holds.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::watch;
use trireme_kernel::SupervisorSpec;
use trireme_kernel::supervision::{BackOff, Intensity, WhenExceeded};
use trireme_kubelet_core::pod;
use trireme_kubelet_core::worker::Ending;
use trireme_node::Runtime;
use trireme_schema::view::View;

use crate::api::NodeApi;
use crate::config::KubeletConfig;
use crate::server::{Authorizer, KubeletHttp};
use crate::shared::Shared;
use crate::{events, housekeeping, node, source, tasks};

/// How long the kubelet's actors may take to stop. Containers go on.
const STOP_GRACE: Duration = Duration::from_secs(5);
/// How often a shutdown looks whether pods have ended.
const SHUTDOWN_LOOK: Duration = Duration::from_millis(100);

/// One kubelet: its supervisor, its HTTP API, its shutdown. Cheap to clone.
#[derive(Clone)]
pub struct Kubelet {
    shared: Arc<Shared>,
}

impl Kubelet {
    /// A kubelet that drives `runtime` and reaches the cluster by `api`.
    pub fn new(config: KubeletConfig, runtime: Arc<dyn Runtime>, api: Arc<dyn NodeApi>) -> Self {
        Self { shared: Shared::new(config, runtime, api) }
    }

    /// Its supervisor, called `kubelet`, to stand below `/node/<name>`. Stopping it leaves all containers running.
    pub fn spec(&self) -> SupervisorSpec {
        let shared = &self.shared;
        SupervisorSpec::new("kubelet")
            .grace(STOP_GRACE)
            // Each pod has an actor: one that fails again and again must not take the others with it.
            .intensity(Intensity {
                restarts: 200,
                window: Duration::from_secs(10),
                when_exceeded: WhenExceeded::BackOff,
            })
            .back_off(BackOff {
                first: Duration::from_millis(20),
                max: Duration::from_secs(5),
                jitter_percent: 20,
            })
            .child(tasks::spec("events", shared, |shared| async move {
                let (api, name) = (Arc::clone(&shared.api), shared.config.node_name.clone());
                events::write_events(api, name, Arc::clone(&shared.event_queue)).await;
                "the queue of events is closed".to_owned()
            }))
            .child(tasks::spec("node", shared, node::keep))
            .child(tasks::spec("lease", shared, node::renew_lease))
            .child(source::spec(shared))
            .child(tasks::spec("housekeeping", shared, housekeeping::keep))
    }

    /// The kubelet's HTTP API; `authorizer` judges every request but `/healthz`.
    pub fn http_service(&self, authorizer: Arc<dyn Authorizer>) -> KubeletHttp {
        KubeletHttp::new(Arc::clone(&self.shared), authorizer)
    }

    /// The Node object as it was last seen; `None` before it is registered.
    pub fn node(&self) -> watch::Receiver<Option<Arc<Value>>> {
        self.shared.node.subscribe()
    }

    /// The pod CIDRs that the cluster gave this node; waits until it has some.
    pub async fn pod_cidrs(&self) -> Vec<String> {
        let mut node = self.shared.node.subscribe();
        loop {
            let cidrs = node.borrow_and_update().as_ref().map(|node| {
                let spec = node.at("spec");
                let all = spec.list("podCIDRs").iter().filter_map(Value::as_str).map(str::to_owned);
                let all: Vec<String> = all.collect();
                match (all.is_empty(), spec.text("podCIDR")) {
                    (true, one) if !one.is_empty() => vec![one.to_owned()],
                    _ => all,
                }
            });
            match cidrs {
                Some(cidrs) if !cidrs.is_empty() => return cidrs,
                _ if node.changed().await.is_err() => return Vec::new(),
                _ => {}
            }
        }
    }

    /// Graceful node shutdown: no pod is taken any more, ordinary pods end first, critical ones after them. Each half has
    /// `grace`. Gives how many pods had not ended in time.
    pub async fn shutdown(&self, grace: Duration) -> usize {
        self.shared.shutting_down.send_replace(true);
        let critical = |pod: &Value| pod.at("spec").int("priority").is_some_and(|own| own >= 2_000_000_000);
        let mut left = 0;
        for turn in [false, true] {
            let entries = self.shared.entries();
            let uids: Vec<String> = entries
                .iter()
                .filter(|own| own.is_active() && critical(&own.pod) == turn)
                .map(|own| pod::uid(&own.pod).to_owned())
                .collect();
            for uid in &uids {
                self.shared.end_pod(
                    uid,
                    Ending {
                        reason: "Terminated".into(),
                        message: "Pod was terminated in response to imminent node shutdown.".into(),
                        grace: Some(grace),
                        disruption: true,
                    },
                );
            }
            let ended = || {
                let pods = self.shared.pods.lock();
                uids.iter().all(|uid| pods.get(uid).is_none_or(|own| !own.is_active()))
            };
            let wait = async {
                while !ended() {
                    tokio::time::sleep(SHUTDOWN_LOOK).await;
                }
            };
            if tokio::time::timeout(grace, wait).await.is_err() {
                let pods = self.shared.pods.lock();
                left += uids
                    .iter()
                    .filter(|uid| pods.get(*uid).is_some_and(super::shared::PodEntry::is_active))
                    .count();
            }
        }
        left
    }
}
