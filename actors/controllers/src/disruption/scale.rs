//! How many pods those who made them want.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;
use trireme_schema::view::View;

use crate::controller::Resource;
use crate::owner::controller_of;
use crate::world::World;

/// What the owners of pods ask for together.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Scale {
    /// Pods that the owners want.
    pub(super) expected: i64,
    /// Pods that nobody controls, by name.
    pub(super) unmanaged: Vec<String>,
}

impl Scale {
    /// Adds up the owners of pods, each once: a Deployment for its ReplicaSets.
    ///
    /// # Errors
    /// The complaint about an owner that has no scale.
    pub(super) fn of(pods: &[Arc<Value>], world: &dyn World) -> Result<Self, String> {
        let mut owners: BTreeMap<String, i64> = BTreeMap::new();
        let mut out = Self::default();
        for pod in pods {
            let metadata = pod.at("metadata");
            let Some(reference) = controller_of(pod) else {
                out.unmanaged.push(metadata.text("name").to_owned());
                continue;
            };
            if owners.contains_key(reference.text("uid")) {
                continue;
            }
            let found = scaled(reference, metadata.text("namespace"), world);
            let (uid, replicas) =
                found.ok_or_else(|| format!("found no controllers for pod \"{}\"", metadata.text("name")))?;
            owners.insert(uid, replicas);
        }
        out.expected = owners.values().sum();
        Ok(out)
    }
}

/// The uid and the replicas of an owner, or of the Deployment that owns it.
fn scaled(reference: &Value, namespace: &str, world: &dyn World) -> Option<(String, i64)> {
    let owner = find(reference, namespace, world)?;
    if reference.text("kind") == "ReplicaSet"
        && let Some(above) = controller_of(&owner).filter(|above| above.text("kind") == "Deployment")
    {
        return scaled(above, namespace, world);
    }
    let replicas = owner.at("spec").int("replicas")?;
    Some((reference.text("uid").to_owned(), replicas))
}

fn find(reference: &Value, namespace: &str, world: &dyn World) -> Option<Arc<Value>> {
    let (version, kind) = (reference.text("apiVersion"), reference.text("kind"));
    let resource = match kind {
        "ReplicaSet" => Some(Resource::new("apps", "replicasets")),
        "Deployment" => Some(Resource::new("apps", "deployments")),
        "StatefulSet" => Some(Resource::new("apps", "statefulsets")),
        "ReplicationController" => Some(Resource::new("", "replicationcontrollers")),
        _ => world.resource_of(version, kind),
    }?;
    let found = resource.get(world, namespace, reference.text("name"))?;
    (found.at("metadata").text("uid") == reference.text("uid")).then_some(found)
}
