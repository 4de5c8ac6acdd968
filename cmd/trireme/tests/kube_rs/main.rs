//! kube-rs against live servers: typed objects, server-side apply, custom kinds, and watches over three servers.

#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::StreamExt;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{
    Api, ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams,
    PostParams, WatchEvent, WatchParams,
};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config, ResourceExt};
use serde_json::json;
use support::Cluster;

/// Longest time for anything that these tests wait for.
const LIMIT: Duration = Duration::from_secs(60);

/// A cluster of servers, and a client of each.
async fn cluster(folder: &Path, servers: u8) -> (Cluster, Vec<Client>) {
    let data = folder.join("data");
    let at = data.clone();
    let start = tokio::task::spawn_blocking(move || Cluster::start_at(&at, servers, 0, &[]));
    let cluster = start.await.expect("the cluster starts");
    let mut clients = Vec::new();
    for file in kubeconfigs(&data) {
        let file = Kubeconfig::read_from(file).expect("a kubeconfig");
        let config =
            Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.expect("it reads");
        clients.push(Client::try_from(config).expect("a client"));
    }
    assert_eq!(clients.len(), usize::from(servers), "each server writes a kubeconfig into its data folder");
    (cluster, clients)
}

/// Those that the servers below a folder wrote, by path.
fn kubeconfigs(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.ends_with("kubeconfig.yaml") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

fn within<T>(work: impl Future<Output = T>) -> T {
    runtime().block_on(async { tokio::time::timeout(LIMIT, work).await.expect("within the limit") })
}

fn config_map(name: &str, value: &str) -> ConfigMap {
    let data = BTreeMap::from([("k".to_owned(), value.to_owned())]);
    let mut object = ConfigMap { data: Some(data), ..ConfigMap::default() };
    object.metadata.name = Some(name.to_owned());
    object
}

#[test]
fn typed_objects_conflicts_and_apply() {
    let folder = tempfile::tempdir().expect("a folder");
    within(async {
        let (_cluster, clients) = cluster(folder.path(), 1).await;
        let maps: Api<ConfigMap> = Api::namespaced(clients[0].clone(), "default");
        let made = maps.create(&PostParams::default(), &config_map("a", "1")).await.expect("it is new");
        assert!(made.uid().is_some() && made.resource_version().is_some());
        let again = maps.create(&PostParams::default(), &config_map("a", "1")).await;
        assert!(matches!(again, Err(kube::Error::Api(status)) if status.reason == "AlreadyExists"));

        // An update of what changed meanwhile is refused.
        let mut newer = made.clone();
        newer.data.as_mut().expect("it has data").insert("k".to_owned(), "2".to_owned());
        maps.replace("a", &PostParams::default(), &newer).await.expect("nobody was faster");
        let late = maps.replace("a", &PostParams::default(), &newer).await;
        assert!(matches!(late, Err(kube::Error::Api(status)) if status.code == 409));

        // A field that another manager applied is not taken without force.
        let patch = |value: &str| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "b"}, "data": {"k": value}});
        let first = PatchParams::apply("first");
        maps.patch("b", &first, &Patch::Apply(patch("1"))).await.expect("it is new");
        let second = PatchParams::apply("second");
        let refused = maps.patch("b", &second, &Patch::Apply(patch("2"))).await;
        let Err(kube::Error::Api(status)) = refused else { panic!("it is the first one's") };
        assert!(status.code == 409 && status.message.contains("\"first\""), "{status:?}");
        let forced = maps.patch("b", &second.force(), &Patch::Apply(patch("2"))).await.expect("by force");
        assert_eq!(forced.data.expect("it has data")["k"], "2");

        // Defaults are filled in as upstream does.
        let deployments: Api<Deployment> = Api::namespaced(clients[0].clone(), "default");
        let asked = json!({
            "metadata": {"name": "web"},
            "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": {
                "metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]},
            }},
        });
        let asked: Deployment = serde_json::from_value(asked).expect("a Deployment");
        let spec = deployments
            .create(&PostParams::default(), &asked)
            .await
            .expect("it is new")
            .spec
            .expect("a spec");
        assert_eq!((spec.replicas, spec.revision_history_limit), (Some(1), Some(10)));

        // Pages of one list speak of one moment.
        let page = maps.list(&ListParams::default().limit(1)).await.expect("a page");
        let token = page.metadata.continue_.clone().expect("there is more");
        maps.delete("b", &DeleteParams::default()).await.expect("it is there");
        let rest = maps.list(&ListParams::default().continue_token(&token)).await.expect("the rest");
        let names: Vec<String> = page.items.iter().chain(&rest.items).map(ResourceExt::name_any).collect();
        assert!(names.contains(&"a".to_owned()) && names.contains(&"b".to_owned()), "{names:?}");
    });
}

