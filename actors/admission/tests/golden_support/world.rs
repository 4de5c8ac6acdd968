//! A server without sockets and stores: requests against objects in a map, through the whole chain.

use serde_json::{Value, json};
use trireme_access::{Attributes, Authorizer, Decision, Rules, User};
use trireme_admission::{Chain, ChainConfig, Operation, Request, Verdict};
use trireme_schema::kinds::{self, Kind};
use trireme_schema::objects::{MemoryObjects, Objects};
use trireme_schema::request::{
    Context, FieldValidation, PatchType, Target, begin_create, begin_update, decode, finish_create,
    finish_update, patch_object,
};
use trireme_schema::status::{Failure, Status};

pub(crate) const NAMESPACE: &str = "gcase";
const TIME: &str = "2026-01-02T03:04:05Z";

/// What the server says.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
    pub(crate) warnings: Vec<String>,
}

/// The administrator may do everything.
struct Everything;

impl Authorizer for Everything {
    fn authorize(&self, _: &Attributes) -> Decision {
        Decision::Allow { reason: String::new() }
    }

    fn rules_for(&self, _: &User, _: &str) -> Rules {
        Rules::default()
    }
}

pub(crate) struct World {
    objects: MemoryObjects,
    chain: Chain,
    made: u32,
}

struct Route {
    kind: &'static Kind,
    namespace: String,
    name: String,
    subresource: String,
}

impl World {
    pub(crate) fn new(case: &Value) -> Self {
        let mut objects = MemoryObjects::default();
        let mut labels = case["nsLabels"].as_object().cloned().unwrap_or_default();
        labels.insert("kubernetes.io/metadata.name".to_owned(), NAMESPACE.into());
        let namespace = json!({
            "apiVersion": "v1", "kind": "Namespace", "status": {"phase": "Active"},
            "metadata": {"name": NAMESPACE, "labels": labels, "uid": "n", "creationTimestamp": TIME},
            "spec": {"finalizers": ["kubernetes"]},
        });
        objects.put("", "namespaces", namespace);
        let account = json!({
            "apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": NAMESPACE},
        });
        objects.put("", "serviceaccounts", account);
        for (name, value) in
            [("system-cluster-critical", 2_000_000_000), ("system-node-critical", 2_000_001_000)]
        {
            let class = json!({
                "metadata": {"name": name}, "value": value, "preemptionPolicy": "PreemptLowerPriority",
            });
            objects.put("scheduling.k8s.io", "priorityclasses", class);
        }
        let chain = Chain::upstream(&ChainConfig::default()).expect("the default plugins");
        Self { objects, chain, made: 0 }
    }

    /// Carries out a step, or says why it cannot be evaluated here.
    pub(crate) fn step(&mut self, step: &Value) -> Result<Answer, String> {
        let path = step["path"].as_str().unwrap_or("");
        let route = route(path).ok_or_else(|| format!("no built-in kind at {path}"))?;
        if !matches!(route.subresource.as_str(), "" | "status") {
            return Err(format!("subresource {}", route.subresource));
        }
        let dry_run = step["query"].to_string().contains("dryRun");
        let body = if step["body"].is_null() { Vec::new() } else { step["body"].to_string().into_bytes() };
        let result = match step["method"].as_str().unwrap_or("") {
            "POST" => self.create(&route, &body, dry_run),
            "PATCH" => self.patch(&route, &body, step["contentType"].as_str().unwrap_or("")),
            "GET" => self.find(&route).map(|body| Answer { status: 200, body, warnings: Vec::new() }),
            other => return Err(format!("method {other}")),
        };
        Ok(result.unwrap_or_else(|failure| Answer {
            status: failure.code,
            body: failure.to_value(),
            warnings: Vec::new(),
        }))
    }

    fn find(&self, route: &Route) -> Result<Value, Failure> {
        let kind = route.kind;
        let found = self.objects.get(&kind.group, &kind.plural, &route.namespace, &route.name);
        found
            .map(|object| (*object).clone())
            .ok_or_else(|| Status::not_found(&kind.group, &kind.plural, &route.name))
    }

    fn create(&mut self, route: &Route, body: &[u8], dry_run: bool) -> Result<Answer, Failure> {
        let target = Target::builtin(route.kind).expect("every built-in kind has a type");
        let uid = self.uid();
        let context = context(route, &uid);
        let decoded = decode(body, &target, FieldValidation::Warn)?;
        let mut object = decoded.object;
        let mut warnings = decoded.warnings;
        warnings.extend(trireme_schema::validate::warnings(target.group, target.kind, &object));
        begin_create(&mut object, &target, &context)?;
        let user = admin();
        let mut request = request(route, Operation::Create, &user, None, dry_run);
        request.object = Some(object);
        self.chain.admit(&mut request, &self.objects, &Everything)?;
        let mut object = request.object.take().expect("admission keeps the object");
        finish_create(&mut object, &target, &context)?;
        request.object = Some(object);
        let verdict = self.chain.validate(&request, &self.objects, &Everything)?;
        let object = request.object.take().expect("admission keeps the object");
        if self.objects.get(target.group, target.resource, &route.namespace, name(&object)).is_some() {
            return Err(Status::already_exists(target.group, target.resource, name(&object)));
        }
        warnings.extend(verdict.warnings.clone());
        if dry_run {
            return Ok(Answer { status: 201, body: object, warnings });
        }
        let body = self.store(route, object, verdict);
        Ok(Answer { status: 201, body, warnings })
    }

    fn patch(&mut self, route: &Route, body: &[u8], content: &str) -> Result<Answer, Failure> {
        let target = Target::builtin(route.kind).expect("every built-in kind has a type");
        let context = context(route, "");
        let old = self.find(route)?;
        let kind = match content {
            "application/strategic-merge-patch+json" => PatchType::Strategic,
            _ => PatchType::Merge,
        };
        let decoded = patch_object(&old, body, kind, &target, FieldValidation::Warn)?;
        let mut new = decoded.object;
        begin_update(&old, &mut new, &target, &context)?;
        let user = admin();
        let mut request = request(route, Operation::Update, &user, Some(&old), false);
        request.object = Some(new);
        self.chain.admit(&mut request, &self.objects, &Everything)?;
        let mut new = request.object.take().expect("admission keeps the object");
        finish_update(&old, &mut new, &target, &context)?;
        request.object = Some(new);
        let verdict = self.chain.validate(&request, &self.objects, &Everything)?;
        let new = request.object.take().expect("admission keeps the object");
        let mut warnings = decoded.warnings;
        warnings.extend(verdict.warnings.clone());
        let body = self.store(route, new, verdict);
        Ok(Answer { status: 200, body, warnings })
    }

    /// The object and what the verdict adds, each only at the version it was judged by.
    fn store(&mut self, route: &Route, object: Value, verdict: Verdict) -> Value {
        for write in verdict.writes {
            let stored = self.objects.get(&write.group, &write.resource, &write.namespace, &write.name);
            let stored = stored.expect("a further write is about an object that was read");
            assert_eq!(stored["metadata"]["resourceVersion"], json!(write.expected_resource_version));
            self.objects.put(&write.group, &write.resource, write.object);
        }
        let kind = route.kind;
        let name = name(&object).to_owned();
        self.objects.put(&kind.group, &kind.plural, object);
        let stored = self.objects.get(&kind.group, &kind.plural, &route.namespace, &name);
        (*stored.expect("just put")).clone()
    }

    fn uid(&mut self) -> String {
        self.made += 1;
        format!("00000000-0000-4000-8000-{:012}", self.made)
    }
}

fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or("")
}

fn admin() -> User {
    User::internal("golden-admin", &["system:masters", "system:authenticated"])
}

fn context<'a>(route: &'a Route, uid: &'a str) -> Context<'a> {
    Context {
        namespace: &route.namespace,
        name: &route.name,
        subresource: &route.subresource,
        manager: "golden",
        time: TIME,
        uid,
        suffix: "abcde",
    }
}

fn request<'a>(
    route: &'a Route,
    operation: Operation,
    user: &'a User,
    old: Option<&'a Value>,
    dry_run: bool,
) -> Request<'a> {
    Request {
        operation,
        group: &route.kind.group,
        version: &route.kind.version,
        kind: &route.kind.kind,
        resource: &route.kind.plural,
        subresource: &route.subresource,
        namespace: &route.namespace,
        name: &route.name,
        namespaced: route.kind.namespaced,
        user,
        object: None,
        old,
        options: &Value::Null,
        dry_run,
        now: TIME,
    }
}

fn route(path: &str) -> Option<Route> {
    let mut parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let group = if parts.first() == Some(&"apis") { parts.remove(1) } else { "" };
    let version = parts.get(1)?.to_owned();
    let mut rest = parts.get(2..)?.to_vec();
    let mut namespace = String::new();
    if rest.first() == Some(&"namespaces") && rest.len() > 2 && rest[2] != "status" {
        namespace = rest[1].to_owned();
        rest.drain(..2);
    }
    let part = |at: usize| rest.get(at).unwrap_or(&"").to_string();
    Some(Route {
        kind: kinds::by_resource(group, version, rest.first()?)?,
        namespace,
        name: part(1),
        subresource: part(2),
    })
}
