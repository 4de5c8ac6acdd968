//! PodDisruptionBudgets: evictions wait for replacements.

use serde_json::json;

use crate::ground::{Ground, PODS, Refusal, apps, name, node, template, uid};
use crate::kit::until;
use crate::run;

async fn evict(ground: &Ground, pod: &str) -> Result<(), Refusal> {
    let eviction = json!({
        "apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": "default"},
    });
    ground.try_post(&format!("{PODS}/{pod}/eviction"), &eviction).await.map(drop)
}

#[test]
fn a_second_eviction_is_refused_until_the_first_is_made_good() {
    run(async || {
        let ground = Ground::start(2).await;
        let set = json!({
            "apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": "web"},
            "spec": {"replicas": 3, "selector": {"matchLabels": {"app": "web"}}, "template": template("web", "i:1", json!({}))},
        });
        ground.post(&apps("replicasets"), set).await;
        let pods = ground.until_ready("app=web", 3).await;
        let budgets = "/apis/policy/v1/namespaces/default/poddisruptionbudgets";
        let budget = json!({
            "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "web"},
            "spec": {"maxUnavailable": 1, "selector": {"matchLabels": {"app": "web"}}},
        });
        ground.post(budgets, budget).await;
        let allowed = |count: u64| {
            let (ground, path) = (&ground, format!("{budgets}/web"));
            async move {
                ground
                    .until_object(&format!("{count} may go"), &path, |budget| {
                        budget["status"]["disruptionsAllowed"] == count
                            && budget["status"]["observedGeneration"] == budget["metadata"]["generation"]
                    })
                    .await
            }
        };
        let status = allowed(1).await;
        assert_eq!(
            (&status["status"]["desiredHealthy"], &status["status"]["expectedPods"]),
            (&json!(2), &json!(3))
        );
        // What comes in place of evicted pods is not ready for now.
        let never = |value: serde_json::Value| json!({"spec": {"template": {"metadata": {"annotations": {"hollow.trireme.io/never-ready": value}}}}});
        let path = format!("{}/web", apps("replicasets"));
        ground.merge(&path, never("true".into())).await;
        evict(&ground, name(&pods[0])).await.expect("the first may go");
        let refused = evict(&ground, name(&pods[1])).await.expect_err("the second may not");
        assert_eq!(refused.code, 429, "{}", refused.message);
        assert_eq!(refused.message, "Cannot evict pod as it would violate the pod's disruption budget.");
        allowed(0).await;
        // kubectl drain waits for the same.
        let target = node(&pods[1]).to_owned();
        if let Some(output) =
            ground.kubectl(&["drain", &target, "--timeout=2s", "--force", "--ignore-daemonsets"])
        {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(!output.status.success() && said.contains("disruption budget"), "{said}");
            ground.kubectl(&["uncordon", &target]);
        }
        ground.merge(&path, never(serde_json::Value::Null)).await;
        let unready = until("one is not ready", || async {
            let pods = ground.pods("app=web").await;
            pods.into_iter().find(|pod| !crate::ground::is_ready(pod))
        })
        .await;
        ground.delete(&format!("{PODS}/{}", name(&unready))).await;
        let pods = ground.until_ready("app=web", 3).await;
        allowed(1).await;
        evict(&ground, name(&pods[0])).await.expect("the next may go");
        let gone = uid(&pods[0]).to_owned();
        until("it is replaced", || async {
            let pods = ground.until_ready("app=web", 3).await;
            pods.iter().all(|pod| uid(pod) != gone).then_some(())
        })
        .await;
    });
}
