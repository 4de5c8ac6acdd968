//! A server of one: the request pipeline over a map, with the admission and allocation that every case expects.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use trireme_schema::Status;
use trireme_schema::custom::{CustomKind, read_stored, status, to_stored};
use trireme_schema::kinds::{self, Kind};
use trireme_schema::request::{
    Context, FieldValidation, PatchType, ScaleRules, Target, apply_object, begin_create, begin_update,
    check_uid, decode, finish_create, finish_update, missing, patch_object, strategy,
};
use trireme_schema::status::Failure;

use super::admit::{admit_create, admit_update, allocate};

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
    /// The versions of each custom kind.
    customs: Vec<&'static [CustomKind]>,
}

struct Route {
    kind: &'static Kind,
    /// All versions of a custom kind, and the one asked for.
    custom: Option<(&'static [CustomKind], &'static CustomKind)>,
    namespace: String,
    name: String,
    subresource: String,
}

fn route(path: &str, customs: &[&'static [CustomKind]]) -> Option<Route> {
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
    let plural = rest.first()?;
    let mine = |k: &&CustomKind| {
        k.served
            && (k.kind.group.as_str(), k.kind.version.as_str(), k.kind.plural.as_str())
                == (group, version, *plural)
    };
    let custom = customs.iter().find_map(|all| Some((*all, all.iter().find(mine)?)));
    let kind = match custom {
        Some((_, custom)) => &custom.kind,
        None => kinds::by_resource(group, version, plural)?,
    };
    Some(Route {
        kind,
        custom,
        namespace,
        name: rest.get(1).unwrap_or(&"").to_string(),
        subresource: rest.get(2).unwrap_or(&"").to_string(),
    })
}

impl Route {
    fn target(&self) -> Option<Target<'static>> {
        match self.custom {
            Some((_, custom)) => Some(custom.target()),
            None => Target::builtin(self.kind),
        }
    }

    fn scale(&self) -> Option<ScaleRules> {
        match self.custom {
            Some((_, custom)) => custom.scale.clone(),
            None => ScaleRules::builtin(&self.kind.group, &self.kind.version, &self.kind.kind),
        }
    }
}

