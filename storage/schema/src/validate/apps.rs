//! Validation of the workload kinds.

use serde_json::Value;

use super::pod::pod_template_spec;
use super::util::{
    IMMUTABLE, at_most_hundred_percent, is_empty_selector, label_selector, not_negative, number_or_percent,
    selects,
};
use crate::field::{ErrorList, Path};
use crate::int_or_string::IntOrString;
use crate::view::{Edit, View, same};

const SPEC: Path<'static> = Path::new("spec");
pub(super) const MISMATCH: &str = "`selector` does not match template `labels`";

/// Labels as messages print them.
pub(super) fn labels_text(labels: &Value) -> String {
    if labels.is_null() { "map[string]string(nil)".to_owned() } else { crate::field::bad_value(labels) }
}

fn template_labels(spec: &Value) -> &Value {
    spec.below(&["template", "metadata", "labels"])
}

fn mismatch(spec: &Value, path: &Path<'_>, errors: &mut ErrorList) {
    let template = path.child("template");
    let metadata = template.child("metadata");
    errors.invalid_text(&metadata.child("labels"), labels_text(template_labels(spec)), MISMATCH);
}

fn malformed(selector: &Value) -> bool {
    crate::selector::LabelSelector::from_object(selector).is_err()
}

fn counts(spec: &Value, names: &[&str], errors: &mut ErrorList) {
    for name in names {
        not_negative(spec, name, &SPEC, errors);
    }
}

fn template(spec: &Value, errors: &mut ErrorList) {
    let path = SPEC.child("template");
    pod_template_spec(spec.at("template"), &path, errors);
}

fn only_always(spec: &Value, errors: &mut ErrorList) {
    let template = SPEC.child("template");
    let pod = template.child("spec");
    let policy = spec.below(&["template", "spec"]).text("restartPolicy");
    if policy != "Always" {
        errors.not_supported(&pod.child("restartPolicy"), policy, &["Always"]);
    }
    if spec.below(&["template", "spec"]).has("activeDeadlineSeconds") {
        let kind = "activeDeadlineSeconds in ReplicaSet is not Supported";
        errors.forbidden(&pod.child("activeDeadlineSeconds"), kind);
    }
}

/// Selector, replicas and template of Deployment and ReplicaSet.
fn selector_and_template(spec: &Value, errors: &mut ErrorList) {
    let selector = spec.at("selector");
    let path = SPEC.child("selector");
    if selector.is_null() {
        errors.required(&path, "");
    } else {
        label_selector(selector, &path, errors);
        if is_empty_selector(selector) {
            errors.invalid(&path, selector, "empty selector is invalid for deployment");
        }
    }
    if !selector.is_null() && malformed(selector) {
        errors.invalid(&path, selector, "invalid label selector");
    } else {
        if is_empty_selector(selector) && !selector.is_null()
            || !selects(selector, template_labels(spec).as_object())
        {
            mismatch(spec, &SPEC, errors);
        }
        template(spec, errors);
        if spec.int("replicas").unwrap_or(0) > 0
            || !spec.below(&["template", "spec"]).text("restartPolicy").is_empty()
        {
            only_always(spec, errors);
        }
    }
}

pub(super) fn deployment(object: &Value, errors: &mut ErrorList) {
    let spec = object.at("spec");
    counts(spec, &["replicas"], errors);
    selector_and_template(spec, errors);
    strategy(spec.at("strategy"), errors);
    counts(spec, &["minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds"], errors);
    if let Some(deadline) = spec.int("progressDeadlineSeconds")
        && deadline <= spec.int("minReadySeconds").unwrap_or(0)
    {
        let path = SPEC.child("progressDeadlineSeconds");
        errors.invalid(&path, spec.at("progressDeadlineSeconds"), "must be greater than minReadySeconds");
    }
}

fn strategy(strategy: &Value, errors: &mut ErrorList) {
    let path = SPEC.child("strategy");
    match strategy.text("type") {
        "Recreate" => {
            if strategy.has("rollingUpdate") {
                let text = "may not be specified when strategy `type` is 'Recreate'";
                errors.forbidden(&path.child("rollingUpdate"), text);
            }
        }
        "RollingUpdate" => {
            let rolling = strategy.at("rollingUpdate");
            let path = path.child("rollingUpdate");
            if rolling.is_null() {
                errors.required(&path, "this should be defaulted and never be nil");
                return;
            }
            let (unavailable, surge) = (rolling.at("maxUnavailable"), rolling.at("maxSurge"));
            number_or_percent(unavailable, &path.child("maxUnavailable"), errors);
            number_or_percent(surge, &path.child("maxSurge"), errors);
            if is_zero(unavailable) && is_zero(surge) {
                let text = "may not be 0 when `maxSurge` is 0";
                errors.invalid(&path.child("maxUnavailable"), unavailable, text);
            }
            at_most_hundred_percent(unavailable, &path.child("maxUnavailable"), errors);
        }
        _ => errors.not_supported_text(&path, strategy.to_string(), &["Recreate", "RollingUpdate"]),
    }
}

