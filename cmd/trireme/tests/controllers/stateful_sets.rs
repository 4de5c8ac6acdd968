//! StatefulSets: order, bursts, updates, history.

use serde_json::{Value, json};

use crate::ground::{Ground, PODS, apps, image, is_ready, name, names, template, uid};
use crate::kit::until;
use crate::run;

const REVISIONS: &str = "/apis/apps/v1/namespaces/default/controllerrevisions";

fn set(replicas: u32, more: Value, template: Value) -> Value {
    let mut object = json!({
        "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "db"},
        "spec": {
            "replicas": replicas, "serviceName": "db", "selector": {"matchLabels": {"app": "db"}}, "template": template,
        },
    });
    object["spec"].as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    object
}

fn db() -> String {
    format!("{}/db", apps("statefulsets"))
}

fn with_image(image: &str) -> Value {
    json!({"spec": {"template": {"spec": {"containers": [{"name": "c", "image": image}]}}}})
}

fn ordinal(pod: &Value) -> usize {
    name(pod).rsplit('-').next().and_then(|text| text.parse().ok()).expect("names end in an ordinal")
}

#[test]
fn a_parallel_set_bursts_and_restarts_side_by_side_and_an_ordered_one_waits() {
    run(async || {
        let ground = Ground::start(2).await;
        let unready = json!({"never-ready.0": "true"});
        let parallel = json!({"podManagementPolicy": "Parallel"});
        ground.post(&apps("statefulsets"), set(5, parallel, template("db", "i:1", unready.clone()))).await;
        let all = |ready: usize| {
            let ground = &ground;
            move || async move {
                let pods = ground.pods("app=db").await;
                (pods.len() == 5 && pods.iter().filter(|pod| is_ready(pod)).count() == ready).then_some(pods)
            }
        };
        let before = until("five run, the first never ready", all(4)).await;
        assert!(!is_ready(&before[0]));
        ground.delete(&format!("{PODS}/db-0")).await;
        ground.delete(&format!("{PODS}/db-4")).await;
        until("both come back although the first is not ready", || async {
            let pods = all(4)().await?;
            (uid(&pods[0]) != uid(&before[0]) && uid(&pods[4]) != uid(&before[4])).then_some(())
        })
        .await;
        ground.delete(&db()).await;
        until("the pods go with their set", || async { ground.list(PODS).await.is_empty().then_some(()) })
            .await;

        ground.post(&apps("statefulsets"), set(3, json!({}), template("db", "i:1", unready))).await;
        ground
            .until_object("the first runs and is counted", &db(), |db| {
                db["status"]["replicas"] == 1 && db["status"]["currentReplicas"] == 1
            })
            .await;
        ground
            .until_object("it runs", &format!("{PODS}/db-0"), |pod| pod["status"]["phase"] == "Running")
            .await;
        // Something else that the controller does shows that it has looked since.
        ground.merge(&db(), json!({"spec": {"replicas": 4}})).await;
        ground
            .until_object("it has looked", &db(), |db| {
                db["status"]["observedGeneration"] == db["metadata"]["generation"]
            })
            .await;
        assert_eq!(names(&ground.list(PODS).await), ["db-0"], "the second waits for the first");
    });
}

#[test]
fn an_update_walks_down_and_waits_for_each() {
    run(async || {
        let ground = Ground::start(2).await;
        let slow = json!({"ready-after": "40ms"});
        let law = ground.watch_law("app=db", |pods| {
            // Scaling up: none is there before those below it are ready.
            let highest = pods.iter().map(ordinal).max();
            let early = pods.iter().find(|pod| Some(ordinal(pod)) != highest && !is_ready(pod));
            early.map_or(Ok(()), |pod| Err(format!("{} is not ready in {:?}", name(pod), names(pods))))
        });
        ground.post(&apps("statefulsets"), set(4, json!({}), template("db", "i:1", slow))).await;
        ground.until_ready("app=db", 4).await;
        law.held().await;
        let before = ground.until_object("counted", &db(), |db| db["status"]["readyReplicas"] == 4).await;
        let old = before["status"]["currentRevision"].clone();
        assert_eq!(before["status"]["updateRevision"], old);
        let law = ground.watch_law("app=db", |pods| {
            let unready = pods.iter().filter(|pod| !is_ready(pod)).count() + (4 - pods.len());
            let new: Vec<usize> = pods.iter().filter(|pod| image(pod) == "i:2").map(ordinal).collect();
            let old = pods.iter().filter(|pod| image(pod) == "i:1").map(ordinal).max();
            match (unready <= 1, old.is_none_or(|old| new.iter().all(|new| *new > old))) {
                (true, true) => Ok(()),
                _ => Err(format!("{unready} not ready, new {new:?}, highest old {old:?}")),
            }
        });
        ground.merge(&db(), with_image("i:2")).await;
        let under_way = ground
            .until_object("the new revision is known", &db(), |db| db["status"]["updateRevision"] != old)
            .await;
        let new = under_way["status"]["updateRevision"].clone();
        let done = ground
            .until_object("the update is over", &db(), |db| {
                db["status"]["currentRevision"] == new && db["status"]["updatedReplicas"] == 4
            })
            .await;
        law.held().await;
        assert_eq!(done["status"]["updateRevision"], new);
        for pod in ground.until_ready("app=db", 4).await {
            assert_eq!((image(&pod), &pod["metadata"]["labels"]["controller-revision-hash"]), ("i:2", &new));
        }
    });
}

