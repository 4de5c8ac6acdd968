//! Jobs: completions, lost nodes, back-off, success policies.

use std::process::{Child, Stdio};

use serde_json::{Value, json};

use crate::ground::{Ground, NODES, PODS, batch, condition, name, names, node, template};
use crate::kit::until;
use crate::run;
use crate::support::trireme;

fn job(name: &str, more: Value, mut template: Value) -> Value {
    template["spec"]["restartPolicy"] = "Never".into();
    let mut object = json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": {"template": template},
    });
    object["spec"].as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    object
}

fn path(name: &str) -> String {
    format!("{}/{name}", batch("jobs"))
}

fn is_true(object: &Value, kind: &str) -> bool {
    condition(object, kind)["status"] == "True"
}

/// Hollow nodes of a process of their own, which can die.
struct Fleet(Child);

impl Fleet {
    fn start(ground: &Ground, prefix: &str) -> Self {
        let kubeconfig = format!("--kubeconfig={}", ground.kubeconfig().display());
        let child = trireme(ground.cluster.folder())
            .args(["hollow", &kubeconfig, "--nodes=1", &format!("--name-prefix={prefix}")])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Self(child.expect("trireme runs"))
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}

#[test]
fn a_job_has_exactly_its_completions_and_survives_a_lost_node() {
    run(async || {
        let ground = Ground::start(1).await;
        let fleet = Fleet::start(&ground, "doomed-");
        let doomed = format!("{NODES}/doomed-0");
        ground.until_object("the other node is ready", &doomed, |node| is_true(node, "Ready")).await;
        // The first two run on the node that will be lost, and never end there.
        ground.merge(&format!("{NODES}/hollow-0"), json!({"spec": {"unschedulable": true}})).await;
        let spec = json!({"completions": 5, "parallelism": 2, "backoffLimit": 4});
        let pods = template("five", "i:1", json!({"exit-after": "300ms", "exit-after.doomed-0": "10m"}));
        ground.post(&batch("jobs"), job("five", spec, pods)).await;
        until("two run on the node that dies", || async {
            let pods = ground.pods("app=five").await;
            let running = |pod: &&Value| node(pod) == "doomed-0" && pod["status"]["phase"] == "Running";
            (pods.iter().filter(running).count() == 2).then_some(())
        })
        .await;
        let law = ground.watch_law("app=five", |pods| {
            let live = |pod: &&Value| {
                pod["metadata"]["deletionTimestamp"].is_null()
                    && !matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"))
            };
            let count = pods.iter().filter(live).count();
            if count > 2 { Err(format!("{count} at once, 2 are allowed")) } else { Ok(()) }
        });
        drop(fleet);
        ground.merge(&format!("{NODES}/hollow-0"), json!({"spec": {"unschedulable": null}})).await;
        ground.delete(&doomed).await;
        let done = ground.until_object("it is complete", &path("five"), |job| is_true(job, "Complete")).await;
        law.held().await;
        assert_eq!(done["status"]["succeeded"], 5, "{}", done["status"]);
        assert!(is_true(&done, "SuccessCriteriaMet"));
        assert_eq!(condition(&done, "Complete")["reason"], "CompletionsReached");
        let pods = ground.list(&format!("{PODS}?labelSelector=app=five")).await;
        let ended = pods.iter().filter(|pod| pod["status"]["phase"] == "Succeeded").count();
        assert_eq!(ended, 5, "{:?}", names(&pods));
    });
}

#[test]
fn a_job_that_fails_too_often_is_failed_and_its_pods_stop() {
    run(async || {
        let ground = Ground::start(1).await;
        let spec =
            json!({"completions": 3, "parallelism": 3, "completionMode": "Indexed", "backoffLimit": 0});
        let hollow =
            json!({"exit-after.0": "10m", "exit-after.1": "10m", "exit-code.2": "7", "exit-after.2": "50ms"});
        ground.post(&batch("jobs"), job("bad", spec, template("bad", "i:1", hollow))).await;
        let failed = ground.until_object("it is failed", &path("bad"), |job| is_true(job, "Failed")).await;
        assert_eq!(condition(&failed, "Failed")["reason"], "BackoffLimitExceeded");
        assert_eq!(condition(&failed, "Failed")["message"], "Job has reached the specified backoff limit");
        assert_eq!(condition(&failed, "FailureTarget")["reason"], "BackoffLimitExceeded");
        until("what ran is stopped", || async {
            let pods = ground.pods("app=bad").await;
            pods.iter().all(|pod| pod["status"]["phase"] == "Failed").then_some(())
        })
        .await;
    });
}

/// The pods of an indexed Job: index 2 ends well, all others would run on.
fn leader_and_workers(app: &str) -> Value {
    let hollow = json!({
        "exit-after.0": "10m", "exit-after.1": "10m", "exit-after.3": "10m", "exit-after.4": "10m",
        "exit-after.2": "100ms",
    });
    template(app, "i:1", hollow)
}

#[test]
fn one_of_the_named_indexes_is_enough_where_the_success_policy_counts_one() {
    run(async || {
        let ground = Ground::start(2).await;
        let spec = json!({
            "completions": 5, "parallelism": 5, "completionMode": "Indexed",
            "successPolicy": {"rules": [{"succeededIndexes": "0,2-3", "succeededCount": 1}]},
        });
        ground.post(&batch("jobs"), job("one", spec, leader_and_workers("one"))).await;
        let done = ground.until_object("it is complete", &path("one"), |job| is_true(job, "Complete")).await;
        for kind in ["SuccessCriteriaMet", "Complete"] {
            let said = condition(&done, kind);
            assert_eq!(
                (said["status"].as_str(), said["reason"].as_str()),
                (Some("True"), Some("SuccessPolicy"))
            );
        }
        assert_eq!(condition(&done, "SuccessCriteriaMet")["message"], "Matched rules at index 0");
        assert_eq!(done["status"]["completedIndexes"], "2");
        assert_eq!(done["status"]["succeeded"], 1);
        until("those that ran are stopped", || async {
            let pods = ground.pods("app=one").await;
            (pods.len() == 1 && pods[0]["status"]["phase"] == "Succeeded").then_some(())
        })
        .await;
        let pod = &ground.pods("app=one").await[0];
        let variables = pod["spec"]["containers"][0]["env"].as_array().cloned().unwrap_or_default();
        assert!(variables.iter().any(|one| one["name"] == "JOB_COMPLETION_INDEX"), "{variables:?}");
        assert_eq!(pod["metadata"]["annotations"]["batch.kubernetes.io/job-completion-index"], "2");
        assert!(name(pod).starts_with("one-2-"), "{}", name(pod));
    });
}

#[test]
fn without_a_count_all_named_indexes_are_needed() {
    run(async || {
        let ground = Ground::start(2).await;
        let spec = json!({
            "completions": 4, "parallelism": 4, "completionMode": "Indexed",
            "successPolicy": {"rules": [{"succeededIndexes": "0,2-3"}]},
        });
        let hollow = json!({"exit-after.1": "10m", "exit-after.3": "10m", "exit-after": "50ms"});
        ground.post(&batch("jobs"), job("all", spec, template("all", "i:1", hollow))).await;
        let waiting = ground
            .until_object("two of the three have ended", &path("all"), |job| {
                job["status"]["completedIndexes"] == "0,2"
            })
            .await;
        assert!(condition(&waiting, "SuccessCriteriaMet").is_null(), "{}", waiting["status"]);
        // The third ends, by its own annotation.
        let pods = ground.pods("app=all").await;
        let third = pods.iter().find(|pod| name(pod).starts_with("all-3-")).expect("it runs");
        let now = json!({"metadata": {"annotations": {"hollow.trireme.io/exit-after.3": "0s"}}});
        ground.merge(&format!("{PODS}/{}", name(third)), now).await;
        let done = ground.until_object("it is complete", &path("all"), |job| is_true(job, "Complete")).await;
        assert_eq!(condition(&done, "Complete")["reason"], "SuccessPolicy");
        assert_eq!(done["status"]["completedIndexes"], "0,2,3");
    });
}
