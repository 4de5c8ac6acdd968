//! Validation of Job and CronJob.

use serde_json::{Value, json};

use super::apps::{MISMATCH, labels_text};
use super::pod::pod_template_spec;
use super::util::{IMMUTABLE, complain, label_selector, not_negative, selects};
use crate::field::{ErrorList, Path};
use crate::names;
use crate::view::{View, same};

const SPEC: Path<'static> = Path::new("spec");
/// Most parallel pods of a job with indexed completion.
const INDEXED_PARALLELISM: i64 = 100_000;

pub(super) fn job(object: &Value, errors: &mut ErrorList) {
    let spec = object.at("spec");
    job_spec(spec, &SPEC, errors);
    let completions = spec.int("completions").unwrap_or(0);
    if spec.text("completionMode") == "Indexed" && completions > 0 {
        let name = object.at("metadata").text("name");
        let last = format!("{name}-{}", completions - 1);
        if !names::check_dns1123_label(&last).is_empty() {
            let text = format!("will not able to create pod with invalid DNS label: {last}");
            errors.invalid_str(&Path::new("metadata").child("name"), name, text);
        }
    }
    job_selector(spec, errors);
    let selector = spec.at("selector");
    if !spec.is_true("manualSelector") {
        let uid = object.at("metadata").at("uid");
        let generated = json!({"matchLabels": {"batch.kubernetes.io/controller-uid": uid}});
        let legacy = json!({"matchLabels": {"controller-uid": uid}});
        if !same(selector, &generated) && !same(selector, &legacy) {
            errors.invalid(&SPEC.child("selector"), selector, "`selector` not auto-generated");
        }
    }
}

/// The part that upstream checks a second time on updates.
pub(super) fn job_spec_again(object: &Value, errors: &mut ErrorList) {
    job_spec(object.at("spec"), &SPEC, errors);
    job_selector(object.at("spec"), errors);
}

fn job_selector(spec: &Value, errors: &mut ErrorList) {
    let selector = spec.at("selector");
    if selector.is_null() {
        errors.required(&SPEC.child("selector"), "");
    } else {
        label_selector(selector, &SPEC.child("selector"), errors);
    }
    let labels = spec.below(&["template", "metadata", "labels"]);
    if !selects(selector, labels.as_object()) {
        let template = SPEC.child("template");
        let metadata = template.child("metadata");
        errors.invalid_text(&metadata.child("labels"), labels_text(labels), MISMATCH);
    }
}

fn job_spec(spec: &Value, path: &Path<'_>, errors: &mut ErrorList) {
    for name in [
        "parallelism",
        "completions",
        "activeDeadlineSeconds",
        "backoffLimit",
        "ttlSecondsAfterFinished",
        "backoffLimitPerIndex",
        "maxFailedIndexes",
    ] {
        not_negative(spec, name, path, errors);
    }
    let indexed = spec.text("completionMode") == "Indexed";
    if spec.has("completionMode") && !matches!(spec.text("completionMode"), "Indexed" | "NonIndexed") {
        errors.not_supported(
            &path.child("completionMode"),
            spec.text("completionMode"),
            &["NonIndexed", "Indexed"],
        );
    }
    if indexed {
        if !spec.has("completions") {
            errors.required(&path.child("completions"), "when completion mode is Indexed");
        }
        if spec.int("parallelism").is_some_and(|p| p > INDEXED_PARALLELISM) {
            let text = format!(
                "must be less than or equal to {INDEXED_PARALLELISM} when completion mode is Indexed"
            );
            errors.invalid(&path.child("parallelism"), spec.at("parallelism"), text);
        }
    }
    let template = path.child("template");
    pod_template_spec(spec.at("template"), &template, errors);
    let pod = spec.below(&["template", "spec"]);
    let at = template.child("spec");
    if !matches!(pod.text("restartPolicy"), "Never" | "OnFailure") {
        errors.required(&at.child("restartPolicy"), "valid values: \"OnFailure\", \"Never\"");
    }
    if spec.has("podFailurePolicy") {
        if pod.text("restartPolicy") != "Never" {
            let text = "only \"Never\" is supported when podFailurePolicy is specified";
            errors.invalid(&at.child("restartPolicy"), pod.at("restartPolicy"), text);
        }
        let policy = path.child("podFailurePolicy");
        let rules = policy.child("rules");
        let list = spec.at("podFailurePolicy").list("rules");
        if list.len() > 20 {
            errors.too_many(&rules, list.len(), 20);
        }
        for (i, rule) in list.iter().enumerate() {
            failure_rule(rule, pod, &rules.index(i), errors);
        }
    }
}

