//! A server of one: the request pipeline over a map, with the admission and allocation that every case expects.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use trireme_schema::Status;
use trireme_schema::kinds::{self, Kind};
use trireme_schema::request::{
    Context, FieldValidation, PatchType, Target, apply_object, begin_create, begin_update, check_uid, decode,
    finish_create, finish_update, keep_allocated, missing, patch_object, strategy,
};
use trireme_schema::status::Failure;

/// The name that stands for a case's namespace.
pub(crate) const NAMESPACE: &str = "gabcdefghi";
const TIME: &str = "2026-01-02T03:04:05Z";

/// An answer.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
    pub(crate) warnings: Vec<String>,
}

/// Objects by path.
#[derive(Default)]
pub(crate) struct World {
    objects: BTreeMap<String, Value>,
    revision: u64,
    uids: u64,
    saved: BTreeMap<String, Value>,
}

struct Route {
    kind: &'static Kind,
    namespace: String,
    name: String,
    subresource: String,
}

fn route(path: &str) -> Option<Route> {
    let mut parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let (group, version) = match *parts.first()? {
        "api" => ("", parts.get(1)?.to_owned()),
        "apis" if parts.len() > 1 => {
            let group = parts.remove(1);
            (group, parts.get(1)?.to_owned())
        }
        _ => return None,
    };
    let mut rest = parts.get(2..)?.to_vec();
    let mut namespace = String::new();
    if rest.first() == Some(&"namespaces") && rest.len() > 2 && !matches!(rest[2], "status" | "finalize") {
        namespace = rest[1].to_owned();
        rest.drain(..2);
    }
    Some(Route {
        kind: kinds::by_resource(group, version, rest.first()?)?,
        namespace,
        name: rest.get(1).unwrap_or(&"").to_string(),
        subresource: rest.get(2).unwrap_or(&"").to_string(),
    })
}

impl World {
    /// Carries out a step: an answer, nothing to compare, or why it cannot be evaluated here.
    pub(crate) fn step(&mut self, step: &Value) -> Result<Option<Answer>, String> {
        for name in ["as", "watchSeconds", "watchId", "collect", "bodyFill", "headers", "accept", "until"] {
            if step.get(name).is_some() {
                return Err(format!("step with {name}"));
            }
        }
        let Some(method) = step["method"].as_str() else { return Ok(None) };
        let mut step = step.clone();
        self.fill(&mut step);
        let path = step["path"].as_str().unwrap_or("");
        let route = route(path).ok_or_else(|| format!("no built-in kind at {path}"))?;
        if !matches!(route.subresource.as_str(), "" | "status") {
            return Err(format!("subresource {}", route.subresource));
        }
        let query = query(&step["query"]);
        if step["check"].as_str().is_some_and(|c| c != "status") {
            return Err("partial check".to_owned());
        }
        let dry_run = query.get("dryRun").map(String::as_str);
        if dry_run.is_some_and(|d| d != "All") {
            return Err("bad dryRun".to_owned());
        }
        let before = dry_run.map(|_| self.objects.clone());
        let answer = match method {
            "GET" => self.get(&route)?,
            "DELETE" => {
                self.delete(&route);
                return Ok(None);
            }
            "POST" | "PUT" | "PATCH" => self.write(method, &step, &route, &query)?,
            other => return Err(format!("method {other}")),
        };
        let mut answer = answer;
        if let Some(before) = before {
            self.objects = before;
            if answer.status == 201
                && let Some(metadata) = answer.body["metadata"].as_object_mut()
            {
                metadata.remove("resourceVersion");
            }
        }
        if let Some(save) = step["save"].as_object() {
            for (name, path) in save {
                let steps = path.as_array().cloned().unwrap_or_default();
                let value = steps.iter().fold(answer.body.clone(), |v, step| match step {
                    Value::String(key) => v.get(key).cloned().unwrap_or(Value::Null),
                    Value::Number(i) => v
                        .get(usize::try_from(i.as_u64().unwrap_or(0)).unwrap_or(0))
                        .cloned()
                        .unwrap_or(Value::Null),
                    _ => Value::Null,
                });
                self.saved.insert(name.clone(), value);
            }
        }
        Ok(Some(answer))
    }

