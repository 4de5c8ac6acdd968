//! delete: at once, gracefully, or once the last finalizer is gone

use std::sync::Arc;

use serde_json::{Value, json};
use trireme_admission::Operation;
use trireme_schema::custom::status::{Termination, terminate};
use trireme_schema::status::{Failure, Status};
use trireme_schema::time::Moment;
use trireme_schema::view::{Edit, View};

use super::delete_options::DeleteOptions;
use super::update::is_stale;
use super::write::{Writing, repeats};
use crate::allocation;
use crate::failures::WriteError;
use crate::outcome::{Content, Outcome};
use crate::records::{Commit, Record, encode};
use crate::scope::Scope;
use crate::server::Server;

/// Finalizer that keeps an object until its dependents are gone.
const FOREGROUND: &str = "foregroundDeletion";
/// Finalizer that keeps an object until its dependents are let go.
const ORPHAN: &str = "orphan";

/// What became of the object.
pub(crate) enum Deleted {
    /// It is gone; this was its last version.
    Gone(Value),
    /// It is marked and stays for now.
    Marked(Value, Option<Record>),
}

/// Deletes one object.
pub(crate) async fn delete(server: &Server, scope: &Scope, bytes: &[u8]) -> Result<Outcome, Failure> {
    let options = DeleteOptions::parse(scope, bytes)?;
    let mut warnings = Vec::new();
    let deleted = delete_one(server, scope, &options, &mut warnings).await?;
    warnings.extend(kept_dependents(scope, &options));
    let kind = &scope.kind;
    let outcome = match deleted {
        Deleted::Gone(object) if answers_object(scope) => {
            let object = kind.rules.served_form(object)?;
            Outcome { status: 200, content: Content::Object(kind.clone(), object), warnings: Vec::new() }
        }
        Deleted::Gone(object) => {
            let metadata = object.at("metadata");
            let status =
                Status::deleted(&kind.group, &kind.plural, metadata.text("name"), metadata.text("uid"));
            Outcome::other(200, status)
        }
        Deleted::Marked(_, Some(record)) => Outcome::stored(200, kind, record),
        Deleted::Marked(object, None) => {
            let object = kind.rules.served_form(object)?;
            Outcome { status: 200, content: Content::Object(kind.clone(), object), warnings: Vec::new() }
        }
    };
    Ok(outcome.warn(warnings))
}

/// What is said when Jobs go and leave their pods, because nobody said what to do with them.
pub(crate) fn kept_dependents(scope: &Scope, options: &DeleteOptions) -> Option<String> {
    let silent = options.propagation.is_none() && options.orphan_dependents.is_none();
    let job = (scope.kind.group.as_str(), scope.kind.kind.as_str()) == ("batch", "Job");
    (silent && job).then(|| {
        "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove them \
         or set propagationPolicy=Orphan to suppress this warning"
            .to_owned()
    })
}

/// Kinds whose deletion answers with the object instead of a Status.
fn answers_object(scope: &Scope) -> bool {
    matches!(
        (scope.kind.group.as_str(), scope.kind.plural.as_str()),
        (
            "",
            "pods"
                | "services"
                | "serviceaccounts"
                | "persistentvolumes"
                | "persistentvolumeclaims"
                | "podtemplates"
                | "resourcequotas"
                | "namespaces"
        ) | (
            "storage.k8s.io",
            "csidrivers" | "csinodes" | "storageclasses" | "volumeattachments" | "volumeattributesclasses"
        ) | ("policy", "podsecuritypolicies")
    )
}

