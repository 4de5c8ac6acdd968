//! [`RootCertificatePublisher`].

use serde_json::json;
use trireme_schema::view::{Edit, View};

use super::{is_open, keys};
use crate::controller::{Change, Controller, Look, Resource, resources};
use crate::key::Key;
use crate::plan::{Plan, Write};
use crate::world::World;

/// The ConfigMap that projected service account volumes name.
const NAME: &str = "kube-root-ca.crt";
/// Says what the ConfigMap is for.
const DESCRIPTION: &str = "kubernetes.io/description";
const DESCRIPTION_TEXT: &str = "Contains a CA bundle that can be used to verify the kube-apiserver when using internal \
     endpoints such as the internal service IP or kubernetes.default.svc. No other usage is guaranteed across \
     distributions of Kubernetes clusters.";

static WATCHED: [Resource; 2] = [resources::NAMESPACES, resources::CONFIG_MAPS];

/// Gives every namespace the certificates by which pods know the API server.
#[derive(Debug)]
pub struct RootCertificatePublisher {
    bundle: String,
}

impl RootCertificatePublisher {
    /// Publishes a PEM bundle.
    pub fn new(bundle: String) -> Self {
        Self { bundle }
    }
}

impl Controller for RootCertificatePublisher {
    fn name(&self) -> &'static str {
        "root-ca-cert-publisher"
    }

    fn resources(&self) -> &'static [Resource] {
        &WATCHED
    }

    fn keys(&self, change: &Change, _: &dyn World) -> Vec<Key> {
        keys(change, &resources::CONFIG_MAPS, NAME)
    }

    fn reconcile(&self, look: &Look<'_>) -> Plan {
        let namespace = &look.key.name;
        if !is_open(look.world, namespace) {
            return Plan::settled();
        }
        let data = json!({"ca.crt": self.bundle});
        let Some(found) = resources::CONFIG_MAPS.get(look.world, namespace, NAME) else {
            let object = json!({
                "apiVersion": "v1", "kind": "ConfigMap",
                "metadata": {
                    "name": NAME, "namespace": namespace, "annotations": {DESCRIPTION: DESCRIPTION_TEXT},
                },
                "data": data,
            });
            return Plan::one(Write::Create { resource: resources::CONFIG_MAPS, object });
        };
        let described = found.at("metadata").at("annotations").text(DESCRIPTION) == DESCRIPTION_TEXT;
        if described && found.at("data") == &data {
            return Plan::settled();
        }
        let mut object = (*found).clone();
        object.put("data", data);
        if let Some(annotations) = object["metadata"].object("annotations") {
            annotations.put(DESCRIPTION, DESCRIPTION_TEXT);
        }
        Plan::one(Write::Update { resource: resources::CONFIG_MAPS, subresource: "", object })
    }
}
