//! [`CertificateSigner`].

use std::sync::Arc;

use serde_json::{Value, json};
use trireme_schema::view::{Edit, View};

use super::{Certificates, condition};
use crate::controller::{Change, Controller, Look, Resource, resources};
use crate::key::Key;
use crate::plan::{Plan, Write};
use crate::world::World;

/// The signers that the cluster itself is.
const OURS: [&str; 4] = [
    "kubernetes.io/kube-apiserver-client",
    "kubernetes.io/kube-apiserver-client-kubelet",
    "kubernetes.io/kubelet-serving",
    "kubernetes.io/legacy-unknown",
];

static WATCHED: [Resource; 1] = [resources::SIGNING_REQUESTS];

/// Signs approved requests to the cluster's own signers.
pub struct CertificateSigner {
    certificates: Arc<dyn Certificates>,
}

impl CertificateSigner {
    /// Signs with these.
    pub fn new(certificates: Arc<dyn Certificates>) -> Self {
        Self { certificates }
    }
}

/// It waits for its certificate.
fn waits(request: &Value) -> bool {
    let is = |kind: &str| condition(request, kind).is_some();
    OURS.contains(&request.at("spec").text("signerName"))
        && is("Approved")
        && !is("Denied")
        && !is("Failed")
        && request.at("status").text("certificate").is_empty()
}

impl Controller for CertificateSigner {
    fn name(&self) -> &'static str {
        "certificatesigningrequest-signing-controller"
    }

    fn identity(&self) -> &'static str {
        "certificate-controller"
    }

    fn resources(&self) -> &'static [Resource] {
        &WATCHED
    }

    fn keys(&self, change: &Change, _: &dyn World) -> Vec<Key> {
        let request = change.new.as_deref().filter(|request| waits(request));
        request.map(|request| Key::new("", request.at("metadata").text("name"))).into_iter().collect()
    }

    fn reconcile(&self, look: &Look<'_>) -> Plan {
        let found = resources::SIGNING_REQUESTS.get(look.world, "", &look.key.name);
        let Some(request) = found.filter(|request| waits(request)) else { return Plan::settled() };
        let mut object = (*request).clone();
        let Some(status) = object.object("status") else { return Plan::settled() };
        match self.certificates.sign(request.at("spec")) {
            Ok(certificate) => status.put("certificate", certificate),
            Err(message) => {
                let mut conditions = status.list("conditions").to_vec();
                conditions.push(json!({
                    "type": "Failed", "status": "True", "reason": "SignerValidationFailure", "message": message,
                    "lastUpdateTime": look.now.to_time(), "lastTransitionTime": look.now.to_time(),
                }));
                status.put("conditions", conditions);
            }
        }
        Plan::one(Write::Update { resource: resources::SIGNING_REQUESTS, subresource: "status", object })
    }
}

#[cfg(test)]
mod tests {
    use super::super::RequestFacts;
    use super::*;
    use crate::testing::TestWorld;
    use trireme_schema::time::Moment;

    struct Fake;

    impl Certificates for Fake {
        fn read(&self, _: &str) -> Option<RequestFacts> {
            None
        }
        fn may(&self, _: &Value, _: &str) -> bool {
            false
        }
        fn sign(&self, spec: &Value) -> Result<String, String> {
            if spec.text("request") == "bad" {
                Err("subject is empty".to_owned())
            } else {
                Ok("PEM".to_owned())
            }
        }
    }

    fn status(request: &str, signer: &str, conditions: &[&str]) -> Option<Value> {
        let conditions: Vec<Value> = conditions.iter().map(|kind| json!({"type": kind})).collect();
        let mut world = TestWorld::default();
        let spec = json!({"request": request, "signerName": signer});
        let object = json!({"metadata": {"name": "r"}, "spec": spec, "status": {"conditions": conditions}});
        world.put(&resources::SIGNING_REQUESTS, object);
        let (key, now) = (Key::new("", "r"), Moment::from_unix(0, 0));
        let look = Look { now, key: &key, world: &world, refused: None };
        let plan = CertificateSigner::new(Arc::new(Fake)).reconcile(&look);
        plan.writes.first().map(|write| match write {
            Write::Update { object, subresource: "status", .. } => object["status"].clone(),
            other => panic!("{other:?}"),
        })
    }

    #[test]
    fn approved_requests_to_the_clusters_signers_are_signed() {
        let ours = "kubernetes.io/kubelet-serving";
        assert_eq!(status("x", ours, &["Approved"]).unwrap()["certificate"], "PEM");
        assert_eq!(status("x", ours, &[]), None);
        assert_eq!(status("x", ours, &["Approved", "Denied"]), None);
        assert_eq!(status("x", "example.com/other", &["Approved"]), None);
        let failed = status("bad", ours, &["Approved"]).unwrap();
        assert_eq!(failed["conditions"][1]["reason"], "SignerValidationFailure");
        assert_eq!(failed["conditions"][1]["message"], "subject is empty");
    }
}
