//! Priority and fairness: a flood of one user, the requests of another.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::sync::Semaphore;
use trireme_apiserver::client::{Place, Resource};

use super::kit::Api;

const GROUP: &str = "flowcontrol.apiserver.k8s.io";

/// A level with one seat for two users, told apart by name.
async fn narrow(api: &Api) {
    let admin = api.admin();
    let resource = |resource| Resource { group: GROUP, version: "v1", resource };
    let level = json!({"kind": "PriorityLevelConfiguration", "apiVersion": "flowcontrol.apiserver.k8s.io/v1",
        "metadata": {"name": "narrow"}, "spec": {"type": "Limited", "limited": {
            "nominalConcurrencyShares": 1, "lendablePercent": 0, "borrowingLimitPercent": 0,
            "limitResponse": {"type": "Queue",
                "queuing": {"queues": 64, "handSize": 4, "queueLengthLimit": 4}}}}});
    admin.create(resource("prioritylevelconfigurations"), Place::default(), &level).await.unwrap();
    let rule = json!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "namespaces": ["*"],
        "clusterScope": true});
    let subject = |name: &str| json!({"kind": "User", "user": {"name": name}});
    let schema = json!({"kind": "FlowSchema", "apiVersion": "flowcontrol.apiserver.k8s.io/v1",
        "metadata": {"name": "narrow"}, "spec": {"matchingPrecedence": 10,
            "priorityLevelConfiguration": {"name": "narrow"}, "distinguisherMethod": {"type": "ByUser"},
            "rules": [{"subjects": [subject("flood"), subject("nobody")], "resourceRules": [rule]}]}});
    admin.create(resource("flowschemas"), Place::default(), &schema).await.unwrap();
    // The gate looks at its configuration again after a while.
    tokio::time::sleep(Duration::from_millis(250)).await;
}

#[test]
fn a_flood_does_not_starve_another_flow() {
    let small = |config: &mut trireme_apiserver::ServerConfig| {
        config.max_requests = 3;
        config.max_mutating = 2;
        config.authorization = trireme_apiserver::Mode::parse_list("AlwaysAllow").unwrap();
    };
    Api::start_with(small).run(async |api| {
        narrow(api).await;
        let path = "/api/v1/namespaces/default/configmaps";
        let answer = api.ask("flood", "GET", path, "").await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        for header in ["x-kubernetes-pf-flowschema-uid", "x-kubernetes-pf-prioritylevel-uid"] {
            assert_eq!(answer.headers[header].len(), 36, "{header}");
        }
        let stop = Arc::new(Semaphore::new(0));
        let mut flood = tokio::task::JoinSet::new();
        for number in 0..48 {
            let (handler, stop) = (api.handler.clone(), stop.clone());
            flood.spawn(async move {
                let mut turned = 0u32;
                while stop.try_acquire().is_err() {
                    let name = format!("f{number}-{turned}");
                    turned += u32::from(super::kit::post(&handler, "flood", &name).await == 429);
                    tokio::task::yield_now().await;
                }
                turned
            });
        }
        let mut slowest = Duration::ZERO;
        for _ in 0..20 {
            let started = std::time::Instant::now();
            let answer = api.ask("nobody", "GET", path, "").await;
            assert_eq!(answer.status, 200, "the quiet flow is never turned away: {}", answer.text);
            slowest = slowest.max(started.elapsed());
        }
        stop.add_permits(48);
        let turned: u32 = flood.join_all().await.into_iter().sum();
        println!("slowest request of the quiet flow: {slowest:?}; turned away of the flood: {turned}");
        assert!(turned > 0, "48 clients on one seat fill their queues");
        let metrics = api.ask("admin", "GET", "/metrics", "").await.text;
        for name in ["dispatched_requests_total", "rejected_requests_total"] {
            let line =
                format!("apiserver_flowcontrol_{name}{{flow_schema=\"narrow\",priority_level=\"narrow\"");
            assert!(metrics.contains(&line), "{name}: {metrics}");
        }
    });
}

#[test]
fn requests_end_when_their_time_is_over() {
    Api::start().run(async |api| {
        let bad = api.ask("admin", "GET", "/api/v1/pods?timeout=soon", "").await;
        assert_eq!(bad.status, 400, "{}", bad.text);
        assert!(bad.text.contains("invalid timeout specified in the request URL"), "{}", bad.text);
        let over = api.ask("admin", "GET", "/api/v1/pods?timeout=1ns", "").await;
        // Fast enough or not: never anything else.
        assert!(matches!(over.status, 200 | 504), "{}", over.text);
        let watch = api.ask("admin", "GET", "/api/v1/pods?watch=1&timeoutSeconds=1", "").await;
        assert_eq!(watch.status, 200);
    });
}

#[test]
fn schemas_say_whether_their_level_exists() {
    Api::start().run(async |api| {
        let base = "/apis/flowcontrol.apiserver.k8s.io/v1/flowschemas";
        let schema = json!({"kind": "FlowSchema", "apiVersion": "flowcontrol.apiserver.k8s.io/v1",
            "metadata": {"name": "nowhere"}, "spec": {"priorityLevelConfiguration": {"name": "none"}}});
        assert_eq!(api.ask("admin", "POST", base, &schema.to_string()).await.status, 201);
        for (name, wanted) in [("nowhere", "True"), ("catch-all", "False")] {
            super::kit::until("the condition is written", async || {
                let found = api.ask("admin", "GET", &format!("{base}/{name}"), "").await.json();
                let condition = &found["status"]["conditions"][0];
                condition["type"] == "Dangling" && condition["status"] == wanted
            })
            .await;
        }
    });
}
