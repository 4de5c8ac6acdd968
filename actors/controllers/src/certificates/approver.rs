//! [`CertificateApprover`].

use std::sync::Arc;

use serde_json::{Value, json};
use trireme_schema::view::{Edit, View};

use super::{Certificates, RequestFacts, is_settled};
use crate::controller::{Change, Controller, Look, Resource, resources};
use crate::key::Key;
use crate::plan::{Plan, Write};
use crate::world::World;

/// The signer of the certificates by which kubelets know themselves to the API server.
const KUBELET_CLIENT: &str = "kubernetes.io/kube-apiserver-client-kubelet";

static WATCHED: [Resource; 1] = [resources::SIGNING_REQUESTS];

/// Approves requests of nodes for their own client certificates.
pub struct CertificateApprover {
    certificates: Arc<dyn Certificates>,
}

/// Who asks for a node's certificate, and what that needs.
struct Recognizer {
    subresource: &'static str,
    message: &'static str,
}

const SELF: Recognizer = Recognizer {
    subresource: "selfnodeclient",
    message: "Auto approving self kubelet client certificate after SubjectAccessReview.",
};
const OTHER: Recognizer = Recognizer {
    subresource: "nodeclient",
    message: "Auto approving kubelet client certificate after SubjectAccessReview.",
};

impl CertificateApprover {
    /// Judges with these.
    pub fn new(certificates: Arc<dyn Certificates>) -> Self {
        Self { certificates }
    }
}

/// A client certificate of a node and nothing else.
fn is_of_node(spec: &Value, facts: &RequestFacts) -> bool {
    let mut usages: Vec<&str> = spec.list("usages").iter().filter_map(Value::as_str).collect();
    usages.sort_unstable();
    let usages = matches!(
        usages[..],
        ["client auth", "digital signature"] | ["client auth", "digital signature", "key encipherment"]
    );
    spec.text("signerName") == KUBELET_CLIENT
        && usages
        && facts.organizations == ["system:nodes"]
        && facts.alternative_names.is_empty()
        && facts.common_name.starts_with("system:node:")
}

impl Controller for CertificateApprover {
    fn name(&self) -> &'static str {
        "certificatesigningrequest-approving-controller"
    }

    fn identity(&self) -> &'static str {
        "certificate-controller"
    }

    fn resources(&self) -> &'static [Resource] {
        &WATCHED
    }

    fn keys(&self, change: &Change, _: &dyn World) -> Vec<Key> {
        let request = change.new.as_deref().filter(|request| !is_settled(request));
        request.map(|request| Key::new("", request.at("metadata").text("name"))).into_iter().collect()
    }

    fn reconcile(&self, look: &Look<'_>) -> Plan {
        let found = resources::SIGNING_REQUESTS.get(look.world, "", &look.key.name);
        let Some(request) = found.filter(|request| !is_settled(request)) else { return Plan::settled() };
        let spec = request.at("spec");
        if !request.at("status").text("certificate").is_empty() {
            return Plan::settled();
        }
        let Some(facts) = self.certificates.read(spec.text("request")) else { return Plan::settled() };
        if !is_of_node(spec, &facts) {
            return Plan::settled();
        }
        let own = spec.text("username") == facts.common_name;
        let recognizers = [(own, SELF), (true, OTHER)];
        let granted = recognizers
            .into_iter()
            .find(|(applies, recognizer)| *applies && self.certificates.may(spec, recognizer.subresource));
        let Some((_, recognizer)) = granted else { return Plan::settled() };
        let mut object = (*request).clone();
        let condition = json!({
            "type": "Approved", "status": "True", "reason": "AutoApproved", "message": recognizer.message,
            "lastUpdateTime": look.now.to_time(), "lastTransitionTime": look.now.to_time(),
        });
        if let Some(status) = object.object("status") {
            status.put("conditions", json!([condition]));
        }
        Plan::one(Write::Update { resource: resources::SIGNING_REQUESTS, subresource: "approval", object })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::TestWorld;
    use trireme_schema::time::Moment;

    struct Fake {
        facts: RequestFacts,
        may: &'static str,
    }

    impl Certificates for Fake {
        fn read(&self, _: &str) -> Option<RequestFacts> {
            Some(self.facts.clone())
        }
        fn may(&self, _: &Value, subresource: &str) -> bool {
            subresource == self.may
        }
        fn sign(&self, _: &Value) -> Result<String, String> {
            Err("not asked for here".to_owned())
        }
    }

    fn approves(
        username: &str,
        may: &'static str,
        edit: impl FnOnce(&mut RequestFacts, &mut Value),
    ) -> Option<String> {
        let mut facts = RequestFacts {
            common_name: "system:node:n1".to_owned(),
            organizations: vec!["system:nodes".to_owned()],
            alternative_names: Vec::new(),
        };
        let mut spec = json!({
            "request": "x", "username": username, "signerName": KUBELET_CLIENT,
            "usages": ["digital signature", "client auth"],
        });
        edit(&mut facts, &mut spec);
        let mut world = TestWorld::default();
        world.put(
            &resources::SIGNING_REQUESTS,
            json!({"metadata": {"name": "r"}, "spec": spec, "status": {}}),
        );
        let (key, now) = (Key::new("", "r"), Moment::from_unix(0, 0));
        let approver = CertificateApprover::new(Arc::new(Fake { facts, may }));
        let plan = approver.reconcile(&Look { now, key: &key, world: &world, refused: None });
        plan.writes.first().map(|write| match write {
            Write::Update { object, subresource: "approval", .. } => {
                object["status"]["conditions"][0]["message"].as_str().unwrap().to_owned()
            }
            other => panic!("{other:?}"),
        })
    }

    #[test]
    fn nodes_get_their_own_client_certificates_and_nothing_else() {
        let nothing = |_: &mut RequestFacts, _: &mut Value| {};
        assert!(approves("system:node:n1", "selfnodeclient", nothing).unwrap().contains("self kubelet"));
        assert!(approves("system:bootstrap:x", "nodeclient", nothing).is_some());
        assert_eq!(approves("system:node:n2", "selfnodeclient", nothing), None);
        assert_eq!(approves("system:node:n1", "", nothing), None);
        let may = "nodeclient";
        assert_eq!(
            approves("u", may, |facts, _| facts.organizations.push("system:masters".to_owned())),
            None
        );
        assert_eq!(approves("u", may, |facts, _| facts.alternative_names.push("10.0.0.1".to_owned())), None);
        assert_eq!(approves("u", may, |facts, _| facts.common_name = "admin".to_owned()), None);
        assert_eq!(approves("u", may, |_, spec| spec["usages"] = json!(["server auth"])), None);
        assert_eq!(approves("u", may, |_, spec| spec["signerName"] = json!("example.com/x")), None);
    }
}
