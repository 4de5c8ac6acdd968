//! Definitions of custom kinds at work: names are settled, kinds come into service and go with their definition.
//!
//! One actor per server. Every server follows the definitions and serves what they say; what has to be written (status,
//! the end of a definition) is written where the leader is, guarded by the version it was decided upon.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use trireme_mvcc::watch::{Batch, ReadLimits};
use trireme_schema::custom::CustomKind;
use trireme_schema::custom::status::{CLEANUP_FINALIZER, Termination, is_true, settle, terminate};
use trireme_schema::status::Failure;
use trireme_schema::view::View;

use crate::bootstrap::internal_scope;
use crate::catalogue::{Catalogue, ServedKind};
use crate::follow::{follow, leads};
use crate::own_objects::custom_api_services;
use crate::server::Server;
use crate::verbs;

const GROUP: &str = "apiextensions.k8s.io";
const RESOURCE: &str = "customresourcedefinitions";
/// Pause while something is left to do, or before another attempt.
const PAUSE: Duration = Duration::from_millis(200);

/// What a definition was compiled from: name, generation, accepted names.
type Source = (String, i64, Value);

/// Compiled definitions by name.
#[derive(Default)]
struct Compiled(BTreeMap<String, (Source, Vec<CustomKind>)>);

/// Runs until the server stops.
pub(crate) async fn run(server: Arc<Server>) {
    let draining = server.hub.draining.clone();
    let mut compiled = Compiled::default();
    let work = async {
        loop {
            let at = server.stored_at(GROUP, RESOURCE).map(|at| at.prefix("")).unwrap_or_default();
            let Ok(mut cursor) = follow(&server, &at).await else {
                tokio::time::sleep(PAUSE).await;
                continue;
            };
            let mut batch = Batch::default();
            loop {
                let left = round(&server, &mut compiled).await;
                let changed = cursor.next(ReadLimits::default(), &mut batch);
                let lost = if left {
                    // Whichever comes first: a change, or the pause.
                    matches!(tokio::time::timeout(PAUSE, changed).await, Ok(Err(_)))
                } else {
                    changed.await.is_err()
                };
                if lost {
                    break;
                }
            }
        }
    };
    tokio::select! {
        () = work => {}
        () = draining.cancelled() => {}
    }
}

/// Serves what the definitions say and does what is due. True when something is left.
async fn round(server: &Arc<Server>, compiled: &mut Compiled) -> bool {
    let mut left = false;
    // A leader that has just begun must not decide on what was before.
    let decides = leads(server).await && server.settle().await.is_ok();
    let definitions = server.view.list(GROUP, RESOURCE, None);
    serve(server, compiled, &definitions);
    if decides && let Err(failure) = custom_api_services(server).await {
        tracing::debug!(why = failure.message, "the APIServices of custom kinds are looked at again");
        left = true;
    }
    for definition in &definitions {
        let due = due(definition, &definitions);
        if due.is_none() {
            continue;
        }
        left = true;
        if !decides {
            continue;
        }
        if let Some(Due { new, finishing }) = due
            && let Err(failure) = carry_out(server, definition, new, finishing).await
        {
            tracing::debug!(why = failure.message, "a definition is looked at again");
        }
    }
    left
}

