//! The Jobs that a CronJob makes.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use trireme_schema::view::View;

use crate::owner::controller_reference;

/// Annotation of a job: the moment of the schedule that it is for.
pub(super) const SCHEDULED: &str = "batch.kubernetes.io/cronjob-scheduled-timestamp";

/// The name of the job for a moment: the CronJob's, and minutes since 1970.
pub(super) fn job_name(cron_job: &Value, moment: i64) -> String {
    format!("{}-{}", cron_job.at("metadata").text("name"), moment.div_euclid(60))
}

/// The job for a moment (in seconds since 1970).
pub(super) fn new_job(cron_job: &Value, moment: i64, zone: &TimeZone) -> Value {
    let metadata = cron_job.at("metadata");
    let template = cron_job.at("spec").at("jobTemplate");
    let mut object = json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": {
            "name": job_name(cron_job, moment),
            "namespace": metadata.text("namespace"),
            "annotations": {},
            "ownerReferences": [controller_reference("batch/v1", "CronJob", cron_job)],
        },
        "spec": template.at("spec"),
    });
    for name in ["labels", "annotations"] {
        if template.at("metadata").has(name) {
            object["metadata"][name] = template.at("metadata").at(name).clone();
        }
    }
    object["metadata"]["annotations"][SCHEDULED] = json!(rfc3339(moment, zone));
    object
}

/// As Go writes a time in a zone: `Z` where the zone is UTC.
fn rfc3339(moment: i64, zone: &TimeZone) -> String {
    let Ok(at) = Timestamp::from_second(moment) else { return String::new() };
    let text = at.to_zoned(zone.clone()).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string();
    text.strip_suffix("+00:00").map_or(text.clone(), |text| format!("{text}Z"))
}

/// As messages say a moment: RFC 1123 with a numeric zone, in UTC.
pub(super) fn rfc1123(moment: i64) -> String {
    Timestamp::from_second(moment)
        .map_or(String::new(), |at| at.strftime("%a, %d %b %Y %H:%M:%S +0000").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cron_job::schedule::zone;

    #[test]
    fn a_job_is_named_and_marked_by_its_moment() {
        let cron_job = json!({
            "metadata": {"name": "c", "namespace": "d", "uid": "u"},
            "spec": {"jobTemplate": {"metadata": {"labels": {"a": "b"}}, "spec": {"x": 1}}},
        });
        let job = new_job(&cron_job, 1_767_225_600, &zone("Europe/Berlin").unwrap());
        assert_eq!(job["metadata"]["name"], "c-29453760");
        assert_eq!(job["metadata"]["annotations"][SCHEDULED], "2026-01-01T01:00:00+01:00");
        assert_eq!((&job["metadata"]["labels"], &job["spec"]), (&json!({"a": "b"}), &json!({"x": 1})));
        let job = new_job(&cron_job, 1_767_225_600, &TimeZone::UTC);
        assert_eq!(job["metadata"]["annotations"][SCHEDULED], "2026-01-01T00:00:00Z");
        assert_eq!(rfc1123(1_767_225_600), "Thu, 01 Jan 2026 00:00:00 +0000");
    }
}