fn failure_rule(rule: &Value, pod: &Value, path: &Path<'_>, errors: &mut ErrorList) {
    let codes = rule.at("onExitCodes");
    let conditions = rule.list("onPodConditions");
    if !matches!(rule.text("action"), "FailJob" | "Ignore" | "Count" | "FailIndex") {
        if rule.text("action").is_empty() {
            let text = "valid values: [\"Count\" \"FailIndex\" \"FailJob\" \"Ignore\"]";
            errors.required(&path.child("action"), text);
        } else {
            let choices = ["Count", "FailIndex", "FailJob", "Ignore"];
            errors.not_supported(&path.child("action"), rule.text("action"), &choices);
        }
    }
    if !codes.is_null() {
        exit_codes(codes, pod, &path.child("onExitCodes"), errors);
    }
    let list = path.child("onPodConditions");
    for (i, condition) in conditions.iter().enumerate() {
        let kind = condition.text("type");
        complain(&list.index(i).child("type"), kind, names::check_qualified_name(kind), errors);
        let status = condition.text("status");
        if !matches!(status, "True" | "False" | "Unknown") {
            errors.not_supported(&list.index(i).child("status"), status, &["False", "True", "Unknown"]);
        }
    }
    match (codes.is_null(), conditions.is_empty()) {
        (false, false) => {
            errors.invalid_text(path, "", "specifying both OnExitCodes and OnPodConditions is not supported");
        }
        (true, true) => {
            errors.invalid_text(path, "", "specifying one of OnExitCodes and OnPodConditions is required")
        }
        _ => {}
    }
}

fn exit_codes(codes: &Value, pod: &Value, path: &Path<'_>, errors: &mut ErrorList) {
    let operator = codes.text("operator");
    if operator.is_empty() {
        errors.required(&path.child("operator"), "valid values: [\"In\" \"NotIn\"]");
    } else if !matches!(operator, "In" | "NotIn") {
        errors.not_supported(&path.child("operator"), operator, &["In", "NotIn"]);
    }
    if let Some(name) = codes.at("containerName").as_str() {
        let known =
            pod.list("containers").iter().chain(pod.list("initContainers")).any(|c| c.text("name") == name);
        if !known {
            let text = "must be one of the container or initContainer names in the pod template";
            errors.invalid_str(&path.child("containerName"), name, text);
        }
    }
    let values: Vec<i64> = codes.list("values").iter().filter_map(Value::as_i64).collect();
    let list = path.child("values");
    if values.is_empty() {
        errors.invalid_text(&list, "[]int32(nil)", "at least one value is required");
    } else if values.len() > 255 {
        errors.too_many(&list, values.len(), 255);
    }
    let mut ordered = true;
    for (i, value) in values.iter().enumerate() {
        if operator == "In" && *value == 0 {
            errors.invalid(&list.index(i), &json!(0), "must not be 0 for the In operator");
        }
        if values[..i].contains(value) {
            errors.duplicate(&list.index(i), &json!(value));
        }
        ordered &= i == 0 || values[i - 1] <= *value;
    }
    if !ordered {
        let shown: Vec<String> = values.iter().map(i64::to_string).collect();
        errors.invalid_text(&list, format!("[]int32{{{}}}", shown.join(", ")), "must be ordered");
    }
}