#[test]
fn a_partition_keeps_the_lower_ordinals_on_the_old_revision() {
    run(async || {
        let ground = Ground::start(2).await;
        let canary = json!({"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}});
        ground.post(&apps("statefulsets"), set(4, canary, template("db", "i:1", json!({})))).await;
        let before = ground.until_ready("app=db", 4).await;
        ground.merge(&db(), with_image("i:2")).await;
        let images = |wanted: [&'static str; 4]| {
            let ground = &ground;
            move || async move {
                let pods = ground.pods("app=db").await;
                let right = pods.len() == 4 && pods.iter().all(is_ready);
                (right && pods.iter().map(image).eq(wanted)).then_some(pods)
            }
        };
        let after = until("only the upper two are new", images(["i:1", "i:1", "i:2", "i:2"])).await;
        assert_eq!((uid(&after[0]), uid(&after[1])), (uid(&before[0]), uid(&before[1])));
        ground.delete(&format!("{PODS}/db-0")).await;
        until("the first comes back as it was", || async {
            let pods = images(["i:1", "i:1", "i:2", "i:2"])().await?;
            (uid(&pods[0]) != uid(&before[0])).then_some(())
        })
        .await;
        let status = ground
            .until_object("the status counts both", &db(), |db| {
                db["status"]["updatedReplicas"] == 2 && db["status"]["currentReplicas"] == 2
            })
            .await;
        assert_ne!(status["status"]["currentRevision"], status["status"]["updateRevision"]);
        ground.merge(&db(), json!({"spec": {"updateStrategy": {"rollingUpdate": {"partition": 0}}}})).await;
        until("without a partition all are new", images(["i:2"; 4])).await;
    });
}

#[test]
fn on_delete_changes_no_pod_until_it_is_deleted() {
    run(async || {
        let ground = Ground::start(2).await;
        let strategy = json!({"updateStrategy": {"type": "OnDelete"}});
        ground.post(&apps("statefulsets"), set(3, strategy, template("db", "i:1", json!({})))).await;
        let before = ground.until_ready("app=db", 3).await;
        ground.merge(&db(), with_image("i:2")).await;
        ground
            .until_object("the controller knows of the change", &db(), |db| {
                db["status"]["observedGeneration"] == db["metadata"]["generation"]
                    && db["status"]["updateRevision"] != db["status"]["currentRevision"]
            })
            .await;
        ground.delete(&format!("{PODS}/db-1")).await;
        let after = until("the deleted one comes back", || async {
            let pods = ground.until_ready("app=db", 3).await;
            (uid(&pods[1]) != uid(&before[1])).then_some(pods)
        })
        .await;
        assert_eq!(after.iter().map(image).collect::<Vec<_>>(), ["i:1", "i:2", "i:1"]);
        assert_eq!((uid(&after[0]), uid(&after[2])), (uid(&before[0]), uid(&before[2])));
    });
}

#[test]
fn each_change_is_a_revision_equal_ones_are_one_and_old_ones_go() {
    run(async || {
        let ground = Ground::start(1).await;
        let limit = json!({"revisionHistoryLimit": 1});
        ground.post(&apps("statefulsets"), set(1, limit, template("db", "i:1", json!({})))).await;
        let mut first = String::new();
        let numbers = |revisions: &[Value]| {
            let mut numbers: Vec<u64> = revisions.iter().filter_map(|one| one["revision"].as_u64()).collect();
            numbers.sort_unstable();
            numbers
        };
        // The last one goes back to the second: one that is there is taken, and becomes the newest.
        for (image, kept) in [("i:1", vec![1]), ("i:2", vec![1, 2]), ("i:3", vec![2, 3]), ("i:2", vec![3, 4])]
        {
            ground.merge(&db(), with_image(image)).await;
            ground
                .until_object(&format!("{image} is everywhere"), &db(), |db| {
                    db["status"]["observedGeneration"] == db["metadata"]["generation"]
                        && db["status"]["currentRevision"] == db["status"]["updateRevision"]
                        && db["status"]["updatedReplicas"] == 1
                        && db["status"]["readyReplicas"] == 1
                })
                .await;
            let revisions = until(&format!("revisions {kept:?} are kept"), || async {
                let revisions = ground.list(REVISIONS).await;
                (numbers(&revisions) == kept).then_some(revisions)
            })
            .await;
            let newest = revisions.iter().max_by_key(|one| one["revision"].as_u64()).expect("one is there");
            if first.is_empty() && image == "i:2" {
                first = uid(newest).to_owned();
            } else if image == "i:2" {
                assert_eq!(uid(newest), first, "equal content is one revision");
            }
            assert_eq!(newest["metadata"]["ownerReferences"][0]["name"], "db");
        }
    });
}