/// Deletes the scope's object, again and again while others change it.
pub(crate) async fn delete_one(
    server: &Server,
    scope: &Scope,
    options: &DeleteOptions,
    warnings: &mut Vec<String>,
) -> Result<Deleted, Failure> {
    let mut settled = false;
    let mut attempt = 0;
    loop {
        let mut said = Vec::new();
        match attempt_delete(server, scope, options, &mut said).await {
            Ok(deleted) => {
                warnings.extend(said);
                return Ok(deleted);
            }
            Err(WriteError::Failed(failure)) if !settled && is_stale(&failure) => {
                server.settle().await?;
                settled = true;
            }
            Err(error) if repeats(attempt, &error) => attempt += 1,
            Err(error) => return Err(error.into_failure()),
        }
    }
}

async fn attempt_delete(
    server: &Server,
    scope: &Scope,
    options: &DeleteOptions,
    warnings: &mut Vec<String>,
) -> Result<Deleted, WriteError> {
    let mut writing = Writing::new(server, scope, "DeleteOptions");
    writing.options = options.raw.clone();
    let key = scope.kind.storage.key(scope.namespace(), &scope.info.name);
    let Some(record) = server.records.get(&key).await? else {
        return Err(Status::not_found(&scope.kind.group, &scope.kind.plural, &scope.info.name).into());
    };
    let old = server.records.decode(&record)?;
    // Plugins see the version of the request.
    let seen = super::update::current(server, scope, &record)?;
    let mut request = writing.request(Operation::Delete, None, Some(&seen), &scope.info.name);
    server.admission.admit(&mut request, &*server.view, &*server.authorizer)?;
    let (_, verdict) = writing.validate(Operation::Delete, None, Some(&seen), &scope.info.name)?;
    warnings.extend(verdict.warnings);
    check_preconditions(scope, options, &old)?;
    let plan = plan(scope, options, &old);
    let mut commit = Commit { fence: scope.fence, reserved: true, ..Commit::default() };
    writing.add_side_writes(&mut commit, verdict.writes)?;
    match plan {
        Plan::Remove(mut object) => {
            if !options.dry_run {
                let mut revision = record.revision();
                if grace_seconds(scope, options, &old).is_some()
                    && !old.at("metadata").has("deletionTimestamp")
                {
                    // Watchers see a graceful kind marked before it goes.
                    let mut mark = Commit { fence: scope.fence, reserved: true, ..Commit::default() };
                    mark.replace(key.clone(), revision, encode(&object));
                    revision = writing.commit(mark, &key).await?.revision();
                }
                let at = commit.operations.len();
                commit.delete(key, revision);
                allocation::for_delete(scope, &old, &mut commit);
                let revisions = server.records.commit(commit).await?;
                let gone = revisions.get(at).copied().flatten();
                if let (Some(revision), Some(metadata)) = (gone, object.object("metadata")) {
                    metadata.put("resourceVersion", revision.to_string());
                }
            }
            Ok(Deleted::Gone(object))
        }
        Plan::Unchanged => Ok(Deleted::Marked((*old).clone(), (!options.dry_run).then_some(record))),
        Plan::Mark(object) => {
            if options.dry_run {
                return Ok(Deleted::Marked(object, None));
            }
            commit.replace(key.clone(), record.revision(), encode(&object));
            let record = writing.commit(commit, &key).await?;
            Ok(Deleted::Marked(object, Some(record)))
        }
    }
}

fn check_preconditions(scope: &Scope, options: &DeleteOptions, old: &Value) -> Result<(), Failure> {
    let metadata = old.at("metadata");
    let name = metadata.text("name");
    let is_namespace = scope.kind.group.is_empty() && scope.kind.plural == "namespaces";
    let conflict = |why: String| {
        // Namespaces name the resource, all others the kind, and no group.
        let what = if is_namespace { &scope.kind.plural } else { &scope.kind.kind };
        Status::conflict("", what, name, &why)
    };
    if let Some(uid) = options.uid.as_deref().filter(|uid| *uid != metadata.text("uid")) {
        let own = metadata.text("uid");
        return Err(conflict(match is_namespace {
            true => format!("Precondition failed: UID in precondition: {uid}, UID in object meta: {own}"),
            false => format!(
                "the UID in the precondition ({uid}) does not match the UID in record ({own}). The object might have \
                 been deleted and then recreated"
            ),
        }));
    }
    let own = metadata.text("resourceVersion");
    if let Some(version) = options.resource_version.as_deref().filter(|version| *version != own) {
        return Err(conflict(match is_namespace {
            true => format!(
                "Precondition failed: ResourceVersion in precondition: {version}, ResourceVersion in object meta: {own}"
            ),
            false => format!(
                "the ResourceVersion in the precondition ({version}) does not match the ResourceVersion in record \
                 ({own}). The object might have been modified"
            ),
        }));
    }
    Ok(())
}

