//! Jobs.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use trireme_controllers::{Controller, JobController, Resource, resources};

use crate::kit::{Cluster, Runner, seeds};

const JOBS: Resource = resources::JOBS;
const PODS: Resource = resources::PODS;
const INDEX: &str = "batch.kubernetes.io/job-completion-index";

fn controllers() -> Vec<Box<dyn Controller>> {
    vec![Box::new(JobController::default())]
}

fn job(spec: Value) -> Value {
    let mut object = json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": {"name": "job", "namespace": "d"},
        "spec": {
            "parallelism": 2, "completions": 4, "backoffLimit": 100,
            "completionMode": "NonIndexed", "podReplacementPolicy": "TerminatingOrFailed",
            "selector": {"matchLabels": {"job": "job"}},
            "template": {
                "metadata": {"labels": {"job": "job"}},
                "spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]},
            },
        },
    });
    for (name, value) in spec.as_object().expect("a map") {
        object["spec"][name] = value.clone();
    }
    object
}

fn found(cluster: &Cluster) -> Value {
    (*cluster.find(&JOBS, "d", "job").expect("it is there")).clone()
}

fn says<'a>(job: &'a Value, kind: &str) -> Option<&'a Value> {
    let conditions = job["status"]["conditions"].as_array()?;
    conditions.iter().find(|condition| condition["type"] == kind && condition["status"] == "True")
}

fn is_active(pod: &Value) -> bool {
    pod["metadata"]["deletionTimestamp"].is_null()
        && !matches!(pod["status"]["phase"].as_str(), Some("Failed" | "Succeeded"))
}

/// Runs to the end through every back-off.
fn finish(runner: &mut Runner) -> Value {
    for _ in 0..200 {
        runner.rest();
        let job = found(&runner.cluster);
        if says(&job, "Complete").or(says(&job, "Failed")).is_some() {
            return job;
        }
        runner.advance(Duration::from_secs(60));
    }
    panic!("not finished: {}", found(&runner.cluster));
}

/// Successes and failures that really happened, by phase; counts every pod once, at its end.
fn watch_ends(runner: &mut Runner) -> std::sync::Arc<std::sync::Mutex<BTreeMap<String, bool>>> {
    let ends = std::sync::Arc::new(std::sync::Mutex::new(BTreeMap::new()));
    let seen = ends.clone();
    runner.laws.push(Box::new(move |cluster| {
        for pod in cluster.state.all(&PODS) {
            let uid = pod["metadata"]["uid"].as_str().expect("stored").to_owned();
            match pod["status"]["phase"].as_str() {
                Some("Succeeded") => {
                    seen.lock().expect("no judge panics while it holds it").insert(uid, true)
                }
                Some("Failed") => seen.lock().expect("no judge panics while it holds it").insert(uid, false),
                _ => None,
            };
        }
    }));
    ends
}

#[test]
fn every_end_is_counted_once() {
    seeds(900, |seed| {
        let mut runner = Runner::new(seed, controllers());
        let moment = runner.moment();
        let completions = runner.rng.between(1, 6);
        let parallelism = runner.rng.between(1, 4);
        let indexed = runner.rng.chance(1, 2);
        let mode = if indexed { "Indexed" } else { "NonIndexed" };
        // So that the kit's lost pods are failures of their phase.
        let object = job(json!({
            "completions": completions, "parallelism": parallelism, "completionMode": mode,
            "podReplacementPolicy": "Failed",
        }));
        runner.cluster.create(&JOBS, object, moment).expect("it is new");
        runner.exit_code = Some(Box::new(|_, rng| i64::from(rng.chance(1, 4))));
        let ends = watch_ends(&mut runner);
        runner.laws.push(Box::new(move |cluster| {
            let pods = cluster.state.all(&PODS);
            let active = pods.iter().filter(|pod| is_active(pod)).count() as u64;
            assert!(active <= parallelism, "{active} pods, {parallelism} may be");
        }));
        for _ in 0..600 {
            runner.step(true);
        }
        let job = finish(&mut runner);
        assert!(says(&job, "Complete").is_some() && says(&job, "SuccessCriteriaMet").is_some(), "{job}");
        let status = &job["status"];
        let ends = ends.lock().unwrap();
        let (succeeded, failed) =
            (ends.values().filter(|end| **end).count(), ends.values().filter(|end| !**end).count());
        assert_eq!(status["succeeded"], completions);
        assert_eq!(succeeded as u64, completions, "never more than asked for");
        assert_eq!(status["failed"].as_u64().unwrap_or(0), failed as u64, "{status}");
        assert!(status["active"].is_null() && status["ready"] == 0 && status["terminating"] == 0);
        assert_eq!(status["uncountedTerminatedPods"], json!({}));
        if indexed {
            let last = completions - 1;
            let expected = match last {
                0 => "0".to_owned(),
                1 => "0,1".to_owned(),
                last => format!("0-{last}"),
            };
            assert_eq!(status["completedIndexes"], expected);
        }
        for pod in runner.cluster.state.all(&PODS) {
            assert!(pod["metadata"]["finalizers"].is_null(), "{pod}");
        }
    });
}

