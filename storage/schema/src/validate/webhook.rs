//! Validation of one admission webhook.

use serde_json::{Value, json};

use super::util::{complain, label_selector, strings};
use crate::field::{ErrorList, Path};
use crate::names;
use crate::view::View;

pub(super) fn webhook(hook: &Value, mutating: bool, path: &Path<'_>, errors: &mut ErrorList) {
    let name = hook.text("name");
    fully_qualified(name, &path.child("name"), errors);
    label_selector(hook.at("namespaceSelector"), &path.child("namespaceSelector"), errors);
    label_selector(hook.at("objectSelector"), &path.child("objectSelector"), errors);
    let rules = path.child("rules");
    for (i, rule) in hook.list("rules").iter().enumerate() {
        self::rule(rule, &rules.index(i), errors);
    }
    for (field, choices) in [("failurePolicy", ["Fail", "Ignore"]), ("matchPolicy", ["Equivalent", "Exact"])]
    {
        super::util::one_of_if_set(hook, field, &choices, path, errors);
    }
    let effects = hook.text("sideEffects");
    if !hook.has("sideEffects") {
        errors.required(&path.child("sideEffects"), "must specify one of None, NoneOnDryRun");
    } else if !matches!(effects, "None" | "NoneOnDryRun") {
        errors.not_supported(&path.child("sideEffects"), effects, &["None", "NoneOnDryRun"]);
    }
    if hook.int("timeoutSeconds").is_some_and(|t| !(1..=30).contains(&t)) {
        let text = "the timeout value must be between 1 and 30 seconds";
        errors.invalid(&path.child("timeoutSeconds"), hook.at("timeoutSeconds"), text);
    }
    if mutating {
        super::util::one_of_if_set(hook, "reinvocationPolicy", &["IfNeeded", "Never"], path, errors);
    }
    client(hook.at("clientConfig"), &path.child("clientConfig"), errors);
    versions(hook, path, errors);
    conditions(hook, path, errors);
}

fn fully_qualified(name: &str, path: &Path<'_>, errors: &mut ErrorList) {
    if name.is_empty() {
        errors.required(path, "");
        return;
    }
    let complaints = names::check_dns1123_subdomain(name);
    if complaints.is_empty() && name.split('.').count() < 3 {
        errors.invalid_str(path, name, "should be a domain with at least three segments separated by dots");
    }
    complain(path, name, complaints, errors);
}

pub(super) fn rule(rule: &Value, path: &Path<'_>, errors: &mut ErrorList) {
    const OPERATIONS: [&str; 5] = ["*", "CONNECT", "CREATE", "DELETE", "UPDATE"];
    let operations = strings(rule.list("operations"));
    let list = path.child("operations");
    if operations.is_empty() {
        errors.required(&list, "");
    }
    if operations.len() > 1 && operations.contains(&"*") {
        errors.invalid_text(
            &list,
            "[]admissionregistration.OperationType",
            "if '*' is present, must not specify other operations",
        );
    }
    for (i, operation) in operations.iter().enumerate() {
        if !OPERATIONS.contains(operation) {
            errors.not_supported(&list.index(i), operation, &OPERATIONS);
        }
    }
    for (field, what) in [("apiGroups", "API groups"), ("apiVersions", "API versions")] {
        let values = strings(rule.list(field));
        let at = path.child(field);
        if values.is_empty() {
            errors.required(&at, "");
        }
        if values.len() > 1 && values.contains(&"*") {
            errors.invalid(&at, rule.at(field), format!("if '*' is present, must not specify other {what}"));
        }
        for (i, value) in values.iter().enumerate() {
            if field == "apiVersions" && value.is_empty() {
                errors.required(&at.index(i), "");
            }
        }
    }
    resources(rule, path, errors);
    super::util::one_of_if_set(rule, "scope", &["*", "Cluster", "Namespaced"], path, errors);
}

fn resources(rule: &Value, path: &Path<'_>, errors: &mut ErrorList) {
    let all = strings(rule.list("resources"));
    let at = path.child("resources");
    if all.is_empty() {
        errors.required(&at, "");
    }
    for (i, resource) in all.iter().enumerate() {
        if resource.is_empty() {
            errors.required(&at.index(i), "");
        }
        if let Some((kind, sub)) = resource.split_once('/') {
            let covered = sub != "*" && all.contains(&format!("{kind}/*").as_str());
            let everywhere = kind != "*" && all.contains(&format!("*/{sub}").as_str());
            if covered {
                errors.invalid_str(
                    &at.index(i),
                    resource,
                    format!("if '{kind}/*' is present, must not specify {resource}"),
                );
            }
            if everywhere {
                errors.invalid_str(
                    &at.index(i),
                    resource,
                    format!("if '*/{sub}' is present, must not specify {resource}"),
                );
            }
        }
    }
    if all.contains(&"*/*") && all.len() > 1 {
        errors.invalid(&at, rule.at("resources"), "if '*/*' is present, must not specify other resources");
    } else if all.contains(&"*") && all.iter().any(|r| *r != "*" && !r.contains('/')) {
        let text = "if '*' is present, must not specify other resources without subresources";
        errors.invalid(&at, rule.at("resources"), text);
    }
}

