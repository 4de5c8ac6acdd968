//! Validation of reviews (authentication.k8s.io, authorization.k8s.io) and token requests: what is asked, before
//! anyone answers.

use serde_json::Value;

use super::util::label_selector;
use crate::field::{ErrorList, Path};
use crate::view::View;

const SPEC: Path<'static> = Path::new("spec");
/// Shortest life of a token, in seconds.
const TOKEN_SECONDS: i64 = 600;

/// A SubjectAccessReview or one of its forms.
pub(super) fn access_review(kind: &str, object: &Value, errors: &mut ErrorList) {
    let spec = object.at("spec");
    let (resource, path) = (spec.at("resourceAttributes"), spec.has("nonResourceAttributes"));
    match kind {
        "SelfSubjectAccessReview" => exactly_one(!resource.is_null(), path, errors),
        "SubjectAccessReview" => {
            exactly_one(!resource.is_null(), path, errors);
            subject(spec, errors);
        }
        "LocalSubjectAccessReview" => {
            exactly_one(!resource.is_null(), path, errors);
            subject(spec, errors);
            local(object, resource, path, errors);
        }
        _ => return,
    }
    selectors(resource, errors);
}

fn exactly_one(resource: bool, path: bool, errors: &mut ErrorList) {
    const WHY: &str = "cannot be specified in combination with resourceAttributes";
    if resource && path {
        errors.invalid_text(&SPEC.child("nonResourceAttributes"), "{}", WHY);
    } else if !resource && !path {
        let why = "exactly one of nonResourceAttributes or resourceAttributes must be specified";
        errors.invalid_text(&SPEC.child("resourceAttributes"), "null", why);
    }
}

fn subject(spec: &Value, errors: &mut ErrorList) {
    if spec.text("user").is_empty() && spec.list("groups").is_empty() {
        let why = "at least one of user or group must be specified";
        errors.invalid_str(&SPEC.child("user"), "", why);
    }
}

/// A local review speaks of the namespace that it is sent to.
fn local(object: &Value, resource: &Value, path: bool, errors: &mut ErrorList) {
    let namespace = object.at("metadata").text("namespace");
    let asked = resource.text("namespace");
    if !resource.is_null() && asked != namespace {
        let at = SPEC.child("resourceAttributes");
        let why = "must match metadata.namespace";
        errors.invalid_str(&at.child("namespace"), asked, why);
    }
    if path {
        let why = "disallowed on this kind of request";
        errors.invalid_text(&SPEC.child("nonResourceAttributes"), "{}", why);
    }
}

fn selectors(resource: &Value, errors: &mut ErrorList) {
    let at = SPEC.child("resourceAttributes");
    for name in ["fieldSelector", "labelSelector"] {
        let selector = resource.at(name);
        if selector.is_null() {
            continue;
        }
        let here = at.child(name);
        let (raw, requirements) = (selector.text("rawSelector"), selector.list("requirements"));
        if !raw.is_empty() && !requirements.is_empty() {
            errors.invalid_str(
                &here.child("rawSelector"),
                raw,
                "may not specified at the same time as requirements",
            );
        }
        if raw.is_empty() && requirements.is_empty() {
            errors.required(
                &here.child("requirements"),
                format!("when {name} is specified, requirements or rawSelector is required"),
            );
        }
        if name == "labelSelector" {
            let as_selector = serde_json::json!({"matchExpressions": requirements});
            let mut found = ErrorList::new();
            label_selector(&as_selector, &here, &mut found);
            for mut error in found.iter().cloned() {
                error.field = error.field.replace("matchExpressions", "requirements");
                errors.push(error);
            }
        }
    }
}

/// A TokenReview.
pub(super) fn token_review(object: &Value, errors: &mut ErrorList) {
    if object.at("spec").text("token").is_empty() {
        errors.required(&SPEC.child("token"), "");
    }
}

/// A TokenRequest for a service account.
pub(super) fn token_request(object: &Value, errors: &mut ErrorList) {
    let Some(seconds) = object.at("spec").int("expirationSeconds") else { return };
    let at = SPEC.child("expirationSeconds");
    let value = Value::from(seconds);
    if seconds < TOKEN_SECONDS {
        errors.invalid(&at, &value, "may not specify a duration less than 10 minutes");
    }
    if seconds > 1 << 32 {
        errors.invalid(&at, &value, "may not specify a duration larger than 2^32 seconds");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn found(kind: &str, object: Value) -> Vec<String> {
        let mut errors = ErrorList::new();
        access_review(kind, &object, &mut errors);
        errors.iter().map(crate::field::FieldError::message).collect()
    }

    #[test]
    fn one_question_at_a_time() {
        let resource = json!({"verb":"get","resource":"pods","namespace":"a"});
        assert_eq!(
            found("SelfSubjectAccessReview", json!({"spec":{"resourceAttributes":resource}})),
            [""; 0]
        );
        assert_eq!(
            found("SubjectAccessReview", json!({"spec":{}})),
            [
                "spec.resourceAttributes: Invalid value: null: exactly one of nonResourceAttributes or resourceAttributes must be specified",
                "spec.user: Invalid value: \"\": at least one of user or group must be specified"
            ]
        );
        assert_eq!(
            found(
                "LocalSubjectAccessReview",
                json!({"metadata":{"namespace":"b"},"spec":{"user":"u","resourceAttributes":resource}})
            ),
            ["spec.resourceAttributes.namespace: Invalid value: \"a\": must match metadata.namespace"]
        );
    }

    #[test]
    fn tokens_live_ten_minutes_at_least() {
        for (seconds, count) in [(599_i64, 1), (600, 0), (1 << 32, 0), ((1 << 32) + 1, 1)] {
            let mut errors = ErrorList::new();
            token_request(&json!({"spec":{"expirationSeconds":seconds}}), &mut errors);
            assert_eq!(errors.len(), count, "{seconds}");
        }
    }
}
