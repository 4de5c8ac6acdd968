//! Controllers on a live API, with hollow pods: rollouts, endpoints, garbage, namespaces; killed actors and leaders.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests")]

mod bad_input;
mod budgets;
mod certificates;
mod cron_jobs;
mod daemon_sets;
mod deployments;
mod extender;
mod ground;
mod jobs;
mod kit;
mod leaders;
mod scheduling;
mod stateful_sets;
#[path = "../support/mod.rs"]
mod support;

use k8s_openapi::api::core::v1::{ConfigMap, Endpoints, Namespace, Service, ServiceAccount};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::Api;
use kube::ResourceExt;
use kube::api::{DeleteParams, ListParams, PostParams};
use serde_json::json;

use kit::{Hollow, until};

fn run(test: impl AsyncFnOnce()) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(test());
}

#[allow(clippy::print_stdout, reason = "whoever reads the tests' output is to see it")]
fn skipped(why: &str) {
    println!("SKIPPED: {why}");
}

#[test]
fn a_deployment_rolls_out_back_and_away() {
    run(async || {
        let folder = tempfile::tempdir().expect("a folder");
        let hollow = Hollow::start(folder.path(), 1).await;
        hollow.create("web", 4).await;
        hollow.until_rolled_out("web", 4, "i:1").await;
        hollow.kubectl(&["rollout", "status", "deployment/web", "--timeout=60s"]);

        // Surge 25 % and unavailable 25 %, both of four.
        let observer = hollow.observe();
        hollow.set_image("web", "i:2").await;
        hollow.until_rolled_out("web", 4, "i:2").await;
        let (most, fewest) = observer.finish();
        assert!(most <= 5, "{most} pods at once, 5 are allowed");
        assert!(fewest >= 3, "{fewest} pods ready, 3 must be");

        if let Some(history) = hollow.kubectl(&["rollout", "history", "deployment/web"]) {
            assert!(history.contains('1') && history.contains('2'), "{history}");
            hollow.kubectl(&["rollout", "undo", "deployment/web"]);
            hollow.kubectl(&["rollout", "status", "deployment/web", "--timeout=60s"]);
        } else {
            hollow.set_image("web", "i:1").await;
        }
        hollow.until_rolled_out("web", 4, "i:1").await;
        let sets = hollow.sets().list(&ListParams::default()).await.expect("a list");
        assert_eq!(sets.items.len(), 2, "going back uses the set that is there");

        hollow.patch("web", json!({"replicas": 7})).await;
        hollow.until_rolled_out("web", 7, "i:1").await;
        hollow.deployments().delete("web", &DeleteParams::default()).await.expect("it is there");
        until("the garbage is collected", || async {
            let sets = hollow.sets().list(&ListParams::default()).await.ok()?;
            let pods = hollow.pods().list(&ListParams::default()).await.ok()?;
            (sets.items.is_empty() && pods.items.is_empty()).then_some(())
        })
        .await;
        let settled = hollow.cluster.run(&["actors", "/cluster/controllers", "-o", "json"]);
        assert!(settled.status.success());
    });
}

#[test]
fn services_lead_to_ready_pods_and_people_see_events() {
    run(async || {
        let folder = tempfile::tempdir().expect("a folder");
        let hollow = Hollow::start(folder.path(), 1).await;
        hollow.create("web", 3).await;
        let services: Api<Service> = Api::default_namespaced(hollow.client.clone());
        let service = json!({
            "metadata": {"name": "web", "labels": {"tier": "front"}},
            "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]},
        });
        let service = serde_json::from_value(service).expect("a Service");
        services.create(&PostParams::default(), &service).await.expect("it is new");
        hollow.until_rolled_out("web", 3, "i:1").await;
        let slices: Api<EndpointSlice> = Api::default_namespaced(hollow.client.clone());
        let of_web = ListParams::default().labels("kubernetes.io/service-name=web");
        let ready = |count: usize| {
            let (slices, of_web) = (slices.clone(), of_web.clone());
            move || {
                let (slices, of_web) = (slices.clone(), of_web.clone());
                async move {
                    let slices = slices.list(&of_web).await.ok()?.items;
                    let endpoints = slices.iter().flat_map(|slice| &slice.endpoints);
                    let ready =
                        endpoints.filter(|e| e.conditions.as_ref().is_some_and(|c| c.ready == Some(true)));
                    (slices.len() == 1 && ready.count() == count).then(|| slices[0].clone())
                }
            }
        };
        let slice = until("three endpoints are ready", ready(3)).await;
        assert_eq!(slice.labels()["tier"], "front");
        assert_eq!(slice.ports.as_ref().expect("ports")[0].port, Some(8080));
        let endpoints: Api<Endpoints> = Api::default_namespaced(hollow.client.clone());
        until("the Endpoints say the same", || async {
            let subsets = endpoints.get("web").await.ok()?.subsets?;
            (subsets.len() == 1 && subsets[0].addresses.as_ref()?.len() == 3).then_some(())
        })
        .await;
        hollow.patch("web", json!({"replicas": 1})).await;
        until("one endpoint is left", ready(1)).await;
        services.delete("web", &DeleteParams::default()).await.expect("it is there");
        until("slices and Endpoints go with their Service", || async {
            let slices = slices.list(&of_web).await.ok()?.items;
            (slices.is_empty() && endpoints.get_opt("web").await.ok()?.is_none()).then_some(())
        })
        .await;
        let events: Api<k8s_openapi::api::core::v1::Event> = Api::default_namespaced(hollow.client.clone());
        until("people see what happened", || async {
            let events = events.list(&ListParams::default()).await.ok()?.items;
            let has = |reason: &str| events.iter().any(|event| event.reason.as_deref() == Some(reason));
            (has("ScalingReplicaSet") && has("SuccessfulCreate") && has("SuccessfulDelete")).then_some(())
        })
        .await;
    });
}