/// What is to be done with the object.
enum Plan {
    Remove(Value),
    Mark(Value),
    Unchanged,
}

fn plan(scope: &Scope, options: &DeleteOptions, old: &Arc<Value>) -> Plan {
    if scope.kind.group.is_empty() && scope.kind.plural == "namespaces" {
        return plan_namespace(scope, options, old);
    }
    if scope.kind.group == "apiextensions.k8s.io" && !old.at("metadata").has("deletionTimestamp") {
        return plan_definition(scope, options, old);
    }
    let metadata = old.at("metadata");
    let finalizers = finalizers(scope, options, old);
    let grace = grace_seconds(scope, options, old);
    let mut object = (**old).clone();
    let deleting = metadata.has("deletionTimestamp");
    let before = metadata.int("deletionGracePeriodSeconds");
    if let Some(new) = object.object("metadata") {
        set_finalizers(new, &finalizers);
    }
    if deleting {
        return plan_again(options, old, object, grace, before);
    }
    if finalizers.is_empty() && grace.unwrap_or(0) == 0 {
        if let (Some(_), Some(new)) = (grace, object.object("metadata")) {
            new.put("deletionTimestamp", scope.now.clone());
            new.put("deletionGracePeriodSeconds", 0);
        }
        return Plan::Remove(object);
    }
    let seconds = grace.unwrap_or(0);
    if let Some(new) = object.object("metadata") {
        new.put("deletionTimestamp", later(&scope.now, seconds));
        new.put("deletionGracePeriodSeconds", seconds);
        if let Some(generation) = new.int("generation").filter(|generation| *generation > 0) {
            new.put("generation", generation + 1);
        }
    }
    Plan::Mark(object)
}

/// The object is being deleted already: a shorter grace counts, a longer one does not.
fn plan_again(
    options: &DeleteOptions,
    old: &Arc<Value>,
    mut object: Value,
    grace: Option<i64>,
    before: Option<i64>,
) -> Plan {
    let remaining = before.unwrap_or(0);
    let finalizers = object.at("metadata").list("finalizers").len();
    let asked = options.grace_seconds.map(|_| grace.unwrap_or(0));
    let shorter = match (before, asked) {
        (Some(_), Some(asked)) if asked < remaining || asked == 0 => Some(asked),
        (None, _) => None,
        _ => None,
    };
    let pending = shorter.unwrap_or(remaining);
    if let (Some(seconds), Some(metadata)) = (shorter, object.object("metadata"))
        && seconds < remaining
    {
        let began = old.at("metadata").text("deletionTimestamp");
        let moment = later(&earlier(began, remaining), seconds);
        metadata.put("deletionTimestamp", moment);
        metadata.put("deletionGracePeriodSeconds", seconds);
    }
    if pending == 0 && finalizers == 0 {
        return Plan::Remove(object);
    }
    if object == **old { Plan::Unchanged } else { Plan::Mark(object) }
}