/// Brings the catalogue to the established definitions.
fn serve(server: &Server, compiled: &mut Compiled, definitions: &[Arc<Value>]) {
    let mut changed = false;
    let mut seen = Vec::new();
    for definition in definitions.iter().filter(|definition| is_true(definition, "Established")) {
        let metadata = definition.at("metadata");
        let name = metadata.text("name").to_owned();
        let source = (
            metadata.text("uid").to_owned(),
            metadata.int("generation").unwrap_or(0),
            definition.at("status").at("acceptedNames").clone(),
        );
        seen.push(name.clone());
        if compiled.0.get(&name).is_some_and(|(own, _)| *own == source) {
            continue;
        }
        match CustomKind::compile(definition) {
            Ok(versions) => {
                compiled.0.insert(name, (source, versions));
                changed = true;
            }
            Err(error) => tracing::error!(%error, name, "a definition cannot be served"),
        }
    }
    let count = compiled.0.len();
    compiled.0.retain(|name, _| seen.contains(name));
    if !changed && compiled.0.len() == count {
        return;
    }
    let before = server.catalogue.load_full();
    let mut catalogue = Catalogue::builtin();
    for (_, versions) in compiled.0.values() {
        catalogue.add_custom(versions.clone());
    }
    server.published.replace(&catalogue);
    let catalogue = Arc::new(catalogue);
    server.catalogue.store(catalogue.clone());
    // Watches of a kind that is gone, or is another one now, end: their clients look again.
    for kind in before.kinds().filter(|kind| kind.custom) {
        let now = catalogue.get(&kind.group, &kind.version, &kind.plural);
        if now.is_none_or(|now| is_another(kind, now)) {
            server.hub.end(&kind.storage);
        }
    }
}

/// Whether a kind serves its objects in another form than before.
fn is_another(before: &ServedKind, now: &ServedKind) -> bool {
    let form = |kind: &ServedKind| kind.rules.custom().map(|custom| custom.openapi.clone());
    before.kind != now.kind || before.stored_version != now.stored_version || form(before) != form(now)
}

/// What is to be written about a definition.
struct Due {
    new: Value,
    /// Its objects are to go first.
    finishing: bool,
}

fn due(definition: &Arc<Value>, all: &[Arc<Value>]) -> Option<Due> {
    let now = crate::scope::now().to_time();
    if definition.at("metadata").has("deletionTimestamp") {
        let held = definition.at("metadata").list("finalizers");
        if !held.iter().any(|finalizer| finalizer.as_str() == Some(CLEANUP_FINALIZER)) {
            return None;
        }
        return Some(Due { new: (**definition).clone(), finishing: true });
    }
    let others: Vec<&Value> = all.iter().map(|other| &**other).collect();
    settle(definition, &others, &now).map(|new| Due { new, finishing: false })
}

async fn carry_out(
    server: &Arc<Server>,
    definition: &Value,
    mut new: Value,
    finishing: bool,
) -> Result<(), Failure> {
    let now = crate::scope::now().to_time();
    if finishing {
        let stage = match is_true(definition, "Established") {
            false => Termination::NeverEstablished,
            true if empty(server, definition).await? => Termination::Completed,
            true => Termination::InProgress,
        };
        terminate(&mut new, &stage, &now);
        if new == *definition {
            return Ok(());
        }
    }
    let catalogue = server.catalogue.load_full();
    let Some(kind) = catalogue.get(GROUP, "v1", RESOURCE).cloned() else { return Ok(()) };
    let mut scope = internal_scope(kind, "update", "", definition.at("metadata").text("name"));
    scope.info.subresource = "status".to_owned();
    let bytes = new.to_string();
    verbs::update(server, &scope, bytes.as_bytes()).await.map(|_| ())
}

/// Deletes the objects of a definition; true when none is left.
async fn empty(server: &Arc<Server>, definition: &Value) -> Result<bool, Failure> {
    let spec = definition.at("spec");
    let (group, plural) = (spec.text("group"), spec.at("names").text("plural"));
    let catalogue = server.catalogue.load_full();
    let kind =
        catalogue.kinds().find(|kind| kind.custom && kind.group == group && kind.plural == plural).cloned();
    let objects = server.view.list(group, plural, None);
    let Some(kind) = kind else { return Ok(true) };
    for object in &objects {
        let metadata = object.at("metadata");
        if metadata.has("deletionTimestamp") {
            continue;
        }
        let scope = internal_scope(kind.clone(), "delete", metadata.text("namespace"), metadata.text("name"));
        match verbs::delete(server, &scope, b"").await {
            Ok(_) => {}
            Err(failure) if failure.code == 404 => {}
            Err(failure) => return Err(failure),
        }
    }
    Ok(server.view.list(group, plural, None).is_empty())
}
