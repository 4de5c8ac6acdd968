//! Objects that describe the server itself: the `kubernetes` Service with its endpoints, and an APIService for each
//! group and version.

use std::sync::Arc;

use serde_json::{Value, json};
use trireme_publish::discovery::priority;
use trireme_schema::request::begin_create;
use trireme_schema::status::Failure;
use trireme_schema::view::View;

use crate::bootstrap::internal_scope;
use crate::failures::store_failure;
use crate::records::{Commit, RecordsError, encode, same_content};
use crate::server::Server;
use crate::verbs::{self, Writing};

const NAMESPACE: &str = "default";
const NAME: &str = "kubernetes";

/// Makes what is missing and corrects what names another address.
///
/// # Errors
/// The first write that fails for another reason than a race.
pub(crate) async fn make(server: &Arc<Server>) -> Result<(), Failure> {
    service(server).await?;
    let (address, port) = (server.config.advertise.ip().to_string(), server.config.advertise.port());
    let endpoints = json!({
        "kind": "Endpoints", "apiVersion": "v1",
        "metadata": {"name": NAME, "namespace": NAMESPACE,
            "labels": {"endpointslice.kubernetes.io/skip-mirror": "true"}},
        "subsets": [{"addresses": [{"ip": address}], "ports": [{"name": "https", "port": port, "protocol": "TCP"}]}],
    });
    put(server, "", "v1", "endpoints", endpoints, &["subsets"]).await?;
    let family = if server.config.advertise.is_ipv4() { "IPv4" } else { "IPv6" };
    let slice = json!({
        "kind": "EndpointSlice", "apiVersion": "discovery.k8s.io/v1", "addressType": family,
        "metadata": {"name": NAME, "namespace": NAMESPACE, "generation": 1,
            "labels": {"kubernetes.io/service-name": NAME}},
        "endpoints": [{"addresses": [address], "conditions": {"ready": true}}],
        "ports": [{"name": "https", "port": port, "protocol": "TCP"}],
    });
    put(server, "discovery.k8s.io", "v1", "endpointslices", slice, &["endpoints", "ports"]).await?;
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

/// Writes one of the server's own addresses. Validation would refuse a loopback address, which is where a cluster on one
/// machine really listens.
async fn put(
    server: &Arc<Server>,
    group: &str,
    version: &str,
    resource: &str,
    mut object: Value,
    fields: &[&str],
) -> Result<(), Failure> {
    let catalogue = server.catalogue.load_full();
    let Some(kind) = catalogue.get(group, version, resource).cloned() else { return Ok(()) };
    let scope = internal_scope(kind, "create", NAMESPACE, NAME);
    let key = scope.kind.storage.key(NAMESPACE, NAME);
    let found = server.records.get(&key).await.map_err(|error| store_failure(&error))?;
    let writing = Writing::new(server, &scope, "CreateOptions");
    let mut commit = Commit::default();
    match found {
        Some(record) => {
            let old = server.records.decode(&record).map_err(|error| store_failure(&error.into()))?;
            let mut new = (*old).clone();
            for field in fields {
                new[*field] = object[*field].clone();
            }
            if same_content(&old, &new) {
                return Ok(());
            }
            commit.replace(key, record.revision(), encode(&new));
        }
        None => {
            let context = writing.context();
            begin_create(&mut object, &scope.kind.rules.target(), &context)?;
            object["metadata"]["uid"] = context.uid.into();
            object["metadata"]["creationTimestamp"] = context.time.into();
            if resource == "endpointslices" {
                object["metadata"]["generation"] = 1.into();
            }
            commit.create(key, encode(&object));
        }
    }
    match server.records.commit(commit).await {
        // Another server wrote its own; the next start looks again.
        Ok(_) | Err(RecordsError::Changed) => Ok(()),
        Err(error) => Err(store_failure(&error)),
    }
}

/// One APIService for each group and version served.
async fn api_services(server: &Arc<Server>) -> Result<(), Failure> {
    let documents = server.published.load();
    let mut tasks = tokio::task::JoinSet::new();
    for (group, version) in documents.discovery.group_versions() {
        let name = format!("{version}.{group}");
        if server.view.get("apiregistration.k8s.io", "apiservices", "", &name).is_some() {
            continue;
        }
        let order = priority(group, version);
        let body = json!({
            "kind": "APIService", "apiVersion": "apiregistration.k8s.io/v1",
            "metadata": {"name": name, "labels": {"kube-aggregator.kubernetes.io/automanaged": "onstart"}},
            "spec": {"group": group, "groupPriorityMinimum": order.group, "version": version,
                "versionPriority": order.version},
        });
        let server = server.clone();
        tasks.spawn(
            async move { create(&server, "apiregistration.k8s.io", "v1", "apiservices", &body).await },
        );
    }
    while let Some(done) = tasks.join_next().await {
        done.map_err(|error| trireme_schema::Status::internal(&error.to_string()))??;
    }
    Ok(())
}