pub(super) fn job_update(old: &Value, new: &Value, errors: &mut ErrorList) {
    let (before, after) = (old.at("spec"), new.at("spec"));
    completions_update(before, after, errors);
    for name in [
        "selector",
        "completionMode",
        "podFailurePolicy",
        "backoffLimitPerIndex",
        "managedBy",
        "successPolicy",
    ] {
        if !same(before.at(name), after.at(name)) {
            errors.invalid(&SPEC.child(name), after.at(name), IMMUTABLE);
        }
    }
    if !same(before.at("template"), after.at("template")) && !scheduling_only(old, new) {
        errors.invalid(&SPEC.child("template"), after.at("template"), IMMUTABLE);
    }
}

fn completions_update(before: &Value, after: &Value, errors: &mut ErrorList) {
    let path = SPEC.child("completions");
    if same(before.at("completions"), after.at("completions")) {
        return;
    }
    if after.text("completionMode") != "Indexed" {
        errors.invalid(&path, after.at("completions"), IMMUTABLE);
    } else if after.at("completions") != after.at("parallelism") {
        let text = "can only be modified in tandem with spec.parallelism";
        errors.invalid(&path, after.at("completions"), text);
    }
}

/// A suspended job that has not started may change where its pods run.
fn scheduling_only(old: &Value, new: &Value) -> bool {
    use crate::view::Edit;
    if !old.at("spec").is_true("suspend") || old.at("status").has("startTime") {
        return false;
    }
    let strip = |object: &Value| {
        let mut template = object.at("spec").at("template").clone();
        if let Some(metadata) = template.object("metadata") {
            metadata.remove("labels");
            metadata.remove("annotations");
        }
        if let Some(spec) = template.object("spec") {
            for name in ["nodeSelector", "affinity", "tolerations", "schedulingGates"] {
                spec.remove(name);
            }
        }
        template
    };
    same(&strip(old), &strip(new))
}

pub(super) fn cron_job(object: &Value, errors: &mut ErrorList) {
    let name = object.at("metadata").text("name");
    if name.len() > 52 {
        let meta = Path::new("metadata");
        errors.invalid_str(&meta.child("name"), name, "must be no more than 52 characters");
    }
    let spec = object.at("spec");
    let schedule = spec.text("schedule");
    if schedule.is_empty() {
        errors.required(&SPEC.child("schedule"), "");
    } else if let Err(text) = super::cron::check_schedule(schedule) {
        errors.invalid_str(&SPEC.child("schedule"), schedule, text);
    }
    if let Some(zone) = spec.at("timeZone").as_str() {
        if schedule.contains("TZ") {
            let text = "cannot use both timeZone field and TZ or CRON_TZ in schedule";
            errors.invalid_str(&SPEC.child("timeZone"), zone, text);
        }
        time_zone(zone, errors);
    }
    for name in ["startingDeadlineSeconds", "successfulJobsHistoryLimit", "failedJobsHistoryLimit"] {
        not_negative(spec, name, &SPEC, errors);
    }
    let policy = spec.text("concurrencyPolicy");
    match policy {
        "Allow" | "Forbid" | "Replace" => {}
        "" => errors.required(&SPEC.child("concurrencyPolicy"), ""),
        other => {
            errors.not_supported(&SPEC.child("concurrencyPolicy"), other, &["Allow", "Forbid", "Replace"]);
        }
    }
    let template = SPEC.child("jobTemplate");
    let path = template.child("spec");
    let job = spec.at("jobTemplate").at("spec");
    job_spec(job, &path, errors);
    if job.is_true("manualSelector") {
        errors.not_supported_text(&path.child("manualSelector"), "true".to_owned(), &["nil", "false"]);
    }
}

fn time_zone(zone: &str, errors: &mut ErrorList) {
    let path = SPEC.child("timeZone");
    if zone.is_empty() {
        errors.invalid_str(&path, zone, "timeZone must be nil or non-empty string");
    } else if zone.eq_ignore_ascii_case("Local") {
        let text = "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones";
        errors.invalid_str(&path, zone, text);
    } else if !super::cron::is_time_zone(zone) {
        errors.invalid_str(&path, zone, format!("unknown time zone {zone}"));
    }
}