fn is_zero(value: &Value) -> bool {
    match IntOrString::of(value) {
        Some(IntOrString::Int(n)) => n == 0,
        Some(text) => text.percent() == Some(0),
        None => true,
    }
}

pub(super) fn replica_set(object: &Value, errors: &mut ErrorList) {
    let spec = object.at("spec");
    counts(spec, &["replicas", "minReadySeconds"], errors);
    selector_and_template(spec, errors);
}

pub(super) fn replication_controller(object: &Value, errors: &mut ErrorList) {
    let spec = object.at("spec");
    counts(spec, &["minReadySeconds"], errors);
    let selector = spec.map("selector");
    if selector.is_none_or(serde_json::Map::is_empty) {
        errors.required(&SPEC.child("selector"), "");
    }
    counts(spec, &["replicas"], errors);
    if !spec.has("template") {
        errors.required(&SPEC.child("template"), "");
        return;
    }
    let labels = template_labels(spec).as_object();
    let chosen = selector
        .is_some_and(|s| !s.is_empty() && s.iter().all(|(k, v)| labels.and_then(|l| l.get(k)) == Some(v)));
    if selector.is_some_and(|s| !s.is_empty()) && !chosen {
        mismatch(spec, &SPEC, errors);
    }
    template(spec, errors);
    only_always(spec, errors);
}

pub(super) fn selector_update(old: &Value, new: &Value, errors: &mut ErrorList) {
    let (before, after) = (old.at("spec").at("selector"), new.at("spec").at("selector"));
    if !same(before, after) {
        errors.invalid(&SPEC.child("selector"), after, IMMUTABLE);
    }
}

pub(super) fn stateful_set(object: &Value, errors: &mut ErrorList) {
    let spec = object.at("spec");
    let policy = spec.text("podManagementPolicy");
    let path = SPEC.child("podManagementPolicy");
    match policy {
        "OrderedReady" | "Parallel" => {}
        "" => errors.required(&path, ""),
        other => errors.invalid_str(&path, other, "must be 'OrderedReady' or 'Parallel'"),
    }
    let strategy = spec.at("updateStrategy");
    let path = SPEC.child("updateStrategy");
    match strategy.text("type") {
        "" => errors.required(&path, ""),
        "OnDelete" => {
            if strategy.has("rollingUpdate") {
                let text = "only allowed for updateStrategy 'RollingUpdate'";
                errors.invalid(&path.child("rollingUpdate"), strategy.at("rollingUpdate"), text);
            }
        }
        "RollingUpdate" => {
            let rolling = path.child("rollingUpdate");
            not_negative(strategy.at("rollingUpdate"), "partition", &rolling, errors);
        }
        _ => errors.invalid(&path, strategy, "must be 'RollingUpdate' or 'OnDelete'"),
    }
    let retention = SPEC.child("persistentVolumeClaimRetentionPolicy");
    for name in ["whenDeleted", "whenScaled"] {
        let value = spec.at("persistentVolumeClaimRetentionPolicy").text(name);
        if !matches!(value, "Retain" | "Delete") {
            errors.not_supported(&retention.child(name), value, &["Retain", "Delete"]);
        }
    }
    counts(spec, &["replicas", "minReadySeconds"], errors);
    let ordinals = SPEC.child("ordinals");
    not_negative(spec.at("ordinals"), "start", &ordinals, errors);
    let selector = spec.at("selector");
    let path = SPEC.child("selector");
    if selector.is_null() {
        errors.required(&path, "");
    } else {
        label_selector(selector, &path, errors);
        if is_empty_selector(selector) {
            errors.invalid(&path, selector, "empty selector is invalid for statefulset");
        }
    }
    if !selector.is_null() && malformed(selector) {
        errors.invalid(&path, selector, "");
    } else {
        let empty = !selector.is_null() && is_empty_selector(selector);
        if !empty && !selects(selector, template_labels(spec).as_object()) {
            mismatch(spec, &SPEC, errors);
        }
        stateful_template(spec, errors);
    }
    let pod = spec.below(&["template", "spec"]);
    let template = SPEC.child("template");
    let at = template.child("spec");
    let policy = pod.text("restartPolicy");
    if policy != "Always" {
        errors.not_supported(&at.child("restartPolicy"), policy, &["Always"]);
    }
    if pod.has("activeDeadlineSeconds") {
        let text = "activeDeadlineSeconds in StatefulSet is not Supported";
        errors.forbidden(&at.child("activeDeadlineSeconds"), text);
    }
}

