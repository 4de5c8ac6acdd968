//! CronJobs: each minute, concurrency, suspension, time zones, history.
//!
//! A run that was missed is made by setting the last one back; only one boundary of a minute is waited for.

use serde_json::{Value, json};

use crate::ground::{EVENTS, Ground, batch, name, template, uid};
use crate::kit::until;
use crate::run;

fn cron(name: &str, more: Value, exit_after: &str) -> Value {
    let mut template = template(name, "i:1", json!({"exit-after": exit_after}));
    template["spec"]["restartPolicy"] = "Never".into();
    let mut object = json!({
        "apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": name},
        "spec": {"schedule": "*/1 * * * *", "jobTemplate": {"spec": {"template": template}}},
    });
    object["spec"].as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    object
}

fn path(name: &str) -> String {
    format!("{}/{name}", batch("cronjobs"))
}

async fn jobs_of(ground: &Ground, cron: &str) -> Vec<Value> {
    let mut jobs = ground.list(&batch("jobs")).await;
    jobs.retain(|job| {
        job["metadata"]["ownerReferences"][0]["name"] == cron
            && job["metadata"]["deletionTimestamp"].is_null()
    });
    jobs
}

/// As if the last run had been some minutes ago.
async fn set_back(ground: &Ground, name: &str, minutes: u64) {
    let now =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs();
    let then = k8s_openapi::jiff::Timestamp::from_second(i64::try_from(now - 60 * minutes).expect("it fits"))
        .expect("a time");
    let last = then.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    ground.merge(&format!("{}/status", path(name)), json!({"status": {"lastScheduleTime": last}})).await;
}

async fn until_jobs(ground: &Ground, cron: &str, count: usize) -> Vec<Value> {
    until(&format!("{cron} has {count} jobs"), || async {
        let jobs = jobs_of(ground, cron).await;
        (jobs.len() == count).then_some(jobs)
    })
    .await
}

#[test]
fn jobs_come_by_the_minute_and_the_concurrency_policy_holds() {
    run(async || {
        let ground = Ground::start(2).await;
        for (name, more, exit_after) in [
            ("plain", json!({}), "50ms"),
            ("forbid", json!({"concurrencyPolicy": "Forbid"}), "30m"),
            ("replace", json!({"concurrencyPolicy": "Replace"}), "30m"),
            ("halted", json!({"suspend": true}), "50ms"),
        ] {
            ground.post(&batch("cronjobs"), cron(name, more, exit_after)).await;
        }
        // What was missed is made good at once, once, except where it is suspended.
        for name in ["forbid", "replace", "halted"] {
            set_back(&ground, name, 3).await;
        }
        let forbidden = until_jobs(&ground, "forbid", 1).await;
        let replaced = until_jobs(&ground, "replace", 1).await;
        let scheduled =
            forbidden[0]["metadata"]["annotations"]["batch.kubernetes.io/cronjob-scheduled-timestamp"]
                .clone();
        assert!(scheduled.as_str().is_some_and(|text| text.ends_with(":00Z")), "{scheduled}");
        ground
            .until_object("its job is active", &path("forbid"), |cron| {
                cron["status"]["active"][0]["uid"] == forbidden[0]["metadata"]["uid"]
            })
            .await;
        // The minute comes.
        until_jobs(&ground, "plain", 1).await;
        until("the one that ran is replaced", || async {
            let jobs = jobs_of(&ground, "replace").await;
            (jobs.len() == 1 && uid(&jobs[0]) != uid(&replaced[0])).then_some(())
        })
        .await;
        let message = ground.until_event("forbid", "JobAlreadyActive").await;
        assert!(
            message.starts_with(
                "Not starting job because prior execution is running and concurrency policy is Forbid"
            ),
            "{message}"
        );
        let still = jobs_of(&ground, "forbid").await;
        assert_eq!((still.len(), uid(&still[0])), (1, uid(&forbidden[0])));
        assert!(jobs_of(&ground, "halted").await.is_empty(), "it is suspended");
        ground
            .until_object("its success is noted", &path("plain"), |cron| {
                cron["status"]["lastSuccessfulTime"].is_string()
            })
            .await;
    });
}

#[test]
fn a_zone_decides_the_hour_and_an_unknown_one_is_refused() {
    run(async || {
        let ground = Ground::start(1).await;
        let unknown = cron("nowhere", json!({"timeZone": "Mars/Olympus"}), "50ms");
        let refused = ground.try_post(&batch("cronjobs"), &unknown).await.expect_err("there is no such zone");
        assert_eq!(refused.code, 422, "{}", refused.message);
        assert!(refused.message.contains("unknown time zone Mars/Olympus"), "{}", refused.message);
        // Two that differ by their zone alone. Kathmandu is 5:45 ahead and has no summer time.
        let now = i64::try_from(
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs(),
        )
        .expect("it fits");
        let ahead = (now + 5 * 3_600 + 45 * 60 - 120).rem_euclid(86_400);
        let schedule = format!("{} {} * * *", ahead / 60 % 60, ahead / 3_600);
        for (name, zone) in [("zoned", "Asia/Kathmandu"), ("utc", "Etc/UTC")] {
            let object = cron(name, json!({"timeZone": zone, "schedule": schedule}), "50ms");
            ground.post(&batch("cronjobs"), object).await;
            set_back(&ground, name, 10).await;
        }
        until_jobs(&ground, "zoned", 1).await;
        ground
            .until_object("its run is noted", &path("zoned"), |cron| {
                let last = cron["status"]["lastScheduleTime"].as_str().unwrap_or_default().to_owned();
                last.ends_with(":00Z")
            })
            .await;
        assert!(jobs_of(&ground, "utc").await.is_empty(), "there the hour is another one");
    });
}

#[test]
fn old_jobs_go_beyond_the_history_limits_and_too_many_missed_runs_are_told() {
    run(async || {
        let ground = Ground::start(1).await;
        let limits = json!({"suspend": true, "successfulJobsHistoryLimit": 1, "failedJobsHistoryLimit": 0});
        let owner = ground.post(&batch("cronjobs"), cron("kept", limits, "10ms")).await;
        for (name, code) in [("a", "0"), ("b", "0"), ("c", "1")] {
            let mut template = template(name, "i:1", json!({"exit-after": "10ms", "exit-code": code}));
            template["spec"]["restartPolicy"] = "Never".into();
            let object = json!({
                "apiVersion": "batch/v1", "kind": "Job",
                "metadata": {"name": name, "ownerReferences": [{
                    "apiVersion": "batch/v1", "kind": "CronJob", "name": "kept", "uid": uid(&owner), "controller": true,
                }]},
                "spec": {"template": template, "backoffLimit": 0},
            });
            ground.post(&batch("jobs"), object).await;
        }
        until("one that ended well is left, and none that failed", || async {
            let jobs = jobs_of(&ground, "kept").await;
            (jobs.len() == 1 && name(&jobs[0]) != "c" && jobs[0]["status"]["succeeded"] == 1).then_some(())
        })
        .await;
        ground.post(&batch("cronjobs"), cron("late", json!({}), "10ms")).await;
        set_back(&ground, "late", 300).await;
        let message = ground.until_event("late", "TooManyMissedTimes").await;
        assert!(message.starts_with("too many missed start times"), "{message}");
        let jobs = until_jobs(&ground, "late", 1).await;
        assert_eq!(jobs.len(), 1, "only the newest of them is made good");
        assert!(!ground.list(EVENTS).await.is_empty());
    });
}
