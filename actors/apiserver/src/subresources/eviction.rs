//! eviction: a pod goes, if the budgets that cover it allow that.

use std::sync::Arc;

use serde_json::{Value, json};
use trireme_admission::Operation;
use trireme_schema::request::{WriteOptions, check_options};
use trireme_schema::selector::LabelSelector;
use trireme_schema::status::{Cause, Failure, Status};
use trireme_schema::view::{Edit, View};

use super::{decode, success, target};
use crate::bootstrap::internal_scope;
use crate::failures::WriteError;
use crate::outcome::Outcome;
use crate::records::{Commit, Record, RecordsError, encode};
use crate::scope::Scope;
use crate::server::Server;
use crate::verbs::{DeleteOptions, Writing, delete_one, repeats, update};

/// Disrupted pods kept in one budget before it counts as overloaded (upstream's bound).
const DISRUPTED_PODS: usize = 2000;
/// When to come back while a budget's controller is behind, in seconds.
const RETRY_SECONDS: u32 = 10;

/// Evicts the scope's pod.
pub(super) async fn evict(server: &Arc<Server>, scope: &Scope, bytes: &[u8]) -> Result<Outcome, Failure> {
    let dry_run = scope.query.all("dryRun");
    let options = WriteOptions {
        field_manager: scope.query.text("fieldManager"),
        dry_run: &dry_run,
        field_validation: scope.query.text("fieldValidation"),
        ..WriteOptions::default()
    };
    check_options("CreateOptions", &options)?;
    let target = target("policy", "v1", "Eviction")?;
    let decoded = decode(scope, &target, bytes)?;
    let metadata = decoded.object.at("metadata");
    let namespace = metadata.text("namespace");
    if !namespace.is_empty() && namespace != scope.namespace() {
        return Err(Status::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    if metadata.text("name") != scope.info.name {
        return Err(Status::bad_request("name in URL does not match name in Eviction object"));
    }
    let mut options = DeleteOptions::of_value(decoded.object.at("deleteOptions").clone())?;
    options.dry_run |= scope.dry_run();
    let warnings = admit(server, scope, &decoded.object)?;
    let mut settled = false;
    let mut attempt = 0;
    loop {
        match attempt_evict(server, scope, &options).await {
            Ok(()) => {
                return Ok(Outcome::other(201, success(201)).warn(decoded.warnings).warn(warnings));
            }
            Err(WriteError::Failed(failure)) if !settled && failure.code == 404 => {
                server.settle().await?;
                settled = true;
            }
            Err(error) if repeats(attempt, &error) => attempt += 1,
            Err(error) => return Err(error.into_failure()),
        }
    }
}

/// Asks admission about the eviction itself, as a create of `pods/eviction`.
fn admit(server: &Server, scope: &Scope, eviction: &Value) -> Result<Vec<String>, Failure> {
    let writing = Writing::new(server, scope, "CreateOptions");
    let name = &scope.info.name;
    let mut request = writing.request(Operation::Create, Some(eviction.clone()), None, name);
    request.kind = "Eviction";
    server.admission.admit(&mut request, &*server.view, &*server.authorizer)?;
    let verdict = server.admission.validate(&request, &*server.view, &*server.authorizer)?;
    Ok(verdict.warnings)
}

async fn attempt_evict(
    server: &Arc<Server>,
    scope: &Scope,
    options: &DeleteOptions,
) -> Result<(), WriteError> {
    let key = scope.kind.storage.key(scope.namespace(), &scope.info.name);
    let Some(record) = server.records.get(&key).await? else {
        return Err(Status::not_found("", "pods", &scope.info.name).into());
    };
    let pod = server.records.decode(&record)?;
    let mut options = options.clone();
    if !bypasses(&pod) {
        let budgets = budgets(server, scope, &pod)?;
        match budgets.as_slice() {
            [] => {}
            [budget] => {
                take(server, scope, &pod, budget, options.dry_run).await?;
            }
            _ => {
                let why = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not \
                           support.";
                return Err(Status::internal(why).into());
            }
        }
        // What was judged is what goes.
        options.uid.get_or_insert_with(|| pod.at("metadata").text("uid").to_owned());
    }
    mark_disrupted(server, scope, &pod, &record, &mut options).await?;
    let mut plain = scope.clone();
    plain.info.subresource = String::new();
    let mut warnings = Vec::new();
    delete_one(server, &plain, &options, &mut warnings).await?;
    Ok(())
}

/// Says in the pod's status why it goes. A precondition on its version goes on with the new one.
async fn mark_disrupted(
    server: &Arc<Server>,
    scope: &Scope,
    pod: &Value,
    record: &Record,
    options: &mut DeleteOptions,
) -> Result<(), WriteError> {
    let metadata = pod.at("metadata");
    let other = |asked: &Option<String>, own: &str| asked.as_deref().is_some_and(|asked| asked != own);
    let refused = other(&options.uid, metadata.text("uid"))
        || other(&options.resource_version, metadata.text("resourceVersion"));
    if options.dry_run || refused {
        // What is refused is left to the deletion to say.
        return Ok(());
    }
    let mut new = pod.clone();
    if let Some(status) = new.object("status") {
        let mut conditions = status.list("conditions").to_vec();
        conditions.retain(|condition| condition.text("type") != "DisruptionTarget");
        conditions
            .push(json!({"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI",
            "message": "Eviction API: evicting", "lastProbeTime": null, "lastTransitionTime": scope.now}));
        status.put("conditions", conditions);
    }
    let mut commit = Commit { fence: scope.fence, reserved: true, ..Commit::default() };
    commit.replace(record.key().clone(), record.revision(), encode(&new));
    let revisions = server.records.commit(commit).await?;
    let revision = revisions.first().copied().flatten();
    if let (Some(revision), Some(version)) = (revision, options.resource_version.as_mut()) {
        *version = revision.to_string();
    }
    Ok(())
}

/// Pods that no budget counts: ended, not begun, or going already.
fn bypasses(pod: &Value) -> bool {
    matches!(pod.at("status").text("phase"), "Succeeded" | "Failed" | "Pending")
        || pod.at("metadata").has("deletionTimestamp")
}

fn budgets(server: &Server, scope: &Scope, pod: &Value) -> Result<Vec<Arc<Value>>, Failure> {
    let labels = pod.at("metadata").map("labels");
    let mut out = Vec::new();
    for budget in server.view.list("policy", "poddisruptionbudgets", Some(scope.namespace())) {
        let selector = budget.at("spec").at("selector");
        let covers = !selector.is_null()
            && LabelSelector::from_object(selector).is_ok_and(|selector| selector.matches(labels));
        if covers {
            out.push(budget);
        }
    }
    Ok(out)
}

fn is_ready(pod: &Value) -> bool {
    let conditions = pod.at("status").list("conditions");
    conditions.iter().any(|condition| condition.text("type") == "Ready" && condition.text("status") == "True")
}

/// Takes one disruption from a budget.
async fn take(
    server: &Arc<Server>,
    scope: &Scope,
    pod: &Value,
    budget: &Arc<Value>,
    dry_run: bool,
) -> Result<(), WriteError> {
    let (name, status) = (budget.at("metadata").text("name"), budget.at("status"));
    let healthy_enough = status.int("currentHealthy").unwrap_or(0)
        >= status.int("desiredHealthy").unwrap_or(0)
        && status.int("desiredHealthy").unwrap_or(0) > 0;
    let always = budget.at("spec").text("unhealthyPodEvictionPolicy") == "AlwaysAllow";
    if !is_ready(pod) && (always || healthy_enough) {
        return Ok(());
    }
    let observed = status.int("observedGeneration").unwrap_or(0);
    if observed < budget.at("metadata").int("generation").unwrap_or(0) {
        let why = format!("The disruption budget {name} is still being processed by the server.");
        return Err(too_many(&why, RETRY_SECONDS).into());
    }
    let allowed = status.int("disruptionsAllowed").unwrap_or(0);
    if allowed < 0 {
        let why = "pdb disruptions allowed is negative";
        return Err(Status::forbidden("policy", "poddisruptionbudget", name, why).into());
    }
    if status.map("disruptedPods").is_some_and(|pods| pods.len() > DISRUPTED_PODS) {
        let why = "DisruptedPods map too big - too many evictions not confirmed by PDB controller";
        return Err(Status::forbidden("policy", "poddisruptionbudget", name, why).into());
    }
    if allowed == 0 {
        let why = format!(
            "The disruption budget {name} needs {} healthy pods and has {} currently",
            status.int("desiredHealthy").unwrap_or(0),
            status.int("currentHealthy").unwrap_or(0)
        );
        return Err(too_many(&why, 0).into());
    }
    if dry_run {
        return Ok(());
    }
    let mut new = (**budget).clone();
    if let Some(status) = new.object("status") {
        status.put("disruptionsAllowed", allowed - 1);
        let generation = observed;
        set_allowed(status, allowed - 1 > 0, generation, &scope.now);
        if let Some(pods) = status.object("disruptedPods") {
            pods.put(pod.at("metadata").text("name"), json!(scope.now));
        }
    }
    let kind = server.catalogue.load().get("policy", "v1", "poddisruptionbudgets").cloned();
    let Some(kind) = kind else { return Ok(()) };
    let mut own = internal_scope(kind, "update", scope.namespace(), name);
    own.info.subresource = "status".to_owned();
    own.fence = scope.fence;
    match update(server, &own, new.to_string().as_bytes()).await {
        Ok(_) => Ok(()),
        // The budget changed since it was read: judge again.
        Err(failure) if failure.code == 409 => Err(RecordsError::Changed.into()),
        Err(failure) => Err(failure.into()),
    }
}

/// The condition that says whether more may go.
fn set_allowed(status: &mut Value, allowed: bool, generation: i64, now: &str) {
    let (truth, reason) = if allowed { ("True", "SufficientPods") } else { ("False", "InsufficientPods") };
    let mut conditions = status.list("conditions").to_vec();
    let there = conditions.iter().position(|condition| condition.text("type") == "DisruptionAllowed");
    let since = there.map(|at| &conditions[at]).filter(|old| old.text("status") == truth);
    let since = since.map_or(now, |old| old.text("lastTransitionTime")).to_owned();
    let fresh = json!({"type": "DisruptionAllowed", "status": truth, "reason": reason, "message": "",
        "lastTransitionTime": since, "observedGeneration": generation});
    match there {
        Some(at) => conditions[at] = fresh,
        None => conditions.push(fresh),
    }
    status.put("conditions", conditions);
}

fn too_many(why: &str, retry_seconds: u32) -> Failure {
    let message = "Cannot evict pod as it would violate the pod's disruption budget.";
    let mut status = Status::too_many_requests(message, retry_seconds);
    status.details.causes =
        vec![Cause { reason: "DisruptionBudget".to_owned(), message: why.to_owned(), field: String::new() }];
    status
}