impl World {
    /// Carries out a step: an answer, nothing to compare, or why it cannot be evaluated here.
    pub(crate) fn step(&mut self, step: &Value) -> Result<Option<Answer>, String> {
        for name in ["as", "watchSeconds", "watchId", "collect", "bodyFill", "headers", "accept"] {
            if step.get(name).is_some() {
                return Err(format!("step with {name}"));
            }
        }
        let Some(method) = step["method"].as_str() else { return Ok(None) };
        let mut step = step.clone();
        self.fill(&mut step);
        let path = step["path"].as_str().unwrap_or("");
        let route = route(path, &self.customs).ok_or_else(|| format!("no kind at {path}"))?;
        match route.subresource.as_str() {
            "" | "status" | "scale" => {}
            other => return Err(format!("subresource {other}")),
        }
        // What is waited for has happened: everything settles at once here.
        if step.get("until").is_some() {
            return if step["check"] == "status" { Ok(None) } else { Err("until".to_owned()) };
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
            _ if !route.subresource.is_empty() && route.kind.subresource(&route.subresource).is_none() => {
                if route.custom.is_none() {
                    return Ok(Some(failed(&Status::unknown_path())));
                }
                failed(&Status::not_found(&route.kind.group, &route.kind.plural, &route.name))
            }
            "GET" => self.get(&route)?,
            "DELETE" => {
                self.delete(&route);
                return Ok(None);
            }
            "POST" | "PUT" | "PATCH" => self.write(method, &step, &route, &query)?,
            other => return Err(format!("method {other}")),
        };
        let mut answer = answer;
        if let Some(text) = route.custom.and_then(|(_, custom)| custom.deprecation.clone()) {
            answer.warnings.insert(0, text);
        }
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
        let stored = self.objects.get(&Self::key(route, &route.name));
        if let Some(object) = stored.filter(|_| route.custom.is_some() || route.subresource == "scale") {
            let answer = read(route, object.clone()).and_then(|object| match route.scale() {
                Some(rules) if route.subresource == "scale" => rules.get(&object),
                _ => Ok(object),
            });
            return Ok(match answer {
                Ok(body) => Answer { status: 200, body, warnings: Vec::new() },
                Err(failure) => failed(&failure),
            });
        }
        Ok(match stored {
            None if route.subresource == "scale" => return Err("a scale of nothing".to_owned()),
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
        if route.kind.kind == "CustomResourceDefinition" {
            self.objects.remove(&key);
            self.settle();
            return;
        }
        let held = self.objects.get(&key).filter(|o| o["metadata"].get("finalizers").is_some()).cloned();
        match held {
            None => {
                self.objects.remove(&key);
            }
            Some(mut object) => {
                object["metadata"]["deletionTimestamp"] = TIME.into();
                object["metadata"]["deletionGracePeriodSeconds"] = 0.into();
                if let Some(generation) = object["metadata"]["generation"].as_i64() {
                    object["metadata"]["generation"] = (generation + 1).into();
                }
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
        let target = route.target().ok_or("no type")?;
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
        if route.subresource == "scale" {
            return self.write_scale(method, &body, content, &target, route, &context, validation);
        }
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
        let body = self.keep(key, object, None, route)?;
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
        let Some(old) = self.live(&key, route)? else {
            if strategy(target.group, target.kind).create_on_update {
                return self.create_object(decoded.object, decoded.warnings, target, route, context);
            }
            return Err(missing(&decoded.object, target, context));
        };
        check_uid(&old, &decoded.object, target, context)?;
        self.replace(key, &old, decoded.object, decoded.warnings, target, route, context)
    }

    #[allow(clippy::too_many_arguments)]
    fn replace(
        &mut self,
        key: String,
        old: &Value,
        mut new: Value,
        warnings: Vec<String>,
        target: &Target<'_>,
        route: &Route,
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
        let body = self.keep(key, new, Some(old), route)?;
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
        let old = match self.live(&key, route) {
            Ok(old) => old,
            Err(failure) => return Ok(Err(failure)),
        };
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
            world.replace(key, &old, decoded.object, decoded.warnings, target, route, context)
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
            Some(old) => {
                self.replace_applied(key, &old, decoded.object, decoded.warnings, target, route, context)
            }
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
                let body = self.keep(key, object, None, route)?;
                Ok(Answer { status: 201, body, warnings: decoded.warnings })
            }
        }
    }

    #[allow(clippy::too_many_arguments)]
    fn replace_applied(
        &mut self,
        key: String,
        old: &Value,
        mut new: Value,
        warnings: Vec<String>,
        target: &Target<'_>,
        route: &Route,
        context: &Context<'_>,
    ) -> Result<Answer, Failure> {
        trireme_schema::request::check_name(&new, context)?;
        trireme_schema::request::place(&mut new, target, context)?;
        trireme_schema::request::check_version(old, &new, target)?;
        admit_update(old, &mut new, target);
        finish_update(old, &mut new, target, context)?;
        let body = self.keep(key, new, Some(old), route)?;
        Ok(Answer { status: 200, body, warnings })
    }

    /// The stored object as the route's version shows it.
    fn live(&self, key: &str, route: &Route) -> Result<Option<Value>, Failure> {
        self.objects.get(key).cloned().map(|stored| read(route, stored)).transpose()
    }

    /// Stores an object and reads it back; a definition settles all names.
    fn keep(
        &mut self,
        key: String,
        object: Value,
        old: Option<&Value>,
        route: &Route,
    ) -> Result<Value, Failure> {
        let Some((versions, _)) = route.custom else {
            let body = self.store(key, object, old);
            if route.kind.kind == "CustomResourceDefinition" {
                self.settle();
            }
            return Ok(body);
        };
        let stored = to_stored(versions, object)?;
        let before = self.objects.get(&key).cloned();
        let stored = self.store(key, stored, before.as_ref());
        read(route, stored)
    }

    /// What the controllers of definitions do, at once.
    fn settle(&mut self) {
        let keys: Vec<String> =
            self.objects.keys().filter(|k| k.contains("/customresourcedefinitions/")).cloned().collect();
        for key in &keys {
            let others: Vec<&Value> = keys.iter().filter(|k| *k != key).map(|k| &self.objects[k]).collect();
            let old = self.objects[key].clone();
            let Some(mut new) = status::settle(&old, &others, TIME) else { continue };
            let kind = kinds::by_kind("apiextensions.k8s.io", "v1", "CustomResourceDefinition");
            let target = kind.and_then(Target::builtin).expect("definitions are built in");
            let name = old["metadata"]["name"].as_str().unwrap_or("").to_owned();
            let context = Context {
                name: &name,
                subresource: "status",
                manager: "kube-apiserver",
                time: TIME,
                ..Context::default()
            };
            begin_update(&old, &mut new, &target, &context).expect("the name stayed");
            finish_update(&old, &mut new, &target, &context).expect("a settled status is valid");
            self.store(key.clone(), new, Some(&old));
        }
        let served = |definition: &Value| status::is_true(definition, "Established");
        let compiled = keys.iter().map(|k| &self.objects[k]).filter(|d| served(d)).map(|definition| {
            let versions = CustomKind::compile(definition).expect("a validated definition compiles");
            &*Box::leak(versions.into_boxed_slice())
        });
        self.customs = compiled.collect();
    }

    /// A write through `scale`: the parent is updated with what the Scale says.
    #[allow(clippy::too_many_arguments)]
    fn write_scale(
        &mut self,
        method: &str,
        body: &[u8],
        content: &str,
        parent: &Target<'_>,
        route: &Route,
        context: &Context<'_>,
        validation: FieldValidation,
    ) -> Result<Answer, String> {
        let rules = route.scale().ok_or("no scale")?;
        let scale = ScaleRules::target(parent).ok_or("no type")?;
        let key = Self::key(route, &route.name);
        let patch_type = match (method, content) {
            ("PUT", _) => None,
            ("PATCH", "application/json-patch+json") => Some(PatchType::Json),
            ("PATCH", "application/merge-patch+json") => Some(PatchType::Merge),
            ("PATCH", "application/strategic-merge-patch+json") => Some(PatchType::Strategic),
            _ => return Err(format!("{method} of a scale with {content}")),
        };
        let mut run = || {
            let Some(old) = self.live(&key, route)? else {
                return Err(Status::not_found(parent.group, parent.resource, &route.name));
            };
            let before = rules.current(&old)?;
            let decoded = match patch_type {
                None => decode(body, &scale, validation)?,
                Some(patch_type) => patch_object(&before, body, patch_type, &scale, validation)?,
            };
            let mut asked = decoded.object;
            check_uid(&old, &asked, parent, context)?;
            begin_update(&before, &mut asked, &scale, context)?;
            let mut new = rules.apply(&old, &asked, context)?;
            trireme_schema::request::check_version(&old, &new, parent)?;
            finish_update(&old, &mut new, parent, context)?;
            let kept = self.keep(key.clone(), new, Some(&old), route)?;
            Ok(Answer { status: 200, body: rules.get(&kept)?, warnings: decoded.warnings })
        };
        Ok(run().unwrap_or_else(|failure| failed(&failure)))
    }
}

/// A stored object as the route's version shows it.
fn read(route: &Route, stored: Value) -> Result<Value, Failure> {
    match route.custom {
        Some((versions, custom)) => read_stored(versions, custom, stored),
        None => Ok(stored),
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
