//! Tells in a FlowSchema's status whether the level that it names exists (condition `Dangling`).
//!
//! One actor per server; the one where the leader is writes, by server-side apply under upstream's field manager.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use trireme_mvcc::watch::{Batch, ReadLimits};
use trireme_schema::status::Failure;
use trireme_schema::view::View;

use super::gate::{GROUP, LEVELS, SCHEMAS};
use crate::bootstrap::internal_scope;
use crate::follow::{follow, leads};
use crate::query::Query;
use crate::records::RecordsError;
use crate::server::Server;
use crate::verbs;

/// Upstream's field manager of the condition.
const MANAGER: &str = "api-priority-and-fairness-config-consumer-v1";
/// Pause while something is left to do.
const PAUSE: Duration = Duration::from_millis(500);

/// Runs until the server stops.
pub(crate) async fn run(server: Arc<Server>) {
    let draining = server.hub.draining.clone();
    let work = async {
        loop {
            if let Err(error) = keep(&server).await {
                tracing::debug!(%error, "FlowSchemas are looked at again");
            }
            tokio::time::sleep(PAUSE).await;
        }
    };
    tokio::select! {
        () = work => {}
        () = draining.cancelled() => {}
    }
}

async fn keep(server: &Arc<Server>) -> Result<(), RecordsError> {
    let at = server.stored_at(GROUP, SCHEMAS).zip(server.stored_at(GROUP, LEVELS));
    let (schemas, levels) = at.ok_or_else(|| RecordsError::Refused("not served".to_owned()))?;
    let mut of_schemas = follow(server, &schemas.prefix("")).await?;
    let mut of_levels = follow(server, &levels.prefix("")).await?;
    let (mut first, mut second) = (Batch::default(), Batch::default());
    loop {
        let left = round(server).await;
        let changed = async {
            tokio::select! {
                read = of_schemas.next(ReadLimits::default(), &mut first) => read,
                read = of_levels.next(ReadLimits::default(), &mut second) => read,
            }
        };
        let read = match left {
            true => tokio::time::timeout(PAUSE, changed).await.unwrap_or(Ok(())),
            false => changed.await,
        };
        read.map_err(|error| RecordsError::Refused(error.to_string()))?;
    }
}

/// Writes what is due; true when something is left.
async fn round(server: &Arc<Server>) -> bool {
    let mut left = false;
    for schema in server.view.list(GROUP, SCHEMAS, None) {
        let level = schema.at("spec").at("priorityLevelConfiguration").text("name");
        let exists = server.view.get(GROUP, LEVELS, "", level).is_some();
        if says(&schema, exists) {
            continue;
        }
        left = true;
        if leads(server).await
            && let Err(failure) = write(server, &schema, level, exists).await
        {
            tracing::debug!(why = failure.message, "a FlowSchema is looked at again");
        }
    }
    left
}

/// Whether the status says so already.
fn says(schema: &Value, exists: bool) -> bool {
    let wanted = if exists { "False" } else { "True" };
    let conditions = schema.at("status").list("conditions");
    conditions.iter().any(|own| own.text("type") == "Dangling" && own.text("status") == wanted)
}

async fn write(server: &Arc<Server>, schema: &Value, level: &str, exists: bool) -> Result<(), Failure> {
    let catalogue = server.catalogue.load_full();
    let Some(kind) = catalogue.get(GROUP, "v1", SCHEMAS).cloned() else { return Ok(()) };
    let name = schema.at("metadata").text("name");
    let mut scope = internal_scope(kind, "patch", "", name);
    scope.info.subresource = "status".to_owned();
    scope.query = Arc::new(Query::of(&[("fieldManager", MANAGER), ("force", "true")]));
    scope.content_type = Some("application/apply-patch+yaml".to_owned());
    let text = format!("This FlowSchema references the PriorityLevelConfiguration object named {level:?}");
    let (status, reason, message) = match exists {
        true => ("False", "Found", format!("{text} and it exists")),
        false => ("True", "NotFound", format!("{text} but there is no such object")),
    };
    let body = json!({"apiVersion": "flowcontrol.apiserver.k8s.io/v1", "kind": "FlowSchema",
        "metadata": {"name": name}, "status": {"conditions": [{"type": "Dangling", "status": status,
            "reason": reason, "message": message, "lastTransitionTime": scope.now}]}});
    verbs::patch(server, &scope, body.to_string().as_bytes()).await.map(|_| ())
}
