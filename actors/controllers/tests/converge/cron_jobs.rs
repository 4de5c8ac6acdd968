//! CronJobs, with the Jobs that they make.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use trireme_controllers::{Controller, CronJobController, JobController, Resource, resources};

use crate::kit::{Cluster, Runner, seeds};

const CRON_JOBS: Resource = resources::CRON_JOBS;
const JOBS: Resource = resources::JOBS;

fn controllers() -> Vec<Box<dyn Controller>> {
    vec![Box::new(CronJobController::default()), Box::new(JobController::default())]
}

fn cron_job(spec: Value) -> Value {
    let job = json!({
        "parallelism": 1, "completions": 1, "backoffLimit": 0, "completionMode": "NonIndexed",
        "podReplacementPolicy": "Failed", "selector": {"matchLabels": {"cron": "c"}},
        "template": {
            "metadata": {"labels": {"cron": "c"}},
            "spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]},
        },
    });
    let mut object = json!({
        "apiVersion": "batch/v1", "kind": "CronJob",
        "metadata": {"name": "c", "namespace": "d"},
        "spec": {
            "schedule": "*/1 * * * *", "concurrencyPolicy": "Allow", "suspend": false,
            "successfulJobsHistoryLimit": 3, "failedJobsHistoryLimit": 1,
            "jobTemplate": {"spec": job},
        },
    });
    for (name, value) in spec.as_object().expect("a map") {
        object["spec"][name] = value.clone();
    }
    object
}

fn found(cluster: &Cluster) -> Value {
    (*cluster.find(&CRON_JOBS, "d", "c").expect("it is there")).clone()
}

fn change(runner: &mut Runner, edit: impl FnOnce(&mut Value)) {
    let mut object = found(&runner.cluster);
    edit(&mut object);
    runner.cluster.update(&CRON_JOBS, "", &object).expect("the story sees the latest");
}

fn names(cluster: &Cluster) -> Vec<String> {
    let all = cluster.state.all(&JOBS);
    all.iter().map(|job| job["metadata"]["name"].as_str().expect("named").to_owned()).collect()
}

fn is_finished(job: &Value) -> bool {
    let conditions = job["status"]["conditions"].as_array().cloned().unwrap_or_default();
    conditions.iter().any(|c| c["status"] == "True" && (c["type"] == "Complete" || c["type"] == "Failed"))
}

fn told(runner: &Runner, reason: &str) -> usize {
    runner.cluster.events.iter().filter(|(told, _)| told == reason).count()
}

#[test]
fn every_moment_has_one_job_and_old_ones_go() {
    seeds(2_000, |seed| {
        let mut runner = Runner::new(seed, controllers());
        let moment = runner.moment();
        let policy = ["Allow", "Forbid", "Replace"][runner.rng.index(3).expect("three")];
        runner
            .cluster
            .create(&CRON_JOBS, cron_job(json!({"concurrencyPolicy": policy})), moment)
            .expect("new");
        runner.exit_code = Some(Box::new(|_, rng| i64::from(rng.chance(1, 4))));
        let mut seen: BTreeSet<String> = BTreeSet::new();
        let mut present: BTreeSet<String> = BTreeSet::new();
        runner.laws.push(Box::new(move |cluster| {
            let now: BTreeSet<String> = names(cluster).into_iter().collect();
            for fresh in now.difference(&present) {
                assert!(seen.insert(fresh.clone()), "{fresh} was made twice");
            }
            present = now;
            let live = cluster.state.all(&JOBS);
            let live =
                live.iter().filter(|job| !is_finished(job) && job["metadata"]["deletionTimestamp"].is_null());
            assert!(policy == "Allow" || live.count() <= 1, "{policy}");
        }));
        for _ in 0..1_500 {
            if runner.rng.chance(1, 40) {
                let seconds = runner.rng.below(90);
                runner.advance(Duration::from_secs(seconds));
            }
            runner.step(true);
        }
        change(&mut runner, |c| c["spec"]["suspend"] = json!(true));
        runner.rest();
        let status = &found(&runner.cluster)["status"];
        assert!(status["active"].is_null(), "{status}");
        let jobs = runner.cluster.state.all(&JOBS);
        let ended = |kind: &str| {
            let of = |job: &&std::sync::Arc<Value>| {
                let conditions = job["status"]["conditions"].as_array().cloned().unwrap_or_default();
                conditions.iter().any(|c| c["type"] == kind && c["status"] == "True")
            };
            jobs.iter().filter(of).count()
        };
        assert!(ended("Complete") <= 3 && ended("Failed") <= 1, "{jobs:?}");
        assert_eq!(ended("Complete") + ended("Failed"), jobs.len());
    });
}

#[test]
fn what_was_missed_is_made_up_for_once() {
    let mut runner = Runner::new(1, controllers());
    let moment = runner.moment();
    runner.cluster.create(&CRON_JOBS, cron_job(json!({})), moment).unwrap();
    runner.settle();
    assert!(names(&runner.cluster).is_empty(), "its first moment is yet to come");
    runner.advance(Duration::from_secs(3 * 60 * 60 + 5));
    runner.settle();
    assert_eq!(names(&runner.cluster).len(), 1);
    assert_eq!(told(&runner, "TooManyMissedTimes"), 1);
    let made = runner.cluster.state.all(&JOBS)[0].clone();
    assert_eq!(
        made["metadata"]["annotations"]["batch.kubernetes.io/cronjob-scheduled-timestamp"],
        "2026-01-01T03:00:00Z"
    );
    assert_eq!(found(&runner.cluster)["status"]["lastScheduleTime"], "2026-01-01T03:00:00Z");
    assert_eq!(found(&runner.cluster)["status"]["active"][0]["uid"], made["metadata"]["uid"]);
}

#[test]
fn a_moment_that_is_too_long_ago_is_left_out() {
    let mut runner = Runner::new(1, controllers());
    let moment = runner.moment();
    let object = cron_job(json!({"schedule": "0 * * * *", "startingDeadlineSeconds": 30}));
    runner.cluster.create(&CRON_JOBS, object, moment).unwrap();
    runner.settle();
    runner.advance(Duration::from_secs(3_600 + 600));
    runner.settle();
    assert!(names(&runner.cluster).is_empty());
    runner.advance(Duration::from_secs(3_600 - 590));
    runner.settle();
    assert_eq!(names(&runner.cluster).len(), 1);
}

#[test]
fn a_schedule_or_zone_that_is_none_is_said() {
    for (spec, reason) in [
        (json!({"schedule": "x"}), "UnparseableSchedule"),
        (json!({"timeZone": "Mars/X"}), "UnknownTimeZone"),
        (json!({"schedule": "59 23 31 2 *"}), "InvalidSchedule"),
        (json!({"schedule": "TZ=UTC * * * * *"}), "UnsupportedSchedule"),
    ] {
        let mut runner = Runner::new(1, controllers());
        let moment = runner.moment();
        runner.cluster.create(&CRON_JOBS, cron_job(spec), moment).unwrap();
        runner.settle();
        assert!(told(&runner, reason) > 0, "{reason}: {:?}", runner.cluster.events);
    }
}
