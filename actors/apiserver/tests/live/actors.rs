//! The server's own actors: what they keep, and that any of them can be killed.

use serde_json::{Value, json};
use trireme_apiserver::client::{Place, Resource};

use super::kit::{Api, until};

const DEFINITIONS: Resource<'static> =
    Resource { group: "apiextensions.k8s.io", version: "v1", resource: "customresourcedefinitions" };

fn definition() -> Value {
    json!({"kind": "CustomResourceDefinition", "apiVersion": "apiextensions.k8s.io/v1",
        "metadata": {"name": "things.example.com"},
        "spec": {"group": "example.com", "scope": "Namespaced",
            "names": {"plural": "things", "singular": "thing", "kind": "Thing", "listKind": "ThingList"},
            "versions": [{"name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}]}})
}

#[test]
fn custom_groups_have_an_api_service_and_watches_end_with_their_definition() {
    Api::start().run(async |api| {
        let admin = api.admin();
        admin.create(DEFINITIONS, Place::default(), &definition()).await.unwrap();
        let things = "/apis/example.com/v1/namespaces/default/things";
        until("the kind is served", async || api.ask("admin", "GET", things, "").await.status == 200).await;
        let registered = "/apis/apiregistration.k8s.io/v1/apiservices/v1.example.com";
        until("it is registered", async || api.ask("admin", "GET", registered, "").await.status == 200).await;
        let found = api.ask("admin", "GET", registered, "").await.json();
        assert_eq!(found["metadata"]["labels"]["kube-aggregator.kubernetes.io/automanaged"], "true");
        assert_eq!(found["spec"]["groupPriorityMinimum"], 1000);
        let thing = json!({"kind": "Thing", "apiVersion": "example.com/v1", "metadata": {"name": "t"}});
        assert_eq!(api.ask("admin", "POST", things, &thing.to_string()).await.status, 201);
        let watch = format!("{things}?watch=1&timeoutSeconds=600");
        let watching = api.ask("admin", "GET", &watch, "");
        let ending = async {
            let place = Place { name: "things.example.com", ..Place::default() };
            admin.delete(DEFINITIONS, place, &json!({})).await.unwrap();
        };
        let (events, ()) = tokio::join!(watching, ending);
        assert!(events.text.contains("\"type\":\"ADDED\""), "{}", events.text);
        assert!(
            events.text.contains("\"type\":\"DELETED\""),
            "what happened before is told: {}",
            events.text
        );
        until("it is registered no more", async || {
            api.ask("admin", "GET", registered, "").await.status == 404
        })
        .await;
    });
}

#[test]
fn every_actor_can_be_killed() {
    Api::start().run(async |api| {
        let admin = api.admin();
        for name in
            ["bootstrap", "definitions", "endpoints", "certificate", "listener", "flow-schemas", "watches"]
        {
            assert!(api.kill(name), "{name} is there");
        }
        // Watches end and begin again.
        let target = "/api/v1/namespaces?watch=1&timeoutSeconds=600";
        let watching = async { api.ask("admin", "GET", target, "").await.text };
        let killing = async {
            until("the watch is open", async || {
                let metrics = api.ask("admin", "GET", "/metrics", "").await.text;
                metrics.contains("apiserver_longrunning_requests{verb=\"WATCH\"} 1")
            })
            .await;
            // Once its beginning was sent it is the feed's.
            tokio::time::sleep(std::time::Duration::from_millis(300)).await;
            until("the actor lives again", async || api.kill("watches")).await;
        };
        let (text, ()) = tokio::join!(watching, killing);
        assert!(text.contains("\"name\":\"default\""), "{text}");
        // The listener takes connections again.
        let address = api.service.address();
        until("connections are taken", async || tokio::net::TcpStream::connect(address).await.is_ok()).await;
        // Custom kinds come again.
        admin.create(DEFINITIONS, Place::default(), &definition()).await.unwrap();
        let things = "/apis/example.com/v1/things";
        until("the kind is served", async || api.ask("admin", "GET", things, "").await.status == 200).await;
        until("the actor lives again", async || api.kill("definitions")).await;
        assert_eq!(api.ask("admin", "GET", things, "").await.status, 200);
    });
}

#[test]
fn endpoints_name_the_servers_that_live() {
    Api::start().run(async |api| {
        let endpoints = "/api/v1/namespaces/default/endpoints/kubernetes";
        let found = api.ask("admin", "GET", endpoints, "").await.json();
        assert_eq!(found["subsets"][0]["addresses"], json!([{"ip": "127.0.0.1"}]));
        assert_eq!(found["subsets"][0]["ports"][0]["port"], 6443);
        // What others write is mended.
        let mut wrong = found.clone();
        wrong["subsets"] =
            json!([{"addresses": [{"ip": "10.9.9.9"}], "ports": [{"name": "https", "port": 1}]}]);
        assert_eq!(api.ask("admin", "PUT", endpoints, &wrong.to_string()).await.status, 200);
        until("it is mended", async || {
            let found = api.ask("admin", "GET", endpoints, "").await.json();
            found["subsets"][0]["addresses"] == json!([{"ip": "127.0.0.1"}])
        })
        .await;
    });
}
