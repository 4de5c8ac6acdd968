//! A pipeline of a few lines over objects in memory.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use parking_lot::RwLock;
use serde_json::{Value, json};
use trireme_access::authn::service_account::{
    Issuer, ServiceAccountTokens, SigningKey, TokenRequest, request_token,
};
use trireme_access::authn::{Authentication, Credentials, ImpersonationError, TokenFile, impersonate};
use trireme_access::authz::{Mode, authorize, authorizers};
use trireme_access::bootstrap::initial_objects;
use trireme_access::node::NodeReads;
use trireme_access::rbac::{Escalation, Rbac, check_write};
use trireme_access::{Attributes, Authorizer, User, review};
use trireme_schema::objects::{MemoryObjects, Objects};
use trireme_schema::status::Failure;
use trireme_schema::view::same;

use super::path::attributes;

const ISSUER: &str = "https://kubernetes.default.svc";
/// The default objects, made once.
static FRESH: LazyLock<MemoryObjects> = LazyLock::new(|| {
    let mut objects = MemoryObjects::default();
    for initial in initial_objects("2001-01-01T00:00:00Z") {
        objects.put(initial.group, initial.resource, initial.object);
    }
    objects
});
static KEY: LazyLock<String> = LazyLock::new(|| SigningKey::generate_rsa().expect("a key").pem);

/// The users of the corpus.
const USERS: &str = "\
admin,golden-admin,uid-admin,\"system:masters\"
alice,alice,uid-alice,\"devs\"
bob,bob,uid-bob
node-n1,system:node:n1,uid-node-n1,\"system:nodes\"
node-n2,system:node:n2,uid-node-n2,\"system:nodes\"
nodeless,system:node:,uid-nodeless,\"system:nodes\"
scheduler,system:kube-scheduler,uid-scheduler
kcm,system:kube-controller-manager,uid-kcm
";
const NAMESPACE: &str = "gabcdefghi";
const NOW: i64 = 1_000_000_000;
const RBAC: &str = "rbac.authorization.k8s.io";

/// How a case came out.
pub(crate) enum Outcome {
    Exact,
    Differs(String),
    Skipped(String),
}

#[derive(Default)]
struct Shared(RwLock<MemoryObjects>);

impl Objects for Shared {
    fn get(&self, group: &str, resource: &str, namespace: &str, name: &str) -> Option<Arc<Value>> {
        self.0.read().get(group, resource, namespace, name)
    }
    fn list(&self, group: &str, resource: &str, namespace: Option<&str>) -> Vec<Arc<Value>> {
        self.0.read().list(group, resource, namespace)
    }
    fn revision(&self, group: &str, resource: &str) -> u64 {
        self.0.read().revision(group, resource)
    }
}

pub(crate) struct World {
    objects: Arc<Shared>,
    rbac: Arc<Rbac>,
    authorizer: Arc<dyn Authorizer>,
    authentication: Authentication,
    issuer: Issuer,
    saved: BTreeMap<String, String>,
}

/// What a request came to: an answer, or nothing this crate can say.
enum Answer {
    Status(u64, Option<Value>),
    Unknown(&'static str),
}

fn failed(failure: &Failure) -> Answer {
    Answer::Status(u64::from(failure.code), Some(failure.to_value()))
}

impl World {
    pub(crate) fn new() -> Self {
        let objects = Arc::new(Shared(RwLock::new(FRESH.clone())));
        let shared: Arc<dyn Objects> = objects.clone();
        let rbac = Arc::new(Rbac::new(shared.clone()));
        let modes = Mode::parse_list("Node,RBAC").expect("two modes");
        // The corpus is of a version whose nodes read all pods and nodes.
        let authorizer = authorizers(&modes, &shared, &rbac, NodeReads::All);
        let audiences = vec![ISSUER.to_owned()];
        let file = TokenFile::parse(USERS, audiences.clone()).expect("the users");
        let issuer = Issuer::new(ISSUER, SigningKey::from_pem(&KEY).expect("the key"));
        let keys = vec![issuer.key().public().clone()];
        let tokens = ServiceAccountTokens::new(audiences.clone(), keys, audiences.clone(), shared);
        let authentication =
            Authentication::new(audiences, true).with_tokens(Arc::new(file)).with_tokens(Arc::new(tokens));
        Self { objects, rbac, authorizer, authentication, issuer, saved: BTreeMap::new() }
    }