#[test]
fn indexes_are_never_doubled_and_failures_are_counted_per_index() {
    seeds(600, |seed| {
        let mut runner = Runner::new(seed, controllers());
        let moment = runner.moment();
        let object = job(json!({
            "completions": 4, "parallelism": 4, "completionMode": "Indexed", "backoffLimit": 2_147_483_647,
            "backoffLimitPerIndex": 1, "podReplacementPolicy": "Failed",
        }));
        runner.cluster.create(&JOBS, object, moment).expect("it is new");
        // Index 2 never succeeds.
        runner.exit_code = Some(Box::new(|pod, _| i64::from(pod["metadata"]["labels"][INDEX] == "2")));
        runner.laws.push(Box::new(|cluster| {
            let mut indexes: Vec<String> = cluster
                .state
                .all(&PODS)
                .iter()
                .filter(|pod| is_active(pod))
                .map(|pod| pod["metadata"]["labels"][INDEX].to_string())
                .collect();
            indexes.sort();
            let all = indexes.len();
            indexes.dedup();
            assert_eq!(indexes.len(), all, "{indexes:?}");
        }));
        for _ in 0..300 {
            runner.step(false);
        }
        let job = finish(&mut runner);
        let failed = says(&job, "Failed").expect("index 2 failed");
        assert_eq!(
            (&failed["reason"], &failed["message"]),
            (&json!("FailedIndexes"), &json!("Job has failed indexes"))
        );
        assert_eq!(job["status"]["completedIndexes"], "0,1,3");
        assert_eq!(job["status"]["failedIndexes"], "2");
        assert_eq!(job["status"]["failed"], 2, "the first and one more");
        assert_eq!(job["status"]["succeeded"], 3);
        let pods = runner.cluster.state.all(&PODS);
        let last = pods
            .iter()
            .find(|pod| pod["metadata"]["annotations"]["batch.kubernetes.io/job-index-failure-count"] == "1");
        assert!(last.is_some(), "the second attempt knows of the first");
    });
}

#[test]
fn a_success_policy_ends_the_job_early() {
    seeds(250, |seed| {
        let mut runner = Runner::new(seed, controllers());
        let moment = runner.moment();
        let object = job(json!({
            "completions": 5, "parallelism": 5, "completionMode": "Indexed",
            "successPolicy": {"rules": [{"succeededIndexes": "0,2-3", "succeededCount": 1}]},
        }));
        runner.cluster.create(&JOBS, object, moment).expect("it is new");
        runner.exit_code = Some(Box::new(|pod, _| i64::from(pod["metadata"]["labels"][INDEX] != "2")));
        for _ in 0..200 {
            runner.step(false);
        }
        let job = finish(&mut runner);
        let met = says(&job, "SuccessCriteriaMet").expect("index 2 succeeded");
        assert_eq!(
            (&met["reason"], &met["message"]),
            (&json!("SuccessPolicy"), &json!("Matched rules at index 0"))
        );
        assert_eq!(says(&job, "Complete").unwrap()["reason"], "SuccessPolicy");
        let pods = runner.cluster.state.all(&PODS);
        assert!(pods.iter().all(|pod| !is_active(pod)));
    });
}