    /// Puts saved values in place of `${name}`.
    fn fill(&self, value: &mut Value) {
        match value {
            Value::String(text) => {
                let whole =
                    text.strip_prefix("${").and_then(|t| t.strip_suffix('}')).and_then(|n| self.saved.get(n));
                if let Some(saved) = whole {
                    *value = saved.clone();
                    return;
                }
                for (name, saved) in &self.saved {
                    if let Some(saved) = saved.as_str() {
                        *text = text.replace(&format!("${{{name}}}"), saved);
                    }
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|v| self.fill(v)),
            Value::Object(map) => map.values_mut().for_each(|v| self.fill(v)),
            _ => {}
        }
    }

    fn key(route: &Route, name: &str) -> String {
        format!("{}/{}/{}/{name}", route.kind.group, route.kind.plural, route.namespace)
    }

    fn get(&self, route: &Route) -> Result<Answer, String> {
        if route.name.is_empty() {
            return Err("list".to_owned());
        }
        Ok(match self.objects.get(&Self::key(route, &route.name)) {
            Some(object) if object["apiVersion"] == route.kind.api_version() => {
                Answer { status: 200, body: object.clone(), warnings: Vec::new() }
            }
            Some(_) => return Err("read at another version".to_owned()),
            None if route.kind.kind == "Event" => return Err("read at another version".to_owned()),
            None => failed(&Status::not_found(&route.kind.group, &route.kind.plural, &route.name)),
        })
    }

    /// An object with finalizers stays and is marked.
    fn delete(&mut self, route: &Route) {
        let key = Self::key(route, &route.name);
        let held = self.objects.get(&key).filter(|o| o["metadata"].get("finalizers").is_some()).cloned();
        match held {
            None => {
                self.objects.remove(&key);
            }
            Some(mut object) => {
                object["metadata"]["deletionTimestamp"] = TIME.into();
                object["metadata"]["deletionGracePeriodSeconds"] = 0.into();
                self.store(key, object, None);
            }
        }
    }

    fn write(
        &mut self,
        method: &str,
        step: &Value,
        route: &Route,
        query: &BTreeMap<String, String>,
    ) -> Result<Answer, String> {
        let known = ["fieldManager", "force", "fieldValidation", "dryRun"];
        if let Some(odd) = query.keys().find(|k| !known.contains(&k.as_str())) {
            return Err(format!("parameter {odd}"));
        }
        if route.namespace.ends_with("-none") {
            return Ok(failed(&Status::not_found("", "namespaces", &route.namespace)));
        }
        let target = Target::builtin(route.kind).ok_or("no type")?;
        let validation = match query.get("fieldValidation").map(String::as_str) {
            None | Some("Warn" | "") => FieldValidation::Warn,
            Some("Strict") => FieldValidation::Strict,
            Some("Ignore") => FieldValidation::Ignore,
            Some(_) => return Err("bad fieldValidation".to_owned()),
        };
        let body = self.body(step)?;
        self.uids += 1;
        let uid = format!("00000000-0000-4000-8000-{:012}", self.uids);
        let suffix = format!("s{:04}", self.uids);
        let manager = query.get("fieldManager").cloned().unwrap_or_else(|| "golden".to_owned());
        let context = Context {
            namespace: &route.namespace,
            name: &route.name,
            subresource: &route.subresource,
            manager: &manager,
            time: TIME,
            uid: &uid,
            suffix: &suffix,
        };
        let content = step["contentType"].as_str().unwrap_or("application/json");
        let result = match method {
            "POST" if content.starts_with("application/json") => {
                self.create(&body, &target, route, &context, validation)
            }
            "PUT" if content.starts_with("application/json") => {
                self.update(&body, &target, route, &context, validation)
            }
            "PATCH" => self.patch(&body, content, &target, route, &context, validation, query)?,
            _ => return Err(format!("content type {content}")),
        };
        Ok(result.unwrap_or_else(|failure| failed(&failure)))
    }

    fn body(&self, step: &Value) -> Result<Vec<u8>, String> {
        if let Some(edit) = step["edit"].as_object() {
            return self.edited(edit, step);
        }
        Ok(match &step["body"] {
            Value::String(text) => text.clone().into_bytes(),
            Value::Null => Vec::new(),
            value => value.to_string().into_bytes(),
        })
    }

    /// A saved object with some paths set or removed.
    fn edited(&self, edit: &serde_json::Map<String, Value>, step: &Value) -> Result<Vec<u8>, String> {
        let saved = edit.get("from").and_then(Value::as_str).and_then(|n| self.saved.get(n));
        let mut object = saved.cloned().ok_or_else(|| format!("edit {step}"))?;
        for change in edit.get("set").and_then(Value::as_array).into_iter().flatten() {
            let remove = change[2] == json!(true);
            set_path(&mut object, change[0].as_str().unwrap_or(""), change[1].clone(), remove);
        }
        Ok(object.to_string().into_bytes())
    }

    fn store(&mut self, key: String, mut object: Value, old: Option<&Value>) -> Value {
        let unchanged = old.is_some_and(|old| {
            let mut object = object.clone();
            object["metadata"]["resourceVersion"] = old["metadata"]["resourceVersion"].clone();
            object == *old
        });
        if unchanged {
            return old.cloned().unwrap_or(object);
        }
        self.revision += 1;
        object["metadata"]["resourceVersion"] = (1000 + self.revision).to_string().into();
        self.objects.insert(key, object.clone());
        object
    }

    fn create(
        &mut self,
        body: &[u8],
        target: &Target<'_>,
        route: &Route,
        context: &Context<'_>,
        validation: FieldValidation,
    ) -> Result<Answer, Failure> {
        let decoded = decode(body, target, validation)?;
        self.create_object(decoded.object, decoded.warnings, target, route, context)
    }

    fn create_object(
        &mut self,
        mut object: Value,
        warnings: Vec<String>,
        target: &Target<'_>,
        route: &Route,
        context: &Context<'_>,
    ) -> Result<Answer, Failure> {
        let mut warnings = warnings;
        warnings.extend(trireme_schema::validate::warnings(target.group, target.kind, &object));
        begin_create(&mut object, target, context)?;
        admit_create(&mut object, target);
        finish_create(&mut object, target, context)?;
        allocate(&mut object, target);
        let key = Self::key(route, object["metadata"]["name"].as_str().unwrap_or(""));
        if self.objects.contains_key(&key) {
            let name = object["metadata"]["name"].as_str().unwrap_or("");
            return Err(Status::already_exists(target.group, target.resource, name));
        }
        let body = self.store(key, object, None);
        Ok(Answer { status: 201, body, warnings })
    }

    fn update(
        &mut self,
        body: &[u8],
        target: &Target<'_>,
        route: &Route,
        context: &Context<'_>,
        validation: FieldValidation,
    ) -> Result<Answer, Failure> {
        let decoded = decode(body, target, validation)?;
        let key = Self::key(route, &route.name);
        let Some(old) = self.objects.get(&key).cloned() else {
            if strategy(target.group, target.kind).create_on_update {
                return self.create_object(decoded.object, decoded.warnings, target, route, context);
            }
            return Err(missing(&decoded.object, target, context));
        };
        check_uid(&old, &decoded.object, target, context)?;
        self.replace(key, &old, decoded.object, decoded.warnings, target, context)
    }

    fn replace(
        &mut self,
        key: String,
        old: &Value,
        mut new: Value,
        warnings: Vec<String>,
        target: &Target<'_>,
        context: &Context<'_>,
    ) -> Result<Answer, Failure> {
        begin_update(old, &mut new, target, context)?;
        trireme_schema::request::check_version(old, &new, target)?;
        admit_update(old, &mut new, target);
        finish_update(old, &mut new, target, context)?;
        let mut warnings = warnings;
        if old["spec"] != new["spec"] && target.kind == "CronJob" {
            warnings.extend(trireme_schema::validate::warnings(target.group, target.kind, &new));
        }
        let body = self.store(key, new, Some(old));
        Ok(Answer { status: 200, body, warnings })
    }

    #[allow(clippy::too_many_arguments)]
    fn patch(
        &mut self,
        body: &[u8],
        content: &str,
        target: &Target<'_>,
        route: &Route,
        context: &Context<'_>,
        validation: FieldValidation,
        query: &BTreeMap<String, String>,
    ) -> Result<Result<Answer, Failure>, String> {
        let key = Self::key(route, &route.name);
        let old = self.objects.get(&key).cloned();
        let patch_type = match content {
            "application/json-patch+json" => PatchType::Json,
            "application/merge-patch+json" => PatchType::Merge,
            "application/strategic-merge-patch+json" => PatchType::Strategic,
            "application/apply-patch+yaml" => {
                let config: Value = serde_json::from_slice(body).map_err(|_| "YAML body".to_owned())?;
                if !query.contains_key("fieldManager") {
                    return Err("parameters".to_owned());
                }
                let force = query.get("force").is_some_and(|f| f == "true");
                return Ok(self.apply(&config, old, key, target, route, context, force, validation));
            }
            other => return Err(format!("content type {other}")),
        };
        if query.contains_key("force") {
            return Err("parameters".to_owned());
        }
        let Some(old) = old else {
            return Ok(Err(Status::not_found(target.group, target.resource, &route.name)));
        };
        let run = |world: &mut World| {
            let decoded = patch_object(&old, body, patch_type, target, validation)?;
            world.replace(key, &old, decoded.object, decoded.warnings, target, context)
        };
        Ok(run(self))
    }

    #[allow(clippy::too_many_arguments)]
    fn apply(
        &mut self,
        config: &Value,
        old: Option<Value>,
        key: String,
        target: &Target<'_>,
        route: &Route,
        context: &Context<'_>,
        force: bool,
        validation: FieldValidation,
    ) -> Result<Answer, Failure> {
        let decoded = apply_object(old.as_ref(), config, target, context, force, validation)?;
        match old {
            Some(old) => self.replace_applied(key, &old, decoded.object, decoded.warnings, target, context),
            None => {
                let mut object = decoded.object;
                if object["metadata"]["name"].as_str().unwrap_or("").is_empty() {
                    let url = context.name;
                    return Err(Status::bad_request(format!(
                        "the name of the object ({url} based on URL) was undeterminable: name must be provided"
                    )));
                }
                trireme_schema::request::place(&mut object, target, context)?;
                admit_create(&mut object, target);
                finish_create(&mut object, target, context)?;
                allocate(&mut object, target);
                let _ = route;
                let body = self.store(key, object, None);
                Ok(Answer { status: 201, body, warnings: decoded.warnings })
            }
        }
    }

    fn replace_applied(
        &mut self,
        key: String,
        old: &Value,
        mut new: Value,
        warnings: Vec<String>,
        target: &Target<'_>,
        context: &Context<'_>,
    ) -> Result<Answer, Failure> {
        trireme_schema::request::check_name(&new, context)?;
        trireme_schema::request::place(&mut new, target, context)?;
        trireme_schema::request::check_version(old, &new, target)?;
        admit_update(old, &mut new, target);
        finish_update(old, &mut new, target, context)?;
        let body = self.store(key, new, Some(old));
        Ok(Answer { status: 200, body, warnings })
    }
}

fn failed(failure: &Status) -> Answer {
    Answer { status: failure.code, body: failure.to_value(), warnings: Vec::new() }
}

fn query(value: &Value) -> BTreeMap<String, String> {
    match value {
        Value::Object(map) => map
            .iter()
            .map(|(k, v)| (k.clone(), v.as_str().map_or_else(|| v.to_string(), str::to_owned)))
            .collect(),
        Value::String(text) => text
            .split('&')
            .filter_map(|pair| pair.split_once('=').map(|(k, v)| (k.to_owned(), v.to_owned())))
            .collect(),
        _ => BTreeMap::new(),
    }
}

/// ServiceAccount, Priority, DefaultTolerationSeconds, StorageObjectInUseProtection, TaintNodesByCondition.
fn admit_create(object: &mut Value, target: &Target<'_>) {
    match (target.group, target.kind) {
        ("", "Pod") => admit_pod(object),
        ("", "PersistentVolume") => push(object, "kubernetes.io/pv-protection"),
        ("", "PersistentVolumeClaim") => push(object, "kubernetes.io/pvc-protection"),
        ("", "Node") => {
            let taint = json!({"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"});
            let mut taints = object["spec"]["taints"].as_array().cloned().unwrap_or_default();
            if !taints.contains(&taint) {
                taints.push(taint);
            }
            object["spec"]["taints"] = taints.into();
        }
        ("certificates.k8s.io", _) => {
            object["spec"]["username"] = "golden-admin".into();
            object["spec"]["groups"] = json!(["system:masters", "system:authenticated"]);
            object["spec"]["uid"] = "uid-admin".into();
        }
        ("", "Service") => service_families(object),
        _ => {}
    }
}

fn admit_update(old: &Value, new: &mut Value, target: &Target<'_>) {
    if (target.group, target.kind) == ("", "Service") {
        keep_allocated(old, new);
        service_families(new);
        allocate(new, target);
    }
    if (target.group, target.kind) == ("", "Pod") && new["spec"].is_object() {
        add_tolerations(&mut new["spec"]);
    }
}

fn push(object: &mut Value, finalizer: &str) {
    let mut list = object["metadata"]["finalizers"].as_array().cloned().unwrap_or_default();
    if !list.contains(&json!(finalizer)) {
        list.push(finalizer.into());
    }
    object["metadata"]["finalizers"] = list.into();
}

fn admit_pod(pod: &mut Value) {
    let spec = &mut pod["spec"];
    if !spec.is_object() {
        return;
    }
    if spec.get("serviceAccountName").is_none() {
        spec["serviceAccountName"] = "default".into();
        spec["serviceAccount"] = "default".into();
    }
    if spec.get("automountServiceAccountToken") != Some(&json!(false)) {
        mount_token(spec);
    }
    add_tolerations(spec);
    if spec.get("priority").is_none() {
        spec["priority"] = 0.into();
    }
    if spec.get("preemptionPolicy").is_none() {
        spec["preemptionPolicy"] = "PreemptLowerPriority".into();
    }
}

fn add_tolerations(spec: &mut Value) {
    let mut tolerations = spec["tolerations"].as_array().cloned().unwrap_or_default();
    for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
        let covered = tolerations.iter().any(|t| {
            let effect = t.get("effect").is_none_or(|e| e == "NoExecute");
            let named = t.get("key").is_none_or(|k| k == key);
            effect && named
        });
        if !covered {
            tolerations.push(
                json!({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}),
            );
        }
    }
    spec["tolerations"] = tolerations.into();
}

