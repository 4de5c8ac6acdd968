//! The node's lease in `kube-node-lease`: how the cluster knows that this node lives.

use std::sync::Arc;

use serde_json::{Value, json};
use trireme_kubelet_core::pod;

use super::bounded;
use crate::api::{ApiError, PatchKind, Place, Resource};
use crate::clock::moment_now;
use crate::shared::Shared;

const NAMESPACE: &str = "kube-node-lease";

/// Renews the lease for ever.
pub(crate) async fn renew(shared: Arc<Shared>) -> String {
    let mut node = shared.node.subscribe();
    if node.wait_for(Option::is_some).await.is_err() {
        return "the node's state is gone".to_owned();
    }
    let mut beat = tokio::time::interval(shared.config.lease_renew);
    beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        beat.tick().await;
        if let Err(error) = once(&shared).await {
            tracing::warn!(%error, "the node's lease was not renewed");
        }
    }
}

async fn once(shared: &Shared) -> Result<(), ApiError> {
    let name = shared.config.node_name.as_str();
    let spec = json!({
        "holderIdentity": name,
        "leaseDurationSeconds": shared.config.lease_duration.as_secs().max(1),
        "renewTime": moment_now().to_micro_time(),
    });
    let place = Place { resource: Resource::LEASES, namespace: NAMESPACE, name, subresource: "" };
    let renewed = bounded(shared.api.patch(place, PatchKind::Merge, json!({"spec": spec}))).await;
    match renewed {
        Err(error) if error.is_not_found() => {
            let node: Arc<Value> = shared.node.borrow().clone().unwrap_or_default();
            let owner = json!({"apiVersion": "v1", "kind": "Node", "name": name, "uid": pod::uid(&node)});
            let lease = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
                "metadata": {"name": name, "namespace": NAMESPACE, "ownerReferences": [owner]}, "spec": spec});
            bounded(shared.api.create(Place { name: "", ..place }, lease)).await.map(drop)
        }
        other => other.map(drop),
    }
}
