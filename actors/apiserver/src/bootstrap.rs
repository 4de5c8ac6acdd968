//! The objects that every cluster has, made at each start.

use std::sync::Arc;

use trireme_access::User;
use trireme_access::bootstrap::{Initial, Step, reconcile};
use trireme_schema::status::{Failure, Status};
use trireme_schema::view::View;

use crate::failures::store_failure;
use crate::own_objects;
use crate::query::Query;
use crate::request_info::RequestInfo;
use crate::scope::Scope;
use crate::server::Server;
use crate::verbs;

/// The identity under which the server writes for itself.
const IDENTITY: &str = "system:apiserver";
/// The field manager of these writes, as upstream's.
const MANAGER: &str = "kube-apiserver";
/// Rounds before a start gives up: others may write the same at the same time.
const ROUNDS: usize = 5;

/// Brings the initial objects to what a start wants.
///
/// # Errors
/// The first write that fails for another reason than a race.
pub async fn bootstrap(server: &Arc<Server>) -> Result<(), Failure> {
    for _ in 0..ROUNDS {
        server.settle().await?;
        let now = crate::scope::now().to_time();
        let steps = reconcile(&*server.view, &now);
        if steps.is_empty() {
            break;
        }
        let (spaces, others) = steps.into_iter().partition(|step| step.object().resource == "namespaces");
        // What lives in a namespace comes after it.
        all(server, spaces).await?;
        all(server, others).await?;
    }
    own_objects::make(server).await?;
    let issuer = server.config.issuer.clone();
    let keys = server.tokens.load(&server.records, &issuer, server.view.clone());
    keys.await.map_err(|error| store_failure(&error))?;
    server.ready.set_bootstrapped();
    Ok(())
}

/// Carries out steps side by side: they share the log's appends.
async fn all(server: &Arc<Server>, steps: Vec<Step>) -> Result<(), Failure> {
    let mut tasks = tokio::task::JoinSet::new();
    for step in steps {
        let server = server.clone();
        tasks.spawn(async move { carry_out(&server, &step).await });
    }
    while let Some(done) = tasks.join_next().await {
        match done {
            Ok(Ok(())) => {}
            // Another server was faster: the next round looks again.
            Ok(Err(failure)) if matches!(failure.code, 404 | 409) => {}
            Ok(Err(failure)) => return Err(failure),
            Err(error) => return Err(Status::internal(&error.to_string())),
        }
    }
    Ok(())
}

async fn carry_out(server: &Arc<Server>, step: &Step) -> Result<(), Failure> {
    match step {
        Step::Create(object) => create(server, object).await,
        Step::Update(object) => {
            let Some(scope) = scope(server, object, "update") else { return Ok(()) };
            verbs::update(server, &scope, object.object.to_string().as_bytes()).await.map(|_| ())
        }
        Step::Recreate(object) => {
            delete(server, object).await?;
            create(server, object).await
        }
        Step::Delete(object) => delete(server, object).await,
    }
}

async fn create(server: &Arc<Server>, object: &Initial) -> Result<(), Failure> {
    let Some(scope) = scope(server, object, "create") else { return Ok(()) };
    verbs::create(server, &scope, object.object.to_string().as_bytes()).await.map(|_| ())
}

async fn delete(server: &Arc<Server>, object: &Initial) -> Result<(), Failure> {
    let Some(scope) = scope(server, object, "delete") else { return Ok(()) };
    verbs::delete(server, &scope, b"").await.map(|_| ())
}

fn scope(server: &Arc<Server>, object: &Initial, verb: &str) -> Option<Scope> {
    let catalogue = server.catalogue.load();
    let kind = catalogue.get(object.group, object.version, object.resource)?.clone();
    Some(internal_scope(kind, verb, object.namespace(), object.object.at("metadata").text("name")))
}

/// A scope of the server's own identity.
pub(crate) fn internal_scope(
    kind: Arc<crate::catalogue::ServedKind>,
    verb: &str,
    namespace: &str,
    name: &str,
) -> Scope {
    let info = RequestInfo {
        resource_request: true,
        verb: verb.to_owned(),
        group: kind.group.clone(),
        version: kind.version.clone(),
        namespace: namespace.to_owned(),
        resource: kind.plural.clone(),
        name: if verb == "create" { String::new() } else { name.to_owned() },
        ..RequestInfo::default()
    };
    Scope {
        info,
        query: Arc::new(Query::default()),
        user: Arc::new(User::internal(IDENTITY, &["system:masters"])),
        kind,
        user_agent: MANAGER.to_owned(),
        accept: None,
        content_type: None,
        fence: None,
        now: crate::scope::now().to_time(),
        said: Arc::default(),
        seat: Arc::default(),
    }
}
