//! The objects that every cluster has, made at each start.

use std::sync::Arc;

use trireme_access::User;
use trireme_access::bootstrap::{Initial, Step, reconcile};
use trireme_schema::status::Failure;
use trireme_schema::view::View;

use crate::query::Query;
use crate::request_info::RequestInfo;
use crate::scope::Scope;
use crate::server::Server;
use crate::verbs;

/// The identity under which the server writes for itself.
const IDENTITY: &str = "system:apiserver";
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
            server.ready.set_bootstrapped();
            return Ok(());
        }
        for step in steps {
            match carry_out(server, &step).await {
                Ok(()) => {}
                // Another server was faster: the next round looks again.
                Err(failure) if matches!(failure.code, 404 | 409) => {}
                Err(failure) => return Err(failure),
            }
        }
    }
    server.ready.set_bootstrapped();
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
        user_agent: "trireme".to_owned(),
        accept: None,
        content_type: None,
        fence: None,
        now: crate::scope::now().to_time(),
    }
}
