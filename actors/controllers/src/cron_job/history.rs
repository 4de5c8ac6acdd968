//! Finished jobs beyond what is to be kept.

use std::sync::Arc;

use serde_json::Value;
use trireme_schema::view::View;

use crate::controller::resources;
use crate::job::conditions::finished_condition;
use crate::owner::is_deleting;
use crate::plan::{Propagation, Write};
use crate::writes::{delete, event};

/// Deletes the oldest finished jobs of each outcome beyond its limit.
pub(super) fn surplus(cron_job: &Value, jobs: &[Arc<Value>]) -> Vec<Write> {
    let limits = [("Complete", "successfulJobsHistoryLimit"), ("Failed", "failedJobsHistoryLimit")];
    let mut writes = Vec::new();
    for (outcome, limit) in limits {
        let Some(limit) = cron_job.at("spec").int(limit) else { continue };
        let of_outcome = |job: &&Arc<Value>| {
            finished_condition(job).is_some_and(|condition| condition.text("type") == outcome)
        };
        let mut finished: Vec<&Arc<Value>> =
            jobs.iter().filter(of_outcome).filter(|job| !is_deleting(job)).collect();
        finished.sort_by_key(|job| {
            (job.at("status").text("startTime").to_owned(), job.at("metadata").text("name").to_owned())
        });
        let surplus = finished.len().saturating_sub(usize::try_from(limit).unwrap_or(0));
        for job in finished.into_iter().take(surplus) {
            writes.push(delete(&resources::JOBS, job, Propagation::Background));
            let message = format!("Deleted job {}", job.at("metadata").text("name"));
            writes.push(event(cron_job, "Normal", "SuccessfulDelete", message));
        }
    }
    writes
}