/// Where a webhook is called: a URL or a service.
pub(crate) fn client(config: &Value, path: &Path<'_>, errors: &mut ErrorList) {
    if config.has("url") == config.has("service") {
        errors.required(path, "exactly one of url or service is required");
        return;
    }
    if config.has("url") {
        url(config.text("url"), &path.child("url"), errors);
        return;
    }
    let service = config.at("service");
    let at = path.child("service");
    super::util::required(service, "name", &at, errors);
    super::util::required(service, "namespace", &at, errors);
    if let Some(text) = names::check_port_number(service.int("port").unwrap_or(443)) {
        errors.invalid(&at.child("port"), service.at("port"), format!("port is not valid: {text}"));
    }
    if let Some(place) = service.at("path").as_str() {
        service_path(place, &at.child("path"), errors);
    }
}

fn service_path(place: &str, path: &Path<'_>, errors: &mut ErrorList) {
    if place.is_empty() || place == "/" {
        return;
    }
    if !place.starts_with('/') {
        errors.invalid_str(path, place, "must start with a '/'");
    }
    let inner = place.get(1..).unwrap_or("");
    let inner = inner.strip_suffix('/').unwrap_or(inner);
    for (i, step) in inner.split('/').enumerate() {
        if step.is_empty() {
            errors.invalid_str(path, place, format!("segment[{i}] may not be empty"));
            continue;
        }
        for text in names::check_dns1123_subdomain(step) {
            errors.invalid_str(path, place, format!("segment[{i}]: {text}"));
        }
    }
}

fn url(text: &str, path: &Path<'_>, errors: &mut ErrorList) {
    const FORM: &str = "; desired format: https://host[/path]";
    let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
    if scheme != "https" {
        errors.invalid_str(path, scheme, format!("'https' is the only allowed URL scheme{FORM}"));
    }
    let (before_fragment, fragment) = rest.split_once('#').unwrap_or((rest, ""));
    let (before_query, query) = before_fragment.split_once('?').unwrap_or((before_fragment, ""));
    let host = before_query.split('/').next().unwrap_or("");
    if host.is_empty() {
        errors.invalid_str(path, "", format!("host must be specified{FORM}"));
    }
    if let Some((user, _)) = host.split_once('@') {
        errors.invalid_str(path, user, "user information is not permitted in the URL");
    }
    if !fragment.is_empty() {
        errors.invalid_str(path, fragment, "fragments are not permitted in the URL");
    }
    if !query.is_empty() {
        errors.invalid_str(path, query, "query parameters are not permitted in the URL");
    }
}

fn versions(hook: &Value, path: &Path<'_>, errors: &mut ErrorList) {
    let at = path.child("admissionReviewVersions");
    let all = strings(hook.list("admissionReviewVersions"));
    if all.is_empty() {
        errors.required(&at, "must specify one of v1, v1beta1");
        return;
    }
    let mut known = false;
    for (i, version) in all.iter().enumerate() {
        if all[..i].contains(version) {
            errors.invalid(&at.index(i), &json!(version), "duplicate version");
            continue;
        }
        complain(&at.index(i), version, names::check_dns1035_label(version), errors);
        known |= matches!(*version, "v1" | "v1beta1");
    }
    if !known {
        let text = "must include at least one of v1, v1beta1";
        errors.invalid(&at, hook.at("admissionReviewVersions"), text);
    }
}

/// Names and presence only: expressions are compiled where the expression language is.
fn conditions(hook: &Value, path: &Path<'_>, errors: &mut ErrorList) {
    let at = path.child("matchConditions");
    let all = hook.list("matchConditions");
    if all.len() > 64 {
        errors.too_many(&at, all.len(), 64);
    }
    let mut seen = Vec::new();
    for (i, condition) in all.iter().enumerate() {
        let item = at.index(i);
        let name = condition.text("name");
        if condition.text("expression").trim().is_empty() {
            errors.required(&item.child("expression"), "");
        }
        if name.is_empty() {
            errors.required(&item.child("name"), "");
        } else {
            complain(&item.child("name"), name, names::check_qualified_name(name), errors);
            if seen.contains(&name) {
                errors.duplicate(&item.child("name"), condition.at("name"));
            }
            seen.push(name);
        }
    }
}
