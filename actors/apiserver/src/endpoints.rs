//! Where the API is: the endpoints of the `kubernetes` Service name every server that lives.
//!
//! Each server holds a key in the store for as long as it refreshes the key's lease; the keys that are there are the
//! servers that live. Every server brings the Endpoints and EndpointSlices to that, guarded by their versions, so any of
//! them does (upstream's lease reconciler).

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use trireme_mvcc::watch::{Batch, ReadLimits};
use trireme_mvcc::{Entry, Key, KeyRange, LeaseId, ListRequest, Operation};
use trireme_schema::request::begin_create;
use trireme_schema::status::Failure;
use trireme_schema::view::View;

use crate::bootstrap::internal_scope;
use crate::failures::store_failure;
use crate::follow::follow;
use crate::records::{Commit, ROOT, RecordsError, encode, same_content};
use crate::server::Server;
use crate::verbs::Writing;

/// Namespace and name of the API's own Service.
pub(crate) const NAMESPACE: &str = "default";
/// See [`NAMESPACE`].
pub(crate) const NAME: &str = "kubernetes";
/// Keys of the servers that live, below the root of all objects, where no API path leads.
const PLACE: &str = "~apiservers/";
/// How long a server that is gone stays named, in milliseconds (upstream: 15 s).
const LEASE_MS: u64 = 15_000;
/// Time between two refreshes.
const REFRESH: Duration = Duration::from_secs(5);
/// Pause after something failed.
const PAUSE: Duration = Duration::from_millis(500);

/// Keeps this server named until it stops.
pub(crate) async fn run(server: Arc<Server>) {
    let draining = server.hub.draining.clone();
    let work = async {
        loop {
            if let Err(error) = keep(&server).await {
                tracing::debug!(%error, "the endpoints of the API are looked at again");
            }
            tokio::time::sleep(PAUSE).await;
        }
    };
    tokio::select! {
        () = work => {}
        () = draining.cancelled() => leave(&server).await,
    }
}

/// Holds a lease and follows the others' until something fails.
async fn keep(server: &Arc<Server>) -> Result<(), RecordsError> {
    server.ready.bootstrapped().await;
    let lease = enter(server).await?;
    let mut cursor = follow(server, &format!("{ROOT}{PLACE}")).await?;
    let mut batch = Batch::default();
    loop {
        if let Err(failure) = reconcile(server).await {
            tracing::debug!(why = failure.message, "the endpoints of the API are not written yet");
        }
        match tokio::time::timeout(REFRESH, cursor.next(ReadLimits::default(), &mut batch)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(RecordsError::Refused(error.to_string())),
            Err(_) => server.records.propose(Entry::LeaseRefresh { lease }).await?,
        }
    }
}

fn own_key(server: &Server) -> Key {
    Key::from(format!("{ROOT}{PLACE}{}", server.config.advertise).as_str())
}

/// Names this server in the store, under a lease of its own.
async fn enter(server: &Server) -> Result<LeaseId, RecordsError> {
    let lease = LeaseId::new((server.config.random)() | 1).expect("an odd number is not zero");
    server.records.propose(Entry::LeaseGrant { lease, ttl_ms: LEASE_MS }).await?;
    let value = server.config.advertise.to_string().into_bytes().into();
    let put = Operation::Put { key: own_key(server), value, lease: Some(lease) };
    let commit = Commit { operations: vec![put], reserved: true, ..Commit::default() };
    server.records.commit(commit).await?;
    Ok(lease)
}

/// Takes this server's name out, unless it is the last one.
async fn leave(server: &Arc<Server>) {
    let gone = async {
        if living(server).len() > 1 {
            let delete = Operation::Delete { key: own_key(server) };
            let commit = Commit { operations: vec![delete], reserved: true, ..Commit::default() };
            server.records.commit(commit).await?;
            reconcile(server).await.map_err(|failure| RecordsError::Refused(failure.message))?;
        }
        Ok::<_, RecordsError>(())
    };
    // The lease ends by itself otherwise.
    if let Ok(Err(error)) = tokio::time::timeout(PAUSE, gone).await {
        tracing::debug!(%error, "this server is named until its lease ends");
    }
}

/// The servers that live, by address.
fn living(server: &Server) -> Vec<SocketAddr> {
    let range = KeyRange::prefix(format!("{ROOT}{PLACE}"));
    let request = ListRequest {
        range: &range,
        at: trireme_mvcc::At::Latest,
        after: None,
        limit_objects: usize::MAX,
        limit_bytes: usize::MAX,
    };
    let found = server.records.read_local(|state| state.list(&request).map(|page| page.objects));
    let objects = found.and_then(Result::ok).unwrap_or_default();
    let parse = |value: &[u8]| std::str::from_utf8(value).ok()?.parse::<SocketAddr>().ok();
    let mut out: Vec<SocketAddr> = objects.iter().filter_map(|object| parse(object.value())).collect();
    out.sort();
    out.dedup();
    out
}

