//! Validation of flowcontrol.apiserver.k8s.io.

use serde_json::Value;

use super::util::{complain, not_negative, required, strings};
use crate::field::{ErrorList, Path};
use crate::names;
use crate::view::View;

const SPEC: Path<'static> = Path::new("spec");

pub(super) fn flow_schema(object: &Value, errors: &mut ErrorList) {
    const VERBS: [&str; 9] =
        ["create", "delete", "deletecollection", "get", "list", "patch", "proxy", "update", "watch"];
    let spec = object.at("spec");
    let precedence = spec.int("matchingPrecedence").unwrap_or(0);
    let path = SPEC.child("matchingPrecedence");
    if precedence <= 0 {
        errors.invalid(&path, spec.at("matchingPrecedence"), "must be a positive value");
    }
    if precedence > 10_000 {
        errors.invalid(&path, spec.at("matchingPrecedence"), "must not be greater than 10000");
    }
    if spec.has("distinguisherMethod") {
        let kind = spec.at("distinguisherMethod").text("type");
        if !matches!(kind, "ByNamespace" | "ByUser") {
            let method = SPEC.child("distinguisherMethod");
            errors.not_supported(&method.child("type"), kind, &["ByNamespace", "ByUser"]);
        }
    }
    let level = SPEC.child("priorityLevelConfiguration");
    let name = spec.at("priorityLevelConfiguration").text("name");
    if name.is_empty() {
        errors.required(&level.child("name"), "must reference a priority level");
    } else {
        complain(&level.child("name"), name, names::check_dns1123_subdomain(name), errors);
    }
    let rules = SPEC.child("rules");
    for (i, rule) in spec.list("rules").iter().enumerate() {
        let at = rules.index(i);
        let subjects = at.child("subjects");
        if rule.list("subjects").is_empty() {
            errors.required(&subjects, "subjects must contain at least one value");
        }
        for (j, subject) in rule.list("subjects").iter().enumerate() {
            flow_subject(subject, &subjects.index(j), errors);
        }
        let (resources, urls) = (rule.list("resourceRules"), rule.list("nonResourceRules"));
        if resources.is_empty() && urls.is_empty() {
            errors.required(&at, "at least one of resourceRules and nonResourceRules has to be non-empty");
        }
        for (field, list) in [("resourceRules", resources), ("nonResourceRules", urls)] {
            let all = at.child(field);
            for (j, one) in list.iter().enumerate() {
                let at = all.index(j);
                let verbs = strings(one.list("verbs"));
                if verbs.is_empty() {
                    errors.required(&at.child("verbs"), "verbs must contain at least one value");
                } else if field == "resourceRules"
                    && !verbs.contains(&"*")
                    && verbs.iter().any(|v| !VERBS.contains(v))
                {
                    errors.not_supported_text(
                        &at.child("verbs"),
                        crate::field::bad_value(one.at("verbs")),
                        &VERBS,
                    );
                }
                let urls = at.child("nonResourceURLs");
                for (k, url) in strings(one.list("nonResourceURLs")).iter().enumerate() {
                    if *url != "*" && !url.starts_with('/') {
                        errors.invalid_str(&urls.index(k), url, "must start with slash");
                    }
                }
            }
        }
    }
    if object.at("metadata").text("name") == "exempt" && (precedence != 1 || name != "exempt") {
        errors.invalid(&SPEC, spec, "spec of 'exempt' must equal the fixed value");
    }
}

fn flow_subject(subject: &Value, path: &Path<'_>, errors: &mut ErrorList) {
    let kind = subject.text("kind");
    for (wanted, field) in [("ServiceAccount", "serviceAccount"), ("User", "user"), ("Group", "group")] {
        if kind == wanted {
            if !subject.has(field) {
                let text = format!("{field} is required when subject kind is '{wanted}'");
                errors.required(&path.child(field), text);
            } else {
                required(subject.at(field), "name", &path.child(field), errors);
            }
        } else if subject.has(field) && matches!(kind, "ServiceAccount" | "User" | "Group") {
            errors.forbidden(
                &path.child(field),
                format!("{field} is forbidden when subject kind is not '{wanted}'"),
            );
        }
    }
    if !matches!(kind, "ServiceAccount" | "User" | "Group") {
        errors.not_supported(&path.child("kind"), kind, &["Group", "ServiceAccount", "User"]);
    }
}

pub(super) fn priority_level(object: &Value, errors: &mut ErrorList) {
    let spec = object.at("spec");
    let kind = spec.text("type");
    match kind {
        "Exempt" => {
            if spec.has("limited") {
                errors.forbidden(&SPEC.child("limited"), "must be nil if the type is not Limited");
            }
        }
        "Limited" => {
            if !spec.has("limited") {
                errors.required(&SPEC.child("limited"), "must not be empty when type is Limited");
                return;
            }
            let limited = spec.at("limited");
            let at = SPEC.child("limited");
            not_negative(limited, "nominalConcurrencyShares", &at, errors);
            let response = limited.at("limitResponse");
            let place = at.child("limitResponse");
            match response.text("type") {
                "Reject" => {
                    if response.has("queuing") {
                        errors.forbidden(
                            &place.child("queuing"),
                            "must be nil if limited.limitResponse.type is not Limited",
                        );
                    }
                }
                "Queue" => queuing(response.at("queuing"), &place.child("queuing"), errors),
                other => errors.not_supported(&place.child("type"), other, &["Queue", "Reject"]),
            }
        }
        other => errors.not_supported(&SPEC.child("type"), other, &["Exempt", "Limited"]),
    }
}

fn queuing(queuing: &Value, path: &Path<'_>, errors: &mut ErrorList) {
    if queuing.is_null() {
        errors.required(path, "must not be empty if limited.limitResponse.type is Limited");
        return;
    }
    let (queues, hand) = (queuing.int("queues").unwrap_or(0), queuing.int("handSize").unwrap_or(0));
    for name in ["queueLengthLimit", "queues", "handSize"] {
        if queuing.int(name).unwrap_or(0) <= 0 {
            errors.invalid(&path.child(name), queuing.at(name), "must be positive");
        }
    }
    if queues > 10_000_000 {
        errors.invalid(&path.child("queues"), queuing.at("queues"), "must not be greater than 10000000");
    }
    if hand > queues {
        let text = format!("should not be greater than queues ({queues})");
        errors.invalid(&path.child("handSize"), queuing.at("handSize"), text);
    }
}