    pub(crate) fn run(&mut self, case: &Value) -> Outcome {
        let text = case["steps"].to_string().replace("$ns", NAMESPACE);
        let steps: Vec<Value> = serde_json::from_str(&text).expect("the same steps");
        if case["sa"] == true {
            self.put("", "serviceaccounts", json!({"metadata":{"name":"default","uid":"uid-sa"}}));
        }
        for step in steps {
            let step = self.fill(&step);
            let expected = &step["expect"];
            let answer = self.step(&step);
            let Answer::Status(status, body) = answer else {
                let Answer::Unknown(why) = answer else { unreachable!() };
                return Outcome::Skipped(format!("{why}: {} {}", step["method"], step["path"]));
            };
            if expected["status"] == 0 {
                continue;
            }
            let none = Value::Null;
            let (Some(body), wanted) = (&body, expected.get("body").unwrap_or(&none)) else {
                if expected["status"] == status {
                    continue;
                }
                return Outcome::Differs(format!("{} {}: {status}", step["method"], step["path"]));
            };
            for (name, path) in step["save"].as_object().into_iter().flatten() {
                let part = path.as_array().into_iter().flatten().filter_map(Value::as_str);
                let part = part.fold(body, |value, field| &value[field]);
                self.saved.insert(name.clone(), part.as_str().unwrap_or("").to_owned());
            }
            if step["check"] == "status" && expected["status"] == status {
                continue;
            }
            if expected["status"] != status || !same(&compared(body), &compared(wanted)) {
                return Outcome::Differs(format!("{status} {body} is not {wanted}"));
            }
        }
        Outcome::Exact
    }

    fn put(&self, group: &str, resource: &str, mut object: Value) {
        object["metadata"]["namespace"] = json!(NAMESPACE);
        self.objects.0.write().put(group, resource, object);
    }

    /// Puts saved parts of earlier answers in.
    fn fill(&self, step: &Value) -> Value {
        let mut text = step.to_string();
        for (name, value) in &self.saved {
            text = text.replace(&format!("${{{name}}}"), value);
        }
        serde_json::from_str(&text).expect("the same step")
    }

    fn step(&mut self, step: &Value) -> Answer {
        let text = |field: &str| step[field].as_str().unwrap_or("").to_owned();
        let (method, path, query) = (text("method"), text("path"), text("query"));
        if method.is_empty() {
            return Answer::Unknown("no request");
        }
        let who = step["as"].as_str().unwrap_or("admin");
        let mut headers: Vec<(String, String)> = Vec::new();
        for header in step["headers"].as_array().into_iter().flatten() {
            let part = |at: usize| header[at].as_str().unwrap_or("").to_owned();
            headers.push((part(0), part(1)));
        }
        if who != "anonymous" {
            let token = who.strip_prefix("token:").unwrap_or(who);
            headers.push(("Authorization".to_owned(), format!("Bearer {token}")));
        }
        let own = headers.iter().find(|(name, _)| name == "Authorization").map(|(_, value)| value.as_str());
        let shown = Credentials { authorization: own, ..Credentials::default() };
        let user = match self.authentication.authenticate(&shown, NOW) {
            Ok(found) => found.user,
            Err(error) => return failed(&error.failure()),
        };
        let pairs: Vec<(&str, &str)> =
            headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let user = match impersonate(&user, &pairs, &*self.authorizer) {
            Ok(other) => other.unwrap_or(user),
            Err(ImpersonationError::Forbidden(failure)) => return failed(&failure),
            Err(error) => return Answer::Status(500, Some(error.text(&path).into())),
        };
        let ask = attributes(&user, &method, &path, &query);
        if let Err(failure) = authorize(&*self.authorizer, &ask) {
            return failed(&failure);
        }
        self.handle(&ask, &user, step)
    }