/// Brings Endpoints and EndpointSlices to the servers that live.
///
/// # Errors
/// The first write that fails for another reason than a race.
pub(crate) async fn reconcile(server: &Arc<Server>) -> Result<(), Failure> {
    let mut all = living(server);
    if all.is_empty() {
        // Before the first lease: this server at least.
        all.push(server.config.advertise);
    }
    let mut by_port: BTreeMap<(bool, u16), Vec<String>> = BTreeMap::new();
    for address in &all {
        by_port.entry((address.is_ipv6(), address.port())).or_default().push(address.ip().to_string());
    }
    let subsets: Vec<Value> = by_port.iter().map(|((_, port), addresses)| subset(*port, addresses)).collect();
    let endpoints = json!({
        "kind": "Endpoints", "apiVersion": "v1",
        "metadata": {"name": NAME, "namespace": NAMESPACE,
            "labels": {"endpointslice.kubernetes.io/skip-mirror": "true"}},
        "subsets": subsets,
    });
    put(server, ("", "v1", "endpoints"), endpoints, &["subsets"]).await?;
    let mut names = Vec::new();
    for (at, ((v6, port), addresses)) in by_port.iter().enumerate() {
        let family = if *v6 { "IPv6" } else { "IPv4" };
        // One port, as on machines of their own: one slice, under the Service's name.
        let name = match at {
            0 => NAME.to_owned(),
            _ => format!("{NAME}-{}-{port}", family.to_lowercase()),
        };
        names.push(name.clone());
        put(
            server,
            (SLICES, "v1", "endpointslices"),
            slice(&name, family, *port, addresses),
            &["endpoints", "ports"],
        )
        .await?;
    }
    drop_slices(server, &names).await
}

const SLICES: &str = "discovery.k8s.io";

fn subset(port: u16, addresses: &[String]) -> Value {
    let addresses: Vec<Value> = addresses.iter().map(|ip| json!({"ip": ip})).collect();
    json!({"addresses": addresses, "ports": [{"name": "https", "port": port, "protocol": "TCP"}]})
}

fn slice(name: &str, family: &str, port: u16, addresses: &[String]) -> Value {
    let endpoints: Vec<Value> =
        addresses.iter().map(|ip| json!({"addresses": [ip], "conditions": {"ready": true}})).collect();
    json!({
        "kind": "EndpointSlice", "apiVersion": "discovery.k8s.io/v1", "addressType": family,
        "metadata": {"name": name, "namespace": NAMESPACE, "generation": 1,
            "labels": {"kubernetes.io/service-name": NAME}},
        "endpoints": endpoints,
        "ports": [{"name": "https", "port": port, "protocol": "TCP"}],
    })
}

/// Deletes this reconciler's slices that name nobody any more.
async fn drop_slices(server: &Arc<Server>, kept: &[String]) -> Result<(), Failure> {
    let Some(at) = server.stored_at(SLICES, "endpointslices") else { return Ok(()) };
    for slice in server.view.list(SLICES, "endpointslices", Some(NAMESPACE)) {
        let metadata = slice.at("metadata");
        let name = metadata.text("name");
        let own = metadata.at("labels").text("kubernetes.io/service-name") == NAME
            && name.starts_with(&format!("{NAME}-ipv"));
        if !own || kept.iter().any(|kept| kept == name) {
            continue;
        }
        let revision = metadata.text("resourceVersion").parse().unwrap_or(0);
        let mut commit = Commit { reserved: true, ..Commit::default() };
        commit.delete(at.key(NAMESPACE, name), trireme_mvcc::Revision::new(revision));
        done(server.records.commit(commit).await)?;
    }
    Ok(())
}

/// Writes one of the server's own addresses. Validation would refuse a loopback address, which is where a cluster on one
/// machine really listens.
async fn put(
    server: &Arc<Server>,
    (group, version, resource): (&str, &str, &str),
    mut object: Value,
    fields: &[&str],
) -> Result<(), Failure> {
    let catalogue = server.catalogue.load_full();
    let Some(kind) = catalogue.get(group, version, resource).cloned() else { return Ok(()) };
    let name = object.at("metadata").text("name").to_owned();
    let scope = internal_scope(kind, "create", NAMESPACE, &name);
    let key = scope.kind.storage.key(NAMESPACE, &name);
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
    done(server.records.commit(commit).await)
}

fn done<T>(written: Result<T, RecordsError>) -> Result<(), Failure> {
    match written {
        // Another server wrote its own; the next look decides anew.
        Ok(_) | Err(RecordsError::Changed) => Ok(()),
        Err(error) => Err(store_failure(&error)),
    }
}