#[test]
fn failures_end_the_job_with_a_reason() {
    let cases = [
        (
            json!({"backoffLimit": 1}),
            "BackoffLimitExceeded",
            "Job has reached the specified backoff limit",
            2,
        ),
        (
            json!({"podFailurePolicy": {"rules": [
                {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [7]}},
            ]}, "podReplacementPolicy": "Failed"}),
            "PodFailurePolicy",
            "",
            1,
        ),
    ];
    for (spec, reason, message, failed) in cases {
        let mut runner = Runner::new(2, controllers());
        let moment = runner.moment();
        let mut object = job(spec);
        object["spec"]["parallelism"] = json!(1);
        runner.cluster.create(&JOBS, object, moment).unwrap();
        runner.exit_code = Some(Box::new(|_, _| 7));
        let job = finish(&mut runner);
        let condition = says(&job, "Failed").unwrap();
        assert_eq!(condition["reason"], reason);
        let text = condition["message"].as_str().unwrap();
        assert!(
            message == text || (message.is_empty() && text.ends_with("matching FailJob rule at index 0")),
            "{text}"
        );
        assert_eq!(job["status"]["failed"], failed);
        assert!(says(&job, "FailureTarget").is_some());
        assert!(runner.cluster.events.iter().any(|(told, _)| told == reason));
    }
}

#[test]
fn ignored_failures_do_not_count() {
    let mut runner = Runner::new(2, controllers());
    let moment = runner.moment();
    let object = job(json!({
        "backoffLimit": 0, "parallelism": 1, "completions": 1, "podReplacementPolicy": "Failed",
        "podFailurePolicy": {"rules": [{"action": "Ignore", "onExitCodes": {"operator": "In", "values": [7]}}]},
    }));
    runner.cluster.create(&JOBS, object, moment).unwrap();
    let mut attempts = 0;
    runner.exit_code = Some(Box::new(move |_, _| {
        attempts += 1;
        if attempts < 4 { 7 } else { 0 }
    }));
    let job = finish(&mut runner);
    assert!(says(&job, "Complete").is_some());
    assert!(job["status"]["failed"].is_null());
}

#[test]
fn a_suspended_job_has_no_pods_and_starts_anew() {
    let mut runner = Runner::new(2, controllers());
    let moment = runner.moment();
    runner.cluster.create(&JOBS, job(json!({"suspend": true, "activeDeadlineSeconds": 30})), moment).unwrap();
    runner.rest();
    let mut object = found(&runner.cluster);
    assert_eq!(says(&object, "Suspended").unwrap()["reason"], "JobSuspended");
    assert!(object["status"]["startTime"].is_null());
    assert!(runner.cluster.state.all(&PODS).is_empty());
    runner.advance(Duration::from_secs(100));
    object["spec"]["suspend"] = json!(false);
    runner.cluster.update(&JOBS, "", &object).unwrap();
    runner.settle();
    assert_eq!(runner.cluster.state.all(&PODS).len(), 2);
    let mut object = found(&runner.cluster);
    assert!(says(&object, "Suspended").is_none());
    object["spec"]["suspend"] = json!(true);
    runner.cluster.update(&JOBS, "", &object).unwrap();
    runner.rest();
    assert!(runner.cluster.state.all(&PODS).iter().all(|pod| !is_active(pod)));
    let mut object = found(&runner.cluster);
    object["spec"]["suspend"] = json!(false);
    runner.cluster.update(&JOBS, "", &object).unwrap();
    runner.settle();
    let told: Vec<&str> = runner.cluster.events.iter().map(|(reason, _)| reason.as_str()).collect();
    assert_eq!(told.iter().filter(|reason| **reason == "Suspended").count(), 2);
    assert_eq!(told.iter().filter(|reason| **reason == "Resumed").count(), 2);
    // Nobody runs its pods: the deadline passes.
    runner.advance(Duration::from_secs(40));
    runner.settle();
    let job = finish(&mut runner);
    assert_eq!(says(&job, "Failed").unwrap()["reason"], "DeadlineExceeded");
}

#[test]
fn pods_of_a_job_that_is_gone_are_let_go() {
    seeds(250, |seed| {
        let mut runner = Runner::new(seed, controllers());
        let moment = runner.moment();
        runner.cluster.create(&JOBS, job(json!({})), moment).unwrap();
        for _ in 0..runner.rng.below(200) {
            runner.step(true);
        }
        let (job, moment) = (runner.cluster.find(&JOBS, "d", "job").expect("it is there"), runner.moment());
        runner.cluster.delete(&JOBS, &job, moment);
        runner.rest();
        assert!(runner.cluster.state.all(&PODS).is_empty());
    });
}