#[test]
fn custom_kinds_are_served_once_defined() {
    let folder = tempfile::tempdir().expect("a folder");
    within(async {
        let (_cluster, clients) = cluster(folder.path(), 1).await;
        let client = &clients[0];
        let definition: CustomResourceDefinition = serde_json::from_value(json!({
            "metadata": {"name": "ships.example.com"},
            "spec": {
                "group": "example.com", "scope": "Namespaced",
                "names": {"plural": "ships", "kind": "Ship"},
                "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {
                    "type": "object", "properties": {"spec": {"type": "object", "properties": {
                        "oars": {"type": "integer", "minimum": 1, "default": 170},
                    }}},
                }}}],
            },
        }))
        .expect("a definition");
        let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
        definitions.create(&PostParams::default(), &definition).await.expect("it is new");
        let ship = ApiResource::from_gvk(&GroupVersionKind::gvk("example.com", "v1", "Ship"));
        let ships: Api<DynamicObject> = Api::namespaced_with(client.clone(), "default", &ship);
        // Served as soon as it is established.
        while ships.list(&ListParams::default()).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let asked = DynamicObject::new("olympias", &ship).data(json!({"spec": {"rudder": 2}}));
        let made = ships.create(&PostParams::default(), &asked).await.expect("it fits the schema");
        assert_eq!(made.data["spec"], json!({"oars": 170}), "pruned and defaulted");
        let asked = DynamicObject::new("raft", &ship).data(json!({"spec": {"oars": 0}}));
        let refused = ships.create(&PostParams::default(), &asked).await;
        assert!(matches!(refused, Err(kube::Error::Api(status)) if status.code == 422));
    });
}

/// What is written through one server is seen by watches of all three: every change, once, in one order.
#[test]
fn three_servers_tell_one_story() {
    let folder = tempfile::tempdir().expect("a folder");
    within(async {
        let (_cluster, clients) = cluster(folder.path(), 3).await;
        assert_eq!(clients.len(), 3);
        let maps = |client: &Client| -> Api<ConfigMap> { Api::namespaced(client.clone(), "default") };
        let begin = maps(&clients[0]).list(&ListParams::default()).await.expect("a list");
        let from = begin.metadata.resource_version.expect("lists have one");
        let watches = clients.iter().map(|client| {
            let (maps, from) = (maps(client), from.clone());
            tokio::spawn(async move {
                let params = WatchParams::default().fields("metadata.name=story");
                let mut events = Box::pin(maps.watch(&params, &from).await.expect("a watch"));
                let mut seen = Vec::new();
                while let Some(event) = events.next().await {
                    match event.expect("an event") {
                        WatchEvent::Added(map) | WatchEvent::Modified(map) => {
                            let version: u64 =
                                map.resource_version().expect("it has one").parse().expect("a number");
                            seen.push((version, map.data.expect("it has data")["k"].clone()));
                        }
                        WatchEvent::Deleted(_) => break,
                        other => panic!("{other:?}"),
                    }
                }
                seen
            })
        });
        let watches: Vec<_> = watches.collect();
        let mut written = Vec::new();
        let mut latest =
            maps(&clients[0]).create(&PostParams::default(), &config_map("story", "0")).await.expect("new");
        written.push("0".to_owned());
        for chapter in 1..100 {
            // A server that lags answers 409: its client looks again, as every client does.
            loop {
                latest.data = Some(BTreeMap::from([("k".to_owned(), chapter.to_string())]));
                let through = maps(&clients[chapter % 3]);
                match through.replace("story", &PostParams::default(), &latest).await {
                    Ok(next) => {
                        latest = next;
                        break;
                    }
                    Err(kube::Error::Api(status)) if status.code == 409 => {
                        latest = through.get("story").await.expect("it is there");
                    }
                    Err(error) => panic!("{error}"),
                }
            }
            written.push(chapter.to_string());
        }
        maps(&clients[1]).delete("story", &DeleteParams::default()).await.expect("it is there");
        let mut stories = Vec::new();
        for watch in watches {
            let seen = watch.await.expect("no watch failed");
            assert!(seen.windows(2).all(|pair| pair[0].0 < pair[1].0), "versions grow");
            let told: Vec<String> = seen.iter().map(|(_, value)| value.clone()).collect();
            assert_eq!(told, written);
            stories.push(seen);
        }
        assert!(stories.windows(2).all(|pair| pair[0] == pair[1]));
    });
}
