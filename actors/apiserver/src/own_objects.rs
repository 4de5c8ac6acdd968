//! Objects that describe the server itself: the `kubernetes` Service with its endpoints, and an APIService for each
//! group and version.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};
use trireme_publish::discovery::priority;
use trireme_schema::status::Failure;
use trireme_schema::view::View;

use crate::bootstrap::internal_scope;
use crate::endpoints::{self, NAME, NAMESPACE};
use crate::server::Server;
use crate::verbs;

const REGISTRATION: &str = "apiregistration.k8s.io";
const API_SERVICES: &str = "apiservices";
/// Label of the APIServices that the server keeps.
const MANAGED: &str = "kube-aggregator.kubernetes.io/automanaged";
/// Priorities of custom groups (upstream's).
const CUSTOM_GROUP_PRIORITY: i64 = 1000;
/// See [`CUSTOM_GROUP_PRIORITY`].
const CUSTOM_VERSION_PRIORITY: i64 = 100;

/// Makes what is missing and corrects what names another address.
///
/// # Errors
/// The first write that fails for another reason than a race.
pub(crate) async fn make(server: &Arc<Server>) -> Result<(), Failure> {
    service(server).await?;
    endpoints::reconcile(server).await?;
    api_services(server).await
}

async fn service(server: &Arc<Server>) -> Result<(), Failure> {
    let Some(first) = server.config.service_cidr.at(1) else { return Ok(()) };
    if server.view.get("", "services", NAMESPACE, NAME).is_some() {
        return Ok(());
    }
    let body = json!({
        "kind": "Service", "apiVersion": "v1",
        "metadata": {"name": NAME, "namespace": NAMESPACE,
            "labels": {"provider": "kubernetes", "component": "apiserver"}},
        "spec": {"clusterIP": first.to_string(), "ipFamilyPolicy": "SingleStack", "sessionAffinity": "None",
            "type": "ClusterIP",
            "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": server.config.advertise.port()}]},
    });
    create(server, "", "v1", "services", &body).await
}

async fn create(
    server: &Arc<Server>,
    group: &str,
    version: &str,
    resource: &str,
    body: &Value,
) -> Result<(), Failure> {
    let catalogue = server.catalogue.load_full();
    let Some(kind) = catalogue.get(group, version, resource).cloned() else { return Ok(()) };
    let metadata = body.at("metadata");
    let scope = internal_scope(kind, "create", metadata.text("namespace"), metadata.text("name"));
    match verbs::create(server, &scope, body.to_string().as_bytes()).await {
        Ok(_) => Ok(()),
        Err(failure) if failure.code == 409 => Ok(()),
        Err(failure) => Err(failure),
    }
}

/// One APIService for each built-in group and version.
async fn api_services(server: &Arc<Server>) -> Result<(), Failure> {
    let mut tasks = tokio::task::JoinSet::new();
    for (group, version) in &builtin(server) {
        if server.view.get(REGISTRATION, API_SERVICES, "", &format!("{version}.{group}")).is_some() {
            continue;
        }
        let order = priority(group, version);
        let body = api_service(group, version, "onstart", (order.group.into(), order.version.into()));
        let server = server.clone();
        tasks.spawn(async move { create(&server, REGISTRATION, "v1", API_SERVICES, &body).await });
    }
    while let Some(done) = tasks.join_next().await {
        done.map_err(|error| trireme_schema::Status::internal(&error.to_string()))??;
    }
    Ok(())
}

fn builtin(server: &Server) -> BTreeSet<(String, String)> {
    let catalogue = server.catalogue.load();
    let own = catalogue.kinds().filter(|kind| !kind.custom);
    own.map(|kind| (kind.group.clone(), kind.version.clone())).collect()
}

fn api_service(group: &str, version: &str, managed: &str, priority: (i64, i64)) -> Value {
    json!({
        "kind": "APIService", "apiVersion": "apiregistration.k8s.io/v1",
        "metadata": {"name": format!("{version}.{group}"), "labels": {MANAGED: managed}},
        "spec": {"group": group, "groupPriorityMinimum": priority.0, "version": version,
            "versionPriority": priority.1},
    })
}

/// Brings the APIServices of custom groups to the kinds that are served. Where somebody made one by hand, it stays.
///
/// # Errors
/// The first write that fails for another reason than a race.
pub(crate) async fn custom_api_services(server: &Arc<Server>) -> Result<(), Failure> {
    let catalogue = server.catalogue.load_full();
    let custom = catalogue.kinds().filter(|kind| kind.custom);
    let wanted: BTreeSet<(String, String)> =
        custom.map(|kind| (kind.group.clone(), kind.version.clone())).collect();
    let builtin = builtin(server);
    for (group, version) in &wanted {
        let known = server.view.get(REGISTRATION, API_SERVICES, "", &format!("{version}.{group}"));
        if known.is_some() || builtin.contains(&(group.clone(), version.clone())) {
            continue;
        }
        let priority = (CUSTOM_GROUP_PRIORITY, CUSTOM_VERSION_PRIORITY);
        create(server, REGISTRATION, "v1", API_SERVICES, &api_service(group, version, "true", priority))
            .await?;
    }
    for found in server.view.list(REGISTRATION, API_SERVICES, None) {
        let (metadata, spec) = (found.at("metadata"), found.at("spec"));
        let own = (spec.text("group").to_owned(), spec.text("version").to_owned());
        if metadata.at("labels").text(MANAGED) != "true" || wanted.contains(&own) {
            continue;
        }
        let Some(kind) = catalogue.get(REGISTRATION, "v1", API_SERVICES).cloned() else { return Ok(()) };
        let scope = internal_scope(kind, "delete", "", metadata.text("name"));
        match verbs::delete(server, &scope, b"").await {
            Err(failure) if failure.code != 404 => return Err(failure),
            _ => {}
        }
    }
    Ok(())
}