fn mount_token(spec: &mut Value) {
    const PLACE: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
    let mount = json!({"name": "kube-api-access-abcde", "mountPath": PLACE, "readOnly": true});
    let mut mounted = false;
    for list in ["initContainers", "containers"] {
        for container in spec[list].as_array_mut().into_iter().flatten() {
            let mounts = container["volumeMounts"].as_array().cloned().unwrap_or_default();
            if mounts.iter().any(|m| m["mountPath"] == PLACE) {
                continue;
            }
            let mut mounts = mounts;
            mounts.push(mount.clone());
            container["volumeMounts"] = mounts.into();
            mounted = true;
        }
    }
    for list in ["initContainers", "containers"] {
        if spec[list].is_null() {
            spec.as_object_mut().map(|m| if list == "initContainers" { m.remove(list) } else { None });
        }
    }
    if !mounted {
        return;
    }
    let volume = json!({"name": "kube-api-access-abcde", "projected": {"defaultMode": 420, "sources": [
        {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
        {"configMap": {"items": [{"key": "ca.crt", "path": "ca.crt"}], "name": "kube-root-ca.crt"}},
        {"downwardAPI": {"items": [{"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}, "path": "namespace"}]}}]}});
    let mut volumes = spec["volumes"].as_array().cloned().unwrap_or_default();
    volumes.push(volume);
    spec["volumes"] = volumes.into();
}

/// Address families of a cluster with IPv4 alone.
fn service_families(service: &mut Value) {
    let spec = &mut service["spec"];
    if !spec.is_object() || spec["type"] == "ExternalName" {
        return;
    }
    if spec.get("clusterIP").is_some() && spec.get("clusterIPs").is_none() {
        spec["clusterIPs"] = json!([spec["clusterIP"]]);
    }
}

fn allocate(object: &mut Value, target: &Target<'_>) {
    if (target.group, target.kind) != ("", "Service") {
        return;
    }
    let spec = &mut object["spec"];
    let kind = spec["type"].as_str().unwrap_or("").to_owned();
    if kind == "ExternalName" {
        return;
    }
    if spec.get("clusterIP").is_none() {
        spec["clusterIP"] = "10.96.7.7".into();
        spec["clusterIPs"] = json!(["10.96.7.7"]);
    }
    for (name, value) in [("ipFamilies", json!(["IPv4"])), ("ipFamilyPolicy", json!("SingleStack"))] {
        if spec.get(name).is_none() {
            spec[name] = value;
        }
    }
    let ports = kind == "NodePort"
        || (kind == "LoadBalancer" && spec["allocateLoadBalancerNodePorts"] != json!(false));
    if ports {
        for (i, port) in spec["ports"].as_array_mut().into_iter().flatten().enumerate() {
            if port.get("nodePort").is_none() {
                port["nodePort"] = (30_100 + i).into();
            }
        }
    }
    if kind == "LoadBalancer"
        && spec["externalTrafficPolicy"] == "Local"
        && spec.get("healthCheckNodePort").is_none()
    {
        spec["healthCheckNodePort"] = 31_000.into();
    }
}

/// Sets or removes `a.b[0].c`; `~` stands for a dot inside a name.
fn set_path(object: &mut Value, path: &str, value: Value, remove: bool) {
    let mut steps: Vec<Value> = Vec::new();
    for part in path.split('.') {
        let (name, rest) = part.split_once('[').unwrap_or((part, ""));
        if !name.is_empty() {
            steps.push(name.replace('~', ".").into());
        }
        steps.extend(rest.split(['[', ']']).filter_map(|i| i.parse::<usize>().ok()).map(Value::from));
    }
    let Some((last, parents)) = steps.split_last() else { return };
    let mut at = object;
    for (i, step) in parents.iter().enumerate() {
        let next_is_index = steps[i + 1].is_number();
        at = match step {
            Value::String(name) => &mut at[name.as_str()],
            index => {
                let index = usize::try_from(index.as_u64().unwrap_or(0)).unwrap_or(0);
                if at.is_null() {
                    *at = json!([]);
                }
                if let Value::Array(items) = at {
                    while items.len() <= index {
                        items.push(Value::Null);
                    }
                }
                &mut at[index]
            }
        };
        if at.is_null() {
            *at = if next_is_index { json!([]) } else { json!({}) };
        }
    }
    match (last, at) {
        (Value::String(name), Value::Object(map)) => {
            if remove {
                map.remove(name);
            } else {
                map.insert(name.clone(), value);
            }
        }
        (index, Value::Array(items)) => {
            let index = usize::try_from(index.as_u64().unwrap_or(0)).unwrap_or(0);
            if remove {
                items.remove(index);
            } else if index < items.len() {
                items[index] = value;
            } else {
                items.push(value);
            }
        }
        _ => {}
    }
}
