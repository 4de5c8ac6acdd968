//! Objects that cannot be satisfied, and what they do to others: nothing.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::ground::{Ground, PODS, apps, batch, condition, name, template, uid};
use crate::kit::until;
use crate::run;

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const QUOTAS: &str = "/api/v1/namespaces/default/resourcequotas";

fn deployment(name: &str, app: &str, replicas: u32) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
        "spec": {
            "replicas": replicas, "selector": {"matchLabels": {"app": app}}, "template": template(app, "i:1", json!({})),
        },
    })
}

#[test]
fn cycles_of_owners_are_collected_and_keep_nobody_waiting() {
    run(async || {
        let ground = Ground::start(1).await;
        for policy in ["Background", "Foreground"] {
            let mut made = Vec::new();
            for name in ["a", "b", "c"] {
                let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}});
                made.push(ground.post(MAPS, object).await);
            }
            for at in 0..3 {
                let owner = &made[(at + 1) % 3];
                let owners = json!([{
                    "apiVersion": "v1", "kind": "ConfigMap", "name": name(owner), "uid": uid(owner),
                    "blockOwnerDeletion": true,
                }]);
                let path = format!("{MAPS}/{}", name(&made[at]));
                ground.merge(&path, json!({"metadata": {"ownerReferences": owners}})).await;
            }
            ground.delete_with(&format!("{MAPS}/a"), json!({"propagationPolicy": policy})).await;
            until(&format!("{policy}: all three are gone"), || async {
                let maps = ground.list(MAPS).await;
                maps.iter().all(|map| !["a", "b", "c"].contains(&name(map))).then_some(())
            })
            .await;
        }
        // One that owns itself stays as long as nobody deletes it.
        let own = ground
            .post(MAPS, json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "own"}}))
            .await;
        let owners = json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "own", "uid": uid(&own)}]);
        ground.merge(&format!("{MAPS}/own"), json!({"metadata": {"ownerReferences": owners}})).await;
        ground.post(&apps("deployments"), deployment("web", "web", 2)).await;
        ground.until_ready("app=web", 2).await;
        assert!(ground.get(&format!("{MAPS}/own")).await.is_some());
        ground.delete(&format!("{MAPS}/own")).await;
        until("it goes when it is deleted", || async {
            ground.get(&format!("{MAPS}/own")).await.is_none().then_some(())
        })
        .await;
    });
}

#[test]
fn a_quota_that_is_full_is_told_and_others_go_on() {
    run(async || {
        let ground = Ground::start(2).await;
        let quota = json!({
            "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "few"}, "spec": {"hard": {"pods": "3"}},
        });
        ground.post(QUOTAS, quota).await;
        let few = format!("{QUOTAS}/few");
        ground.until_object("the quota counts", &few, |quota| quota["status"]["used"]["pods"] == "0").await;
        ground.post(&apps("deployments"), deployment("web", "web", 8)).await;
        let web = format!("{}/web", apps("deployments"));
        let told = ground
            .until_object("it says what is wrong", &web, |web| {
                condition(web, "ReplicaFailure")["status"] == "True" && web["status"]["readyReplicas"] == 3
            })
            .await;
        let said = condition(&told, "ReplicaFailure");
        assert_eq!(said["reason"], "FailedCreate");
        assert!(said["message"].as_str().is_some_and(|text| text.contains("exceeded quota: few")), "{said}");
        // Other namespaces are not held up by it.
        ground
            .post(
                "/api/v1/namespaces",
                json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "free"}}),
            )
            .await;
        ground.post("/apis/apps/v1/namespaces/free/deployments", deployment("web", "web", 4)).await;
        ground
            .until_object("the other is ready", "/apis/apps/v1/namespaces/free/deployments/web", |web| {
                web["status"]["readyReplicas"] == 4
            })
            .await;
        // The quota changes while pods are being made, up and down; none is taken away.
        for (hard, ready) in [("5", 5), ("2", 5), ("20", 8)] {
            ground.merge(&few, json!({"spec": {"hard": {"pods": hard}}})).await;
            ground
                .until_object(&format!("with {hard} there are {ready}"), &web, |web| {
                    web["status"]["readyReplicas"] == ready
                })
                .await;
        }
        ground
            .until_object("nothing is wrong any more", &web, |web| condition(web, "ReplicaFailure").is_null())
            .await;
        ground
            .until_object("the quota's count is right", &few, |quota| {
                quota["status"]["used"]["pods"] == "8" && quota["status"]["hard"]["pods"] == "20"
            })
            .await;
    });
}