    fn handle(&mut self, ask: &Attributes, user: &Arc<User>, step: &Value) -> Answer {
        let body = step["body"].clone();
        let answer = |result: Result<Value, Failure>| match result {
            Ok(object) => Answer::Status(201, Some(object)),
            Err(failure) => failed(&failure),
        };
        let authorizer = &*self.authorizer;
        match (ask.verb.as_str(), ask.resource.as_str()) {
            ("create", "selfsubjectaccessreviews") => {
                answer(review::self_subject_access_review(body, user, authorizer))
            }
            ("create", "subjectaccessreviews") => answer(review::subject_access_review(body, authorizer)),
            ("create", "localsubjectaccessreviews") => {
                let mut body = body;
                body["metadata"]["namespace"] = json!(ask.namespace);
                answer(review::local_subject_access_review(body, authorizer))
            }
            ("create", "selfsubjectrulesreviews") => {
                answer(review::self_subject_rules_review(&body, user, authorizer))
            }
            ("create", "selfsubjectreviews") => answer(Ok(review::self_subject_review(&body, user, "$time"))),
            ("create", "tokenreviews") => answer(review::token_review(body, &self.authentication, NOW)),
            ("create", "serviceaccounts") if ask.subresource == "token" && user.name == "golden-admin" => {
                answer(self.request_token(ask, body))
            }
            ("create" | "update" | "patch", resource) if ask.group == RBAC => {
                self.write_rbac(ask, user, resource, body)
            }
            ("delete", resource) if ask.group == RBAC => {
                self.objects.0.write().remove(RBAC, resource, &ask.namespace, &ask.name);
                Answer::Status(200, None)
            }
            ("create", "pods" | "secrets" | "configmaps") if user.name == "golden-admin" => {
                let mut body = body;
                body["metadata"]["uid"] = json!(format!("uid-{}", ask.resource));
                if ask.resource == "pods" && body["spec"]["serviceAccountName"].is_null() {
                    body["spec"]["serviceAccountName"] = json!("default");
                }
                self.put("", &ask.resource, body.clone());
                Answer::Status(201, Some(body))
            }
            ("get" | "list" | "watch", _) if step["check"] == "status" => Answer::Status(200, None),
            _ => Answer::Unknown("beyond this crate"),
        }
    }

    fn request_token(&self, ask: &Attributes, body: Value) -> Result<Value, Failure> {
        let request = TokenRequest {
            issuer: &self.issuer,
            api_audiences: &[ISSUER.to_owned()],
            objects: &*self.objects,
            extend_expiration: true,
            namespace: &ask.namespace,
            name: &ask.name,
            now: NOW,
            id: "id",
        };
        request_token(&request, body, |_| Ok(()))
    }

    fn write_rbac(&mut self, ask: &Attributes, user: &Arc<User>, resource: &str, mut body: Value) -> Answer {
        let escalation = Escalation {
            rbac: &self.rbac,
            authorizer: &*self.authorizer,
            user,
            resource,
            namespace: &ask.namespace,
            name: &ask.name,
        };
        let old = self.objects.get(RBAC, resource, &ask.namespace, &ask.name);
        if let (Some(old), "patch") = (&old, ask.verb.as_str()) {
            let mut patched = (**old).clone();
            merge(&mut patched, &body);
            body = patched;
        }
        if let Err(failure) = check_write(&escalation, old.as_deref(), &body) {
            return failed(&failure);
        }
        body["metadata"]["namespace"] = json!(ask.namespace);
        self.objects.0.write().put(RBAC, resource, body);
        Answer::Status(if old.is_some() { 200 } else { 201 }, None)
    }
}

fn merge(into: &mut Value, patch: &Value) {
    let Some(fields) = patch.as_object() else {
        *into = patch.clone();
        return;
    };
    for (name, value) in fields {
        merge(&mut into[name.as_str()], value);
    }
}

/// What is compared of a body: all of a Status or a text, but for Go's dumps of values; status of a review and spec but for
/// tokens and UIDs, rules in any order.
fn compared(body: &Value) -> Value {
    let mut body = body.clone();
    if !body["status"].is_object() {
        if body["reason"] == "Invalid" {
            body["message"] = Value::Null;
            for cause in body["details"]["causes"].as_array_mut().into_iter().flatten() {
                cause["message"] = Value::Null;
            }
        }
        return body;
    }
    for field in ["resourceRules", "nonResourceRules"] {
        if let Some(rules) = body["status"][field].as_array_mut() {
            rules.sort_by_key(Value::to_string);
        }
    }
    let status = body["status"].as_object_mut().expect("it was just seen");
    for field in ["token", "expirationTimestamp"] {
        status.remove(field);
    }
    for field in ["user", "userInfo"] {
        let user = status.get_mut(field).and_then(Value::as_object_mut);
        if let Some(user) = user.filter(|user| {
            user.get("username").and_then(Value::as_str).is_some_and(|n| n.starts_with("system:service"))
        }) {
            user.remove("uid");
            // Newer than the corpus: which pod, node and token.
            user.remove("extra");
        }
    }
    if let Some(spec) = body["spec"].as_object_mut() {
        spec.remove("token");
        if let Some(bound) = spec.get_mut("boundObjectRef").and_then(Value::as_object_mut) {
            bound.remove("uid");
        }
    }
    json!({"spec": body["spec"], "status": body["status"]})
}
