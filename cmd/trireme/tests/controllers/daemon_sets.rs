//! DaemonSets: one pod for each node, rollouts and their history.

use serde_json::{Value, json};

use crate::ground::{Ground, NODES, apps, image, name, node, template, uid};
use crate::kit::until;
use crate::run;

const REVISIONS: &str = "/apis/apps/v1/namespaces/default/controllerrevisions";

fn set(more: Value, template: Value) -> Value {
    let mut object = json!({
        "apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "agent"},
        "spec": {"selector": {"matchLabels": {"app": "agent"}}, "template": template},
    });
    object["spec"].as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    object
}

fn agent() -> String {
    format!("{}/agent", apps("daemonsets"))
}

fn update(image: &str, hollow: Value) -> Value {
    json!({"spec": {"template": template("agent", image, hollow)}})
}

async fn until_on(ground: &Ground, wanted: &[&str]) -> Vec<Value> {
    until(&format!("one pod on each of {wanted:?}"), || async {
        let pods = ground.until_ready("app=agent", wanted.len()).await;
        let mut nodes: Vec<&str> = pods.iter().map(node).collect();
        nodes.sort_unstable();
        (nodes == wanted).then_some(pods)
    })
    .await
}

#[test]
fn every_node_that_is_selected_and_tolerated_has_one_pod() {
    run(async || {
        let ground = Ground::start(4).await;
        let taint = json!([{"key": "example.com/only", "value": "x", "effect": "NoSchedule"}]);
        ground.merge(&format!("{NODES}/hollow-3"), json!({"spec": {"taints": taint}})).await;
        ground.post(&apps("daemonsets"), set(json!({}), template("agent", "i:1", json!({})))).await;
        until_on(&ground, &["hollow-0", "hollow-1", "hollow-2"]).await;
        // A node that comes gets one: taken away and brought back under another name.
        ground.merge(&format!("{NODES}/hollow-3"), json!({"spec": {"taints": null}})).await;
        until_on(&ground, &["hollow-0", "hollow-1", "hollow-2", "hollow-3"]).await;
        let mut joining = ground.get(&format!("{NODES}/hollow-3")).await.expect("it is there");
        let labels = json!({"kubernetes.io/hostname": "late", "disk": "ssd"});
        joining["metadata"] = json!({"name": "late", "labels": labels});
        joining["spec"] = json!({});
        ground.post(NODES, joining).await;
        until("a pod is placed on the node that joined", || async {
            ground.pods("app=agent").await.iter().any(|pod| node(pod) == "late").then_some(())
        })
        .await;
        ground.delete(&format!("{NODES}/late")).await;
        until_on(&ground, &["hollow-0", "hollow-1", "hollow-2", "hollow-3"]).await;
        // Only selected nodes.
        ground.merge(&format!("{NODES}/hollow-1"), json!({"metadata": {"labels": {"disk": "hdd"}}})).await;
        ground
            .merge(&agent(), json!({"spec": {"template": {"spec": {"nodeSelector": {"disk": "hdd"}}}}}))
            .await;
        until_on(&ground, &["hollow-1"]).await;
        ground
            .until_object("the status says so", &agent(), |set| {
                let of = |name: &str| &set["status"][name];
                *of("desiredNumberScheduled") == 1
                    && *of("numberReady") == 1
                    && *of("numberMisscheduled") == 0
            })
            .await;
    });
}

#[test]
fn going_back_leaves_pods_alone_that_are_there_already() {
    run(async || {
        let ground = Ground::start(3).await;
        ground.post(&apps("daemonsets"), set(json!({}), template("agent", "i:1", json!({})))).await;
        let before = ground.until_ready("app=agent", 3).await;
        // The new image never becomes ready: the rollout stops after one.
        ground.merge(&agent(), update("i:2", json!({"never-ready": "true"}))).await;
        until("one pod is new", || async {
            let pods = ground.pods("app=agent").await;
            let new = pods.iter().filter(|pod| image(pod) == "i:2" && pod["status"]["phase"] == "Running");
            (pods.len() == 3 && new.count() == 1).then_some(())
        })
        .await;
        let history = ground.kubectl(&["rollout", "history", "daemonset/agent"]);
        if let Some(history) = history {
            let text = String::from_utf8_lossy(&history.stdout).into_owned();
            assert!(
                text.lines().any(|line| line.starts_with('1'))
                    && text.lines().any(|line| line.starts_with('2')),
                "{text}"
            );
            let undone = ground
                .kubectl(&["rollout", "undo", "--to-revision=1", "daemonset/agent"])
                .expect("it is there");
            assert!(undone.status.success(), "{}", String::from_utf8_lossy(&undone.stderr));
        } else {
            ground.merge(&agent(), update("i:1", json!({"never-ready": null}))).await;
        }
        let after = until("all are as they were", || async {
            let pods = ground.until_ready("app=agent", 3).await;
            pods.iter().all(|pod| image(pod) == "i:1").then_some(pods)
        })
        .await;
        let kept = after.iter().filter(|pod| before.iter().any(|old| uid(old) == uid(pod))).count();
        assert_eq!(kept, 2, "those that never left the old image are not touched");
        until("the old revision is the newest now", || async {
            let mut revisions = ground.list(REVISIONS).await;
            revisions.sort_by_key(|one| one["revision"].as_u64());
            let numbers: Vec<_> = revisions.iter().map(|one| one["revision"].as_u64()).collect();
            (numbers == [Some(2), Some(3)]).then_some(())
        })
        .await;
    });
}

#[test]
fn revisions_beyond_the_limit_go_when_no_pod_uses_them() {
    run(async || {
        let ground = Ground::start(2).await;
        let more = json!({"revisionHistoryLimit": 2, "updateStrategy": {"type": "OnDelete"}});
        ground.post(&apps("daemonsets"), set(more, template("agent", "i:1", json!({})))).await;
        ground.until_ready("app=agent", 2).await;
        let numbers = |wanted: &'static [u64]| {
            let ground = &ground;
            move || async move {
                let mut numbers: Vec<u64> =
                    ground.list(REVISIONS).await.iter().filter_map(|one| one["revision"].as_u64()).collect();
                numbers.sort_unstable();
                (numbers == wanted).then_some(())
            }
        };
        let steps: [(&str, &'static [u64]); 4] =
            [("i:2", &[1, 2]), ("i:3", &[1, 2, 3]), ("i:4", &[1, 3, 4]), ("i:5", &[1, 4, 5])];
        for (image, wanted) in steps {
            // The pods stay on the first: it is kept, and counts as one of the two.
            ground.merge(&agent(), update(image, json!({}))).await;
            until(&format!("with {image} the revisions are {wanted:?}"), numbers(wanted)).await;
        }
        for pod in ground.pods("app=agent").await {
            ground.delete(&format!("{}/{}", crate::ground::PODS, name(&pod))).await;
        }
        until("both come back new", || async {
            let pods = ground.until_ready("app=agent", 2).await;
            pods.iter().all(|pod| image(pod) == "i:5").then_some(())
        })
        .await;
        ground.merge(&agent(), update("i:6", json!({}))).await;
        until("no pod uses the first any more, and it goes", numbers(&[4, 5, 6])).await;
    });
}