#[test]
fn names_at_the_limit_work_and_beyond_it_are_refused() {
    run(async || {
        let ground = Ground::start(1).await;
        let long = "d".repeat(63);
        ground.post(&apps("deployments"), deployment(&long, "long", 1)).await;
        let pods = ground.until_ready("app=long", 1).await;
        assert!(
            name(&pods[0]).len() <= 63 && name(&pods[0]).starts_with(&"d".repeat(58)),
            "{}",
            name(&pods[0])
        );
        // Longer than a label's value may be.
        let longer = "e".repeat(253);
        ground.post(&apps("deployments"), deployment(&longer, "longer", 1)).await;
        ground
            .until_object(
                "it says that it cannot make its set",
                &format!("{}/{longer}", apps("deployments")),
                |object| condition(object, "Progressing")["reason"] == "ReplicaSetCreateError",
            )
            .await;
        let refused = ground.try_post(&apps("deployments"), &deployment(&"f".repeat(254), "f", 1)).await;
        assert_eq!(refused.expect_err("too long").code, 422);
        let cron = |name: &str| {
            let mut template = template("cron", "i:1", json!({}));
            template["spec"]["restartPolicy"] = "Never".into();
            json!({
                "apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": name},
                "spec": {"schedule": "0 0 1 1 *", "jobTemplate": {"spec": {"template": template}}},
            })
        };
        ground.post(&batch("cronjobs"), cron(&"c".repeat(52))).await;
        let refused =
            ground.try_post(&batch("cronjobs"), &cron(&"c".repeat(53))).await.expect_err("too long");
        assert!(
            refused.code == 422 && refused.message.contains("must be no more than 52"),
            "{}",
            refused.message
        );
    });
}

/// Pods that stand before anybody asks for them; `TRIREME_SHARED_PODS` says how many.
fn shared_pods() -> usize {
    std::env::var("TRIREME_SHARED_PODS").ok().and_then(|text| text.parse().ok()).unwrap_or(120)
}

#[test]
fn pods_that_match_two_sets_belong_to_one_each() {
    run(async || {
        let ground = Ground::start(2).await;
        let count = shared_pods();
        for number in 0..count {
            let labels = json!({"app": "shared"});
            let object = json!({
                "apiVersion": "v1", "kind": "Pod", "metadata": {"name": format!("p-{number}"), "labels": labels},
                "spec": {"containers": [{"name": "c", "image": "i:1"}]},
            });
            ground.post(PODS, object).await;
        }
        for name in ["left", "right"] {
            let object = json!({
                "apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": name},
                "spec": {
                    "replicas": count / 2, "selector": {"matchLabels": {"app": "shared"}},
                    "template": template("shared", "i:1", json!({})),
                },
            });
            ground.post(&apps("replicasets"), object).await;
        }
        until("each has what it asks for, and owns it", || async {
            let pods = ground.pods("app=shared").await;
            let of = |set: &str| {
                pods.iter()
                    .filter(|pod| {
                        let owners = pod["metadata"]["ownerReferences"].as_array();
                        owners.is_some_and(|owners| owners.len() == 1 && owners[0]["name"] == set)
                    })
                    .count()
            };
            (of("left") == count / 2 && of("right") == count / 2 && pods.len() == count / 2 * 2).then_some(())
        })
        .await;
        let pods = ground.pods("app=shared").await;
        let unique: BTreeSet<&str> = pods.iter().map(uid).collect();
        assert_eq!(unique.len(), pods.len());
        for name in ["left", "right"] {
            ground
                .until_object(
                    &format!("{name} counts its own"),
                    &format!("{}/{name}", apps("replicasets")),
                    |set| set["status"]["replicas"] == count / 2,
                )
                .await;
        }
    });
}
