//! Defaults of Job and CronJob.

use serde_json::Value;

use super::pod::default_template_field;
use crate::view::{Edit, View};

pub(super) fn job(object: &mut Value) {
    let labels = object.below(&["spec", "template", "metadata", "labels"]).clone();
    if labels.as_object().is_some_and(|l| !l.is_empty())
        && let Some(metadata) = object.object("metadata")
    {
        metadata.default("labels", labels);
    }
    let Some(spec) = object.object("spec") else { return };
    if !spec.has("completions") && !spec.has("parallelism") {
        spec.put("completions", 1);
        spec.put("parallelism", 1);
    }
    spec.default("parallelism", 1);
    let per_index = spec.has("backoffLimitPerIndex");
    spec.default("backoffLimit", if per_index { i32::MAX } else { 6 });
    spec.default("completionMode", "NonIndexed");
    spec.default("suspend", false);
    let has_policy = spec.has("podFailurePolicy");
    spec.default("podReplacementPolicy", if has_policy { "Failed" } else { "TerminatingOrFailed" });
    if let Some(policy) = spec.get_some("podFailurePolicy") {
        for rule in policy.items("rules") {
            for condition in rule.items("onPodConditions") {
                condition.default_text("status", "True");
            }
        }
    }
    default_template_field(spec, "template");
}

pub(super) fn cron_job(object: &mut Value) {
    let Some(spec) = object.object("spec") else { return };
    spec.default_text("concurrencyPolicy", "Allow");
    spec.default("suspend", false);
    spec.default("successfulJobsHistoryLimit", 3);
    spec.default("failedJobsHistoryLimit", 1);
    if let Some(spec) = spec.get_some("jobTemplate").and_then(|t| t.get_some("spec")) {
        default_template_field(spec, "template");
    }
}

/// Labels the pods of a job by its UID and selects them, unless the selector is manual or the job has one.
pub fn generate_job_selector(object: &mut Value, uid: &str) {
    let name = object.at("metadata").text("name").to_owned();
    let Some(spec) = object.object("spec") else { return };
    if spec.is_true("manualSelector") {
        return;
    }
    let Some(template) = spec.object("template") else { return };
    let mut generated = Vec::new();
    if let Some(labels) = template.object("metadata").and_then(|m| m.object("labels")) {
        for (key, value) in [
            ("batch.kubernetes.io/job-name", name.as_str()),
            ("job-name", name.as_str()),
            ("batch.kubernetes.io/controller-uid", uid),
            ("controller-uid", uid),
        ] {
            labels.default(key, value);
        }
        generated.push(labels.clone());
    }
    if let Some(labels) = spec.object("selector").and_then(|s| s.object("matchLabels")) {
        labels.default("batch.kubernetes.io/controller-uid", uid);
    }
    if let Some(metadata) = object.object("metadata")
        && let Some(labels) = generated.pop()
    {
        metadata.default("labels", labels);
    }
}
