//! Deployments, ReplicaSets and ReplicationControllers with a scheduler.

use serde_json::{Value, json};

use crate::ground::{Ground, PODS, apps, condition, is_ready, name, names, template, uid};
use crate::kit::until;
use crate::run;

fn deployment(name: &str, replicas: u32, template: Value) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": template},
    })
}

#[test]
fn an_image_change_keeps_to_surge_and_unavailable() {
    run(async || {
        let ground = Ground::start(3).await;
        let mut object = deployment("web", 6, template("web", "i:1", json!({"ready-after": "30ms"})));
        object["spec"]["strategy"] =
            json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 2, "maxUnavailable": 1}});
        ground.post(&apps("deployments"), object).await;
        ground.until_ready("app=web", 6).await;
        let law = ground.watch_law("app=web", |pods| {
            let here = pods.iter().filter(|pod| pod["metadata"]["deletionTimestamp"].is_null());
            let (count, ready) = (here.clone().count(), here.filter(|pod| is_ready(pod)).count());
            match (count <= 8, ready >= 5) {
                (true, true) => Ok(()),
                _ => Err(format!("{count} pods, {ready} ready; 8 are allowed and 5 must be")),
            }
        });
        let web = format!("{}/web", apps("deployments"));
        ground
            .merge(
                &web,
                json!({"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "i:2"}]}}}}),
            )
            .await;
        let done = ground
            .until_object("the rollout is over", &web, |web| {
                condition(web, "Progressing")["reason"] == "NewReplicaSetAvailable"
                    && web["status"]["updatedReplicas"] == 6
                    && web["status"]["replicas"] == 6
                    && web["status"]["observedGeneration"] == web["metadata"]["generation"]
            })
            .await;
        law.held().await;
        assert_eq!(condition(&done, "Available")["status"], "True");
        let said = condition(&done, "Progressing")["message"].as_str().unwrap_or_default().to_owned();
        assert!(
            said.starts_with("ReplicaSet \"web-") && said.ends_with("has successfully progressed."),
            "{said}"
        );
    });
}

#[test]
fn sets_keep_their_pods_adopt_and_release() {
    run(async || {
        let ground = Ground::start(2).await;
        let controllers = "/api/v1/namespaces/default/replicationcontrollers".to_owned();
        for (path, app, selector, kind) in [
            (apps("replicasets"), "rs", json!({"matchLabels": {"app": "rs"}}), "ReplicaSet"),
            (controllers, "rc", json!({"app": "rc"}), "ReplicationController"),
        ] {
            let api_version = if kind == "ReplicaSet" { "apps/v1" } else { "v1" };
            let object = json!({
                "apiVersion": api_version, "kind": kind, "metadata": {"name": app},
                "spec": {"replicas": 3, "selector": selector, "template": template(app, "i:1", json!({}))},
            });
            ground.post(&path, object).await;
            let label = format!("app={app}");
            let pods = ground.until_ready(&label, 3).await;
            // One that is deleted is replaced.
            ground.delete(&format!("{PODS}/{}", name(&pods[0]))).await;
            let gone = uid(&pods[0]).to_owned();
            let pods = until("another takes its place", || async {
                let pods = ground.until_ready(&label, 3).await;
                pods.iter().all(|pod| uid(pod) != gone).then_some(pods)
            })
            .await;
            // One that no longer matches is let go, and lives on.
            let freed = format!("{PODS}/{}", name(&pods[1]));
            ground.merge(&freed, json!({"metadata": {"labels": {"app": "other"}}})).await;
            ground
                .until_object("it has no owner any more", &freed, |pod| {
                    pod["metadata"]["ownerReferences"].as_array().is_none_or(Vec::is_empty)
                })
                .await;
            ground.until_ready(&label, 3).await;
            // It comes back: it is adopted, and one is too many.
            let adopted = ground.merge(&freed, json!({"metadata": {"labels": {"app": app}}})).await;
            until("three are left, all owned", || async {
                let pods = ground.pods(&label).await;
                let owned = |pod: &Value| pod["metadata"]["ownerReferences"][0]["name"] == app;
                (pods.len() == 3 && pods.iter().all(owned)).then_some(())
            })
            .await;
            ground
                .until_object("the status says so", &format!("{path}/{app}"), |set| {
                    set["status"]["replicas"] == 3 && set["status"]["readyReplicas"] == 3
                })
                .await;
            drop(adopted);
        }
    });
}

#[test]
fn a_name_that_is_taken_is_counted_as_a_collision() {
    run(async || {
        let ground = Ground::start(1).await;
        let (sets, deployments) = (apps("replicasets"), apps("deployments"));
        let object = deployment("web", 1, template("web", "i:1", json!({})));
        ground.post(&deployments, object.clone()).await;
        ground.until_ready("app=web", 1).await;
        let first = ground.list(&sets).await;
        let (first, hash) =
            (name(&first[0]).to_owned(), first[0]["metadata"]["labels"]["pod-template-hash"].clone());
        assert_eq!(Some(first.as_str()), hash.as_str().map(|hash| format!("web-{hash}")).as_deref());
        ground.delete(&format!("{deployments}/web")).await;
        until("all of it is gone", || async {
            (ground.list(&sets).await.is_empty() && ground.list(PODS).await.is_empty()).then_some(())
        })
        .await;
        // Someone else's set has the name that the hash leads to.
        let planted = json!({
            "apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": first},
            "spec": {"replicas": 0, "selector": {"matchLabels": {"app": "x"}}, "template": template("x", "i:9", json!({}))},
        });
        let planted = ground.post(&sets, planted).await;
        ground.post(&deployments, object).await;
        let status = ground
            .until_object("the collision is counted", &format!("{deployments}/web"), |web| {
                web["status"]["collisionCount"] == 1 && web["status"]["availableReplicas"] == 1
            })
            .await;
        assert_eq!(status["status"]["replicas"], 1);
        let all = ground.list(&sets).await;
        assert_eq!(all.len(), 2, "{:?}", names(&all));
        let own = all.iter().find(|set| name(set) != first).expect("a second set");
        let other = &own["metadata"]["labels"]["pod-template-hash"];
        assert_ne!(*other, hash);
        assert_eq!(format!("web-{}", other.as_str().expect("text")), name(own));
        let there = all.iter().find(|set| name(set) == first).expect("the planted set");
        assert_eq!(there["metadata"]["uid"], planted["metadata"]["uid"], "nobody touches the planted one");
        assert!(there["metadata"]["ownerReferences"].is_null());
    });
}