/// A namespace is marked and emptied by its controller.
fn plan_namespace(scope: &Scope, options: &DeleteOptions, old: &Arc<Value>) -> Plan {
    let mut object = (**old).clone();
    let finalizers = finalizers(scope, options, old);
    if let Some(metadata) = object.object("metadata") {
        set_finalizers(metadata, &finalizers);
        metadata.default("deletionTimestamp", scope.now.clone());
    }
    let held = !finalizers.is_empty() || !object.at("spec").list("finalizers").is_empty();
    let was_deleting = old.at("metadata").has("deletionTimestamp");
    if !held && was_deleting {
        return Plan::Remove(object);
    }
    if let Some(status) = object.object("status") {
        status.put("phase", "Terminating");
    }
    if object == **old { Plan::Unchanged } else { Plan::Mark(object) }
}

/// A definition of a custom kind goes once its objects are gone.
fn plan_definition(scope: &Scope, options: &DeleteOptions, old: &Arc<Value>) -> Plan {
    let mut object = (**old).clone();
    let finalizers = finalizers(scope, options, old);
    if let Some(metadata) = object.object("metadata") {
        set_finalizers(metadata, &finalizers);
        metadata.put("deletionTimestamp", scope.now.clone());
    }
    terminate(&mut object, &Termination::Pending, &scope.now);
    Plan::Mark(object)
}

fn set_finalizers(metadata: &mut Value, finalizers: &[String]) {
    match finalizers {
        [] => {
            metadata.remove("finalizers");
        }
        some => metadata.put("finalizers", json!(some)),
    }
}

/// The finalizers that the propagation policy leaves, as upstream's garbage collection finalizers.
fn finalizers(scope: &Scope, options: &DeleteOptions, old: &Value) -> Vec<String> {
    let own = old.at("metadata").list("finalizers");
    let own: Vec<String> = own.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    let has = |name: &str| own.iter().any(|finalizer| finalizer == name);
    let (orphan, foreground) = match (options.orphan_dependents, options.propagation.as_deref()) {
        (Some(orphan), _) => (orphan, false),
        (None, Some(policy)) => (policy == "Orphan", policy == "Foreground"),
        (None, None) if has(ORPHAN) => (true, false),
        (None, None) if has(FOREGROUND) => (false, true),
        (None, None) => (orphans_by_default(scope), false),
    };
    let mut out: Vec<String> =
        own.iter().filter(|name| *name != ORPHAN && *name != FOREGROUND).cloned().collect();
    if orphan {
        out.push(ORPHAN.to_owned());
    }
    if foreground {
        out.push(FOREGROUND.to_owned());
    }
    let mut sorted = (own.clone(), out.clone());
    sorted.0.sort();
    sorted.1.sort();
    if sorted.0 == sorted.1 { own } else { out }
}

/// Kinds whose dependents stay unless asked otherwise.
fn orphans_by_default(scope: &Scope) -> bool {
    matches!(
        (scope.kind.group.as_str(), scope.kind.kind.as_str()),
        ("", "ReplicationController") | ("batch", "Job")
    )
}

/// Seconds that the object may take to end; `None` for kinds that end at once. Only Pods take time.
fn grace_seconds(scope: &Scope, options: &DeleteOptions, old: &Value) -> Option<i64> {
    if (scope.kind.group.as_str(), scope.kind.kind.as_str()) != ("", "Pod") {
        return None;
    }
    let (spec, status) = (old.at("spec"), old.at("status"));
    let asked = options.grace_seconds.or_else(|| spec.int("terminationGracePeriodSeconds")).unwrap_or(0);
    // A negative grace means one second, as upstream.
    let asked = if asked < 0 { 1 } else { asked };
    let ended = matches!(status.text("phase"), "Failed" | "Succeeded");
    Some(if spec.text("nodeName").is_empty() || ended { 0 } else { asked })
}

fn later(time: &str, seconds: i64) -> String {
    let moment = Moment::parse_time(time).unwrap_or(Moment::from_unix(0, 0));
    Moment::from_unix(moment.unix_seconds().saturating_add(seconds), 0).to_time()
}

fn earlier(time: &str, seconds: i64) -> String {
    later(time, seconds.saturating_neg())
}
