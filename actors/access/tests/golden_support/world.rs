//! A pipeline of a few lines over objects in memory.

use std::sync::{Arc, RwLock};

use serde_json::{Value, json};
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
pub enum Outcome {
    Exact,
    Differs(String),
    Skipped(String),
}

#[derive(Default)]
struct Shared(RwLock<MemoryObjects>);

impl Objects for Shared {
    fn get(&self, group: &str, resource: &str, namespace: &str, name: &str) -> Option<Arc<Value>> {
        self.0.read().unwrap().get(group, resource, namespace, name)
    }
    fn list(&self, group: &str, resource: &str, namespace: Option<&str>) -> Vec<Arc<Value>> {
        self.0.read().unwrap().list(group, resource, namespace)
    }
    fn revision(&self, group: &str, resource: &str) -> u64 {
        self.0.read().unwrap().revision(group, resource)
    }
}

pub struct World {
    objects: Arc<Shared>,
    rbac: Arc<Rbac>,
    authorizer: Arc<dyn Authorizer>,
    authentication: Authentication,
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
    pub fn new() -> Self {
        let objects = Arc::new(Shared::default());
        for initial in initial_objects("2001-01-01T00:00:00Z") {
            objects.0.write().unwrap().put(initial.group, initial.resource, initial.object);
        }
        let shared: Arc<dyn Objects> = objects.clone();
        let rbac = Arc::new(Rbac::new(shared.clone()));
        let modes = Mode::parse_list("Node,RBAC").unwrap();
        // The corpus is of a version whose nodes read all pods and nodes.
        let authorizer = authorizers(&modes, &shared, &rbac, NodeReads::All);
        let audiences = vec!["https://kubernetes.default.svc".to_owned()];
        let file = TokenFile::parse(USERS, audiences.clone()).unwrap();
        let authentication = Authentication::new(audiences, true).with_tokens(Arc::new(file));
        Self { objects, rbac, authorizer, authentication }
    }

    pub fn run(&mut self, case: &Value) -> Outcome {
        let text = case["steps"].to_string().replace("$ns", NAMESPACE);
        let steps: Vec<Value> = serde_json::from_str(&text).expect("the same steps");
        for step in steps {
            let expected = &step["expect"];
            let answer = self.step(&step);
            let Answer::Status(status, body) = answer else {
                let Answer::Unknown(why) = answer else { unreachable!() };
                return Outcome::Skipped(format!("{why}: {} {}", step["method"], step["path"]));
            };
            if expected["status"] == 0 {
                continue;
            }
            let (Some(body), Some(wanted)) = (&body, expected.get("body")) else {
                if expected["status"] == status {
                    continue;
                }
                return Outcome::Differs(format!("{} {}: {status}", step["method"], step["path"]));
            };
            let compared = |value: &Value| compared(value);
            if expected["status"] != status || !same(&compared(body), &compared(wanted)) {
                return Outcome::Differs(format!("{status} {body} is not {wanted}"));
            }
        }
        Outcome::Exact
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
            headers.push((header[0].as_str().unwrap().to_owned(), header[1].as_str().unwrap().to_owned()));
        }
        if who != "anonymous" {
            let token = who.strip_prefix("token:").unwrap_or(who);
            if token.starts_with('$') {
                return Answer::Unknown("a saved token");
            }
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
            ("create", resource) if ask.group == RBAC => self.write_rbac(ask, user, resource, body),
            ("delete", resource) if ask.group == RBAC => {
                self.objects.0.write().unwrap().remove(RBAC, resource, &ask.namespace, &ask.name);
                Answer::Status(200, None)
            }
            ("create", "pods" | "secrets" | "configmaps") if user.name == "golden-admin" => {
                let mut body = body;
                body["metadata"]["namespace"] = json!(ask.namespace);
                if ask.resource == "pods" && body["spec"]["serviceAccountName"].is_null() {
                    body["spec"]["serviceAccountName"] = json!("default");
                }
                self.objects.0.write().unwrap().put("", &ask.resource, body);
                Answer::Status(201, None)
            }
            ("get" | "list" | "watch", _) if step["check"] == "status" => Answer::Status(200, None),
            _ => Answer::Unknown("beyond this crate"),
        }
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
        if let Err(failure) = check_write(&escalation, None, &body) {
            return failed(&failure);
        }
        body["metadata"]["namespace"] = json!(ask.namespace);
        self.objects.0.write().unwrap().put(RBAC, resource, body);
        Answer::Status(201, None)
    }
}

/// What is compared of a body: everything of a Status or a text, spec and status of a review (rules in any order).
fn compared(body: &Value) -> Value {
    let status = &body["status"];
    if !status.is_object() {
        let text = body.to_string();
        // Go's dump of a value inside a message has no counterpart.
        let dump = text.contains("$go") || text.contains("Invalid value");
        return if dump { json!({"reason": body["reason"], "code": body["code"]}) } else { body.clone() };
    }
    let mut status = status.clone();
    for field in ["resourceRules", "nonResourceRules"] {
        if let Some(rules) = status[field].as_array_mut() {
            rules.sort_by_key(Value::to_string);
        }
    }
    json!({"spec": body["spec"], "status": status})
}
