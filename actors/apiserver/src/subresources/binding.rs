//! binding: a pod gets its node.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};
use trireme_mvcc::{Key, Revision};
use trireme_schema::request::{WriteOptions, check_options};
use trireme_schema::status::{Failure, Status};
use trireme_schema::view::{Edit, View};

use super::{decode, success, target};
use crate::failures::WriteError;
use crate::outcome::Outcome;
use crate::records::{Commit, RecordsError, encode};
use crate::scope::Scope;
use crate::server::Server;
use crate::verbs::{Writing, repeats};

/// Binds a pod by a Binding posted to the namespace's `bindings`.
pub(crate) async fn bind_from_collection(
    server: &Arc<Server>,
    scope: &Scope,
    bytes: &[u8],
) -> Result<Outcome, Failure> {
    let pods = server.catalogue.load().get("", "v1", "pods").cloned();
    let pods = pods.ok_or_else(|| Status::internal("pods are not served"))?;
    let target = target("", "v1", "Binding")?;
    let name = decode(scope, &target, bytes)?.object.at("metadata").text("name").to_owned();
    let mut scope = Scope { kind: pods, ..scope.clone() };
    scope.info.name = name;
    scope.info.subresource = "binding".to_owned();
    bind(server, &scope, bytes).await
}

/// Binds the scope's pod.
pub(super) async fn bind(server: &Arc<Server>, scope: &Scope, bytes: &[u8]) -> Result<Outcome, Failure> {
    let dry_run = scope.query.all("dryRun");
    let options = WriteOptions {
        field_manager: scope.query.text("fieldManager"),
        dry_run: &dry_run,
        field_validation: scope.query.text("fieldValidation"),
        ..WriteOptions::default()
    };
    check_options("CreateOptions", &options)?;
    let target = target("", "v1", "Binding")?;
    let decoded = decode(scope, &target, bytes)?;
    let binding = decoded.object;
    let metadata = binding.at("metadata");
    let namespace = metadata.text("namespace");
    if !namespace.is_empty() && namespace != scope.namespace() {
        return Err(Status::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    if !metadata.text("name").is_empty() && metadata.text("name") != scope.info.name {
        return Err(Status::bad_request("name in URL does not match name in Binding object"));
    }
    let kind = binding.at("target").text("kind");
    if !matches!(kind, "" | "Node") {
        let why =
            format!("target.kind: Unsupported value: {kind:?}: supported values: \"Node\", \"<empty>\"");
        return Err(Status::plain(500, why));
    }
    if binding.at("target").text("name").is_empty() {
        return Err(Status::plain(500, "target.name: Required value"));
    }
    bind_decoded(server, scope, &binding).await?;
    Ok(Outcome::other(201, success(201)).warn(decoded.warnings))
}

async fn bind_decoded(server: &Arc<Server>, scope: &Scope, binding: &Value) -> Result<(), Failure> {
    let mut settled = false;
    let mut attempt = 0;
    loop {
        match attempt_bind(server, scope, binding).await {
            Ok(()) => return Ok(()),
            Err(WriteError::Failed(failure)) if !settled && matches!(failure.code, 404 | 409) => {
                server.settle().await?;
                settled = true;
            }
            Err(error) if repeats(attempt, &error) => attempt += 1,
            Err(error) => return Err(error.into_failure()),
        }
    }
}

/// Binds many pods; each binding as if it were alone, but what can be written at once is one transaction. The answers
/// are in the order of the bindings.
pub(crate) async fn bind_many(server: &Arc<Server>, bindings: &[(Scope, Value)]) -> Vec<Result<(), Failure>> {
    let mut answers: Vec<Result<(), Failure>> = Vec::with_capacity(bindings.len());
    let mut together = Vec::new();
    let mut commit = Commit::default();
    for (at, (scope, binding)) in bindings.iter().enumerate() {
        let answer = match prepare(server, scope, binding).await {
            Ok(prepared) => {
                if !scope.dry_run() {
                    commit.fence = scope.fence;
                    commit.replace(prepared.key, prepared.revision, prepared.value);
                    together.push(at);
                }
                Ok(())
            }
            Err(error) => Err(error.into_failure()),
        };
        answers.push(answer);
    }
    if together.is_empty() {
        return answers;
    }
    match server.records.commit(commit).await {
        Ok(_) => {}
        Err(RecordsError::Changed) => {
            // One of them changed meanwhile, which must not keep the others.
            for at in together {
                let (scope, binding) = &bindings[at];
                answers[at] = bind_decoded(server, scope, binding).await;
            }
        }
        Err(error) => {
            let failure = WriteError::from(error).into_failure();
            together.into_iter().for_each(|at| answers[at] = Err(failure.clone()));
        }
    }
    answers
}

/// A bound pod, ready to be written.
struct Prepared {
    key: Key,
    revision: Revision,
    value: Bytes,
}

async fn attempt_bind(server: &Arc<Server>, scope: &Scope, binding: &Value) -> Result<(), WriteError> {
    let prepared = prepare(server, scope, binding).await?;
    if scope.dry_run() {
        return Ok(());
    }
    let mut commit = Commit { fence: scope.fence, ..Commit::default() };
    commit.replace(prepared.key, prepared.revision, prepared.value);
    server.records.commit(commit).await?;
    Ok(())
}

async fn prepare(server: &Arc<Server>, scope: &Scope, binding: &Value) -> Result<Prepared, WriteError> {
    let key = scope.kind.storage.key(scope.namespace(), &scope.info.name);
    let name = &scope.info.name;
    let Some(record) = server.records.get(&key).await? else {
        return Err(Status::not_found("", "pods", name).into());
    };
    let old = server.records.decode(&record)?;
    check(scope, &old, binding)?;
    let writing = Writing::new(server, scope, "CreateOptions");
    let mut request =
        writing.request(trireme_admission::Operation::Create, Some(binding.clone()), None, name);
    request.kind = "Binding";
    server.admission.admit(&mut request, &*server.view, &*server.authorizer)?;
    server.admission.validate(&request, &*server.view, &*server.authorizer)?;
    let binding = &request.object.take().unwrap_or_else(|| binding.clone());
    let mut pod = (*old).clone();
    if let Some(spec) = pod.object("spec") {
        spec.put("nodeName", binding.at("target").text("name"));
    }
    // Labels are those of the node's place, which admission put there (KEP-4742).
    for field in ["annotations", "labels"] {
        let given = binding.at("metadata").map(field).cloned().unwrap_or_default();
        if let Some(metadata) = pod.object("metadata")
            && !given.is_empty()
            && let Some(own) = metadata.object(field)
        {
            for (name, value) in given {
                own.put(&name, value);
            }
        }
    }
    if let Some(status) = pod.object("status") {
        // Where it was to go counts no more (KEP-5278).
        status.remove("nominatedNodeName");
        set_scheduled(status, &scope.now);
    }
    Ok(Prepared { key, revision: record.revision(), value: encode(&pod) })
}

fn check(scope: &Scope, pod: &Value, binding: &Value) -> Result<(), Failure> {
    let (own, sent) = (pod.at("metadata"), binding.at("metadata"));
    let name = &scope.info.name;
    for (field, label) in [("uid", "UID"), ("resourceVersion", "ResourceVersion")] {
        let (asked, is) = (sent.text(field), own.text(field));
        if !asked.is_empty() && asked != is {
            let why = format!(
                "StorageError: invalid object, Code: 4, Key: /registry/pods/{}/{name}, ResourceVersion: 0, \
                 AdditionalErrorMsg: Precondition failed: {label} in precondition: {asked}, {label} in object meta: {is}",
                scope.namespace()
            );
            return Err(Status::conflict("", "pods", name, &why));
        }
    }
    let refuse = |why: String| Err(Status::conflict("", "pods/binding", name, &why));
    if own.has("deletionTimestamp") {
        return refuse(format!("pod {name} is being deleted, cannot be assigned to a host"));
    }
    let node = pod.at("spec").text("nodeName");
    if !node.is_empty() {
        return refuse(format!("pod {name} is already assigned to node {node:?}"));
    }
    if !pod.at("spec").list("schedulingGates").is_empty() {
        return refuse(format!("pod {name} has non-empty .spec.schedulingGates"));
    }
    Ok(())
}

fn set_scheduled(status: &mut Value, now: &str) {
    let scheduled =
        json!({"type": "PodScheduled", "status": "True", "lastProbeTime": null, "lastTransitionTime": now});
    let mut conditions = status.list("conditions").to_vec();
    match conditions.iter_mut().find(|condition| condition.text("type") == "PodScheduled") {
        Some(there) => *there = scheduled,
        None => conditions.push(scheduled),
    }
    status.put("conditions", conditions);
}