/// Upstream checks only the metadata of a StatefulSet's template, since claims add volumes later.
fn stateful_template(spec: &Value, errors: &mut ErrorList) {
    let path = SPEC.child("template");
    super::util::labels(template_labels(spec).as_object(), &path.child("labels"), errors);
}

pub(super) fn stateful_set_update(old: &Value, new: &Value, errors: &mut ErrorList) {
    let strip = |object: &Value| {
        let mut spec = object.at("spec").clone();
        for name in [
            "replicas",
            "ordinals",
            "template",
            "updateStrategy",
            "minReadySeconds",
            "persistentVolumeClaimRetentionPolicy",
        ] {
            spec.remove(name);
        }
        spec
    };
    if !same(&strip(old), &strip(new)) {
        errors.forbidden(&SPEC, "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden");
    }
}

pub(super) fn daemon_set(object: &Value, errors: &mut ErrorList) {
    let spec = object.at("spec");
    let selector = spec.at("selector");
    let path = SPEC.child("selector");
    label_selector(selector, &path, errors);
    if !malformed(selector)
        && !is_empty_selector(selector)
        && !selects(selector, template_labels(spec).as_object())
        || selector.is_null()
    {
        mismatch(spec, &SPEC, errors);
    }
    if !selector.is_null() && is_empty_selector(selector) {
        errors.invalid(&path, selector, "empty selector is invalid for daemonset");
    }
    template(spec, errors);
    let pod = spec.below(&["template", "spec"]);
    let template = SPEC.child("template");
    let at = template.child("spec");
    let policy = pod.text("restartPolicy");
    if policy != "Always" {
        errors.not_supported(&at.child("restartPolicy"), policy, &["Always"]);
    }
    if pod.has("activeDeadlineSeconds") {
        let text = "activeDeadlineSeconds in DaemonSet is not Supported";
        errors.forbidden(&at.child("activeDeadlineSeconds"), text);
    }
    counts(spec, &["minReadySeconds"], errors);
    daemon_strategy(spec.at("updateStrategy"), errors);
    counts(spec, &["revisionHistoryLimit"], errors);
}

fn daemon_strategy(strategy: &Value, errors: &mut ErrorList) {
    let path = SPEC.child("updateStrategy");
    match strategy.text("type") {
        "OnDelete" => {}
        "RollingUpdate" => {
            let rolling = strategy.at("rollingUpdate");
            let path = path.child("rollingUpdate");
            let (unavailable, surge) = (rolling.at("maxUnavailable"), rolling.at("maxSurge"));
            number_or_percent(unavailable, &path.child("maxUnavailable"), errors);
            number_or_percent(surge, &path.child("maxSurge"), errors);
            match (is_zero(unavailable), is_zero(surge)) {
                (true, true) => {
                    errors.required(&path.child("maxUnavailable"), "cannot be 0 when maxSurge is 0")
                }
                (false, false) => {
                    errors.invalid(
                        &path.child("maxSurge"),
                        surge,
                        "may not be set when maxUnavailable is non-zero",
                    );
                }
                _ => {}
            }
            at_most_hundred_percent(unavailable, &path.child("maxUnavailable"), errors);
            at_most_hundred_percent(surge, &path.child("maxSurge"), errors);
        }
        other => errors.not_supported(&path.child("type"), other, &["RollingUpdate", "OnDelete"]),
    }
}

pub(super) fn revision(object: &Value, errors: &mut ErrorList) {
    if object.at("data").is_null() {
        errors.required(&Path::new("data"), "data is mandatory");
    }
    if object.int("revision").is_some_and(|r| r < 0) {
        errors.invalid(&Path::new("revision"), object.at("revision"), super::util::NOT_NEGATIVE);
    }
}

pub(super) fn revision_update(old: &Value, new: &Value, errors: &mut ErrorList) {
    if old.at("data") != new.at("data") {
        errors.invalid(&Path::new("data"), new.at("data"), IMMUTABLE);
    }
}