#[test]
fn namespaces_get_what_every_one_has_and_lose_everything() {
    run(async || {
        let folder = tempfile::tempdir().expect("a folder");
        let hollow = Hollow::start(folder.path(), 1).await;
        let namespaces: Api<Namespace> = Api::all(hollow.client.clone());
        let named = serde_json::from_value(json!({"metadata": {"name": "n"}})).expect("a Namespace");
        namespaces.create(&PostParams::default(), &named).await.expect("it is new");
        let accounts: Api<ServiceAccount> = Api::namespaced(hollow.client.clone(), "n");
        let maps: Api<ConfigMap> = Api::namespaced(hollow.client.clone(), "n");
        until("it has its account", || async { accounts.get_opt("default").await.ok()? }).await;
        let certificates =
            until("it has the certificates", || async { maps.get_opt("kube-root-ca.crt").await.ok()? }).await;
        assert!(certificates.data.expect("data")["ca.crt"].contains("BEGIN CERTIFICATE"));
        accounts.delete("default", &DeleteParams::default()).await.expect("it is there");
        until("what is deleted comes back", || async { accounts.get_opt("default").await.ok()? }).await;
        let held = json!({"metadata": {"name": "held", "finalizers": ["example.com/hold"]}});
        let held = serde_json::from_value(held).expect("a ConfigMap");
        maps.create(&PostParams::default(), &held).await.expect("it is new");
        namespaces.delete("n", &DeleteParams::default()).await.expect("it is there");
        until("the status says what is left", || async {
            let conditions = namespaces.get("n").await.ok()?.status?.conditions?;
            let says = |c: &&k8s_openapi::api::core::v1::NamespaceCondition| {
                c.type_ == "NamespaceFinalizersRemaining" && c.status == "True"
            };
            conditions.iter().find(says).map(drop)
        })
        .await;
        let released = kube::api::Patch::Merge(json!({"metadata": {"finalizers": null}}));
        maps.patch("held", &kube::api::PatchParams::default(), &released).await.expect("it is there");
        until("the namespace is gone", || async {
            namespaces.get_opt("n").await.ok()?.is_none().then_some(())
        })
        .await;
    });
}

#[test]
fn controllers_that_are_killed_again_and_again_lose_and_double_nothing() {
    run(async || {
        let folder = tempfile::tempdir().expect("a folder");
        let hollow = Hollow::start(folder.path(), 1).await;
        hollow.create("web", 4).await;
        hollow.until_rolled_out("web", 4, "i:1").await;
        let observer = hollow.observe();
        let arm = ["chaos", "arm", "--kill", "/cluster/**", "--per-mille", "150", "--dead-man-ms", "20000"];
        let armed = hollow.cluster.run(&arm);
        assert!(armed.status.success(), "{}", String::from_utf8_lossy(&armed.stderr));
        for round in 2..5 {
            hollow.set_image("web", &format!("i:{round}")).await;
            hollow.until_rolled_out("web", 4, &format!("i:{round}")).await;
        }
        let (most, fewest) = observer.finish();
        assert!(most <= 5, "{most} pods at once, 5 are allowed");
        assert!(fewest >= 3, "{fewest} pods ready, 3 must be");
        let healed = hollow.cluster.run(&["chaos", "heal"]);
        assert!(healed.status.success());
        let sets = hollow.sets().list(&ListParams::default()).await.expect("a list").items;
        assert_eq!(sets.len(), 4, "one set for each image");
    });
}
