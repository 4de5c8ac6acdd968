//! Validation of device claims (resource.k8s.io): ResourceClaim, ResourceClaimTemplate, DeviceClass.
//!
//! Deliberate absence: selectors in CEL are not compiled here.

use std::collections::BTreeMap;

use serde_json::Value;

use super::util::{IMMUTABLE, complain, required};
use super::volume_disk::csi_driver_name;
use crate::field::{ErrorList, Path};
use crate::names;
use crate::view::{View, same};

const SPEC: Path<'static> = Path::new("spec");
/// Requests, constraints, configurations, selectors and alternatives of one claim.
const REQUESTS: usize = 32;
const SELECTORS: usize = 32;
const ALTERNATIVES: usize = 8;
/// Length of a selector, in bytes.
const EXPRESSION_BYTES: usize = 10 * 1024;
/// Size of a driver's parameters, in bytes.
const PARAMETERS_BYTES: usize = 10 * 1024;

pub(super) fn claim(object: &Value, errors: &mut ErrorList) {
    claim_spec(object.at("spec"), &SPEC, errors);
}

pub(super) fn claim_template(object: &Value, errors: &mut ErrorList) {
    claim_spec(object.at("spec").at("spec"), &SPEC.child("spec"), errors);
}

/// Claims and their templates stay as they were made.
pub(super) fn spec_update(old: &Value, new: &Value, errors: &mut ErrorList) {
    if !same(old.at("spec"), new.at("spec")) {
        errors.invalid(&SPEC, new.at("spec"), IMMUTABLE);
    }
}

pub(super) fn device_class(object: &Value, errors: &mut ErrorList) {
    let spec = object.at("spec");
    selectors(spec.list("selectors"), &SPEC.child("selectors"), errors);
    let list = SPEC.child("config");
    at_most(spec.list("config").len(), REQUESTS, &list, errors);
    for (i, config) in spec.list("config").iter().enumerate() {
        configuration(config, &list.index(i), errors);
    }
    let name = spec.at("extendedResourceName").as_str().unwrap_or("");
    if !name.is_empty() {
        complain(&SPEC.child("extendedResourceName"), name, names::check_qualified_name(name), errors);
    }
}

pub(super) fn at_most(count: usize, most: usize, list: &Path<'_>, errors: &mut ErrorList) {
    if count > most {
        errors.too_many(list, count, most);
    }
}

/// Names of requests, with those of their alternatives.
type Requests<'a> = BTreeMap<&'a str, Vec<&'a str>>;

fn claim_spec(spec: &Value, path: &Path<'_>, errors: &mut ErrorList) {
    let (devices, at) = (spec.at("devices"), path.child("devices"));
    let requests = devices.list("requests");
    let known: Requests<'_> = requests
        .iter()
        .map(|r| (r.text("name"), r.list("firstAvailable").iter().map(|s| s.text("name")).collect()))
        .collect();
    let list = at.child("requests");
    at_most(requests.len(), REQUESTS, &list, errors);
    for (i, one) in requests.iter().enumerate() {
        let item = list.index(i);
        if requests[..i].iter().any(|other| other.text("name") == one.text("name")) {
            errors.duplicate(&item, one.at("name"));
        }
        request(one, &item, errors);
    }
    let list = at.child("constraints");
    at_most(devices.list("constraints").len(), REQUESTS, &list, errors);
    for (i, constraint) in devices.list("constraints").iter().enumerate() {
        let item = list.index(i);
        references(constraint.list("requests"), &known, &item.child("requests"), errors);
        let set: Vec<&str> =
            ["matchAttribute", "distinctAttribute"].into_iter().filter(|name| constraint.has(name)).collect();
        match set[..] {
            [name] => qualified(constraint.text(name), &item.child(name), errors),
            _ => {
                let why = "exactly one of \"matchAttribute\" or \"distinctAttribute\" is required";
                errors.required(&item, why);
            }
        }
    }
    let list = at.child("config");
    at_most(devices.list("config").len(), REQUESTS, &list, errors);
    for (i, config) in devices.list("config").iter().enumerate() {
        let item = list.index(i);
        references(config.list("requests"), &known, &item.child("requests"), errors);
        configuration(config, &item, errors);
    }
}

fn label(text: &str, path: &Path<'_>, errors: &mut ErrorList) {
    complain(path, text, names::check_dns1123_label(text), errors);
}

fn request(request: &Value, path: &Path<'_>, errors: &mut ErrorList) {
    label(request.text("name"), &path.child("name"), errors);
    let alternatives = request.list("firstAvailable");
    match (request.has("exactly"), alternatives.is_empty()) {
        (false, true) => {
            errors.required(path, "exactly one of `exactly` or `firstAvailable` is required");
        }
        (true, false) => {
            let why = "exactly one of `exactly` or `firstAvailable` is required, but multiple fields are set";
            errors.invalid_text(path, "null", why);
        }
        (true, true) => wanted(request.at("exactly"), &path.child("exactly"), errors),
        (false, false) => {
            let list = path.child("firstAvailable");
            at_most(alternatives.len(), ALTERNATIVES, &list, errors);
            for (i, one) in alternatives.iter().enumerate() {
                let item = list.index(i);
                if alternatives[..i].iter().any(|other| other.text("name") == one.text("name")) {
                    errors.duplicate(&item, one.at("name"));
                }
                label(one.text("name"), &item.child("name"), errors);
                wanted(one, &item, errors);
            }
        }
    }
}

/// What one request or alternative asks for.
fn wanted(request: &Value, path: &Path<'_>, errors: &mut ErrorList) {
    let class = request.text("deviceClassName");
    if required(request, "deviceClassName", path, errors) {
        complain(&path.child("deviceClassName"), class, names::check_dns1123_subdomain(class), errors);
    }
    selectors(request.list("selectors"), &path.child("selectors"), errors);
    let count = request.int("count").unwrap_or(0);
    match request.text("allocationMode") {
        "All" if count != 0 => {
            let why = "must not be specified when allocationMode is 'All'";
            errors.invalid(&path.child("count"), request.at("count"), why);
        }
        "ExactCount" if count <= 0 => {
            errors.invalid(&path.child("count"), &count.into(), "must be greater than zero");
        }
        "All" | "ExactCount" => {}
        other => errors.not_supported(&path.child("allocationMode"), other, &["All", "ExactCount"]),
    }
    let list = path.child("tolerations");
    for (i, toleration) in request.list("tolerations").iter().enumerate() {
        device_toleration(toleration, &list.index(i), errors);
    }
}

fn device_toleration(toleration: &Value, path: &Path<'_>, errors: &mut ErrorList) {
    let key = toleration.text("key");
    if !key.is_empty() {
        complain(&path.child("key"), key, names::check_qualified_name(key), errors);
    }
    let value = toleration.text("value");
    match toleration.text("operator") {
        "Exists" if !value.is_empty() => {
            let why = "must be empty for operator `Exists`";
            errors.invalid_str(&path.child("value"), value, why);
        }
        "Equal" => complain(&path.child("value"), value, names::check_label_value(value), errors),
        "Exists" => {}
        "" => errors.required(&path.child("operator"), ""),
        other => errors.not_supported(&path.child("operator"), other, &["Equal", "Exists"]),
    }
    let effect = toleration.text("effect");
    if !matches!(effect, "" | "NoSchedule" | "NoExecute" | "None") {
        errors.not_supported(&path.child("effect"), effect, &["NoExecute", "NoSchedule", "None"]);
    }
}

fn selectors(selectors: &[Value], list: &Path<'_>, errors: &mut ErrorList) {
    at_most(selectors.len(), SELECTORS, list, errors);
    for (i, selector) in selectors.iter().enumerate() {
        let item = list.index(i);
        let at = item.child("cel");
        if !selector.has("cel") {
            errors.required(&at, "");
        } else if selector.at("cel").text("expression").len() > EXPRESSION_BYTES {
            errors.too_long(&at.child("expression"), EXPRESSION_BYTES);
        }
    }
}

fn references(names: &[Value], known: &Requests<'_>, list: &Path<'_>, errors: &mut ErrorList) {
    const WHY: &str = "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'";
    at_most(names.len(), REQUESTS, list, errors);
    for (i, name) in names.iter().enumerate() {
        let at = list.index(i);
        let text = name.as_str().unwrap_or("");
        if names[..i].contains(name) {
            errors.duplicate(&at, name);
        }
        let (request, alternative) = text.split_once('/').unwrap_or((text, ""));
        let found = match known.get(request) {
            Some(inner) => alternative.is_empty() || inner.contains(&alternative),
            None => false,
        };
        if !found {
            errors.invalid_str(&at, text, WHY);
        }
    }
}

/// `domain/identifier`
pub(super) fn qualified(name: &str, path: &Path<'_>, errors: &mut ErrorList) {
    match name.split_once('/') {
        None => errors.invalid_str(path, name, "must include a domain"),
        Some(("", _)) => errors.required(path, "the domain must not be empty"),
        Some((_, "")) => errors.required(path, "the name must not be empty"),
        Some((domain, id)) => {
            complain(path, domain, names::check_dns1123_subdomain(domain), errors);
            complain(path, id, names::check_c_identifier(id), errors);
        }
    }
}

fn configuration(config: &Value, path: &Path<'_>, errors: &mut ErrorList) {
    let (opaque, at) = (config.at("opaque"), path.child("opaque"));
    if opaque.is_null() {
        errors.required(&at, "");
        return;
    }
    if required(opaque, "driver", &at, errors) {
        csi_driver_name(opaque.text("driver"), &at.child("driver"), errors);
    }
    match opaque.at("parameters") {
        Value::Null => errors.required(&at.child("parameters"), ""),
        Value::Object(map) if Value::from(map.clone()).to_string().len() > PARAMETERS_BYTES => {
            errors.too_long(&at.child("parameters"), PARAMETERS_BYTES);
        }
        Value::Object(_) => {}
        other => {
            let why = "must be a valid JSON object";
            errors.invalid_text(&at.child("parameters"), other.to_string(), why);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn found(devices: Value) -> Vec<String> {
        let mut errors = ErrorList::new();
        claim(&json!({"spec":{"devices":devices}}), &mut errors);
        errors.iter().map(crate::field::FieldError::message).collect()
    }

    #[test]
    fn claims() {
        let exactly = json!({"deviceClassName":"gpu","allocationMode":"ExactCount","count":1});
        assert_eq!(found(json!({"requests":[{"name":"a","exactly":exactly}]})), [""; 0]);
        assert_eq!(
            found(
                json!({"requests":[{"name":"a"},{"name":"a","exactly":{"allocationMode":"All","count":1}}],
                "constraints":[{"requests":["b"],"matchAttribute":"model"}],"config":[{}]})
            ),
            [
                "spec.devices.requests[0]: Required value: exactly one of `exactly` or `firstAvailable` is required",
                "spec.devices.requests[1]: Duplicate value: \"a\"",
                "spec.devices.requests[1].exactly.deviceClassName: Required value",
                "spec.devices.requests[1].exactly.count: Invalid value: 1: must not be specified when allocationMode is 'All'",
                "spec.devices.constraints[0].requests[0]: Invalid value: \"b\": must be the name of a request in the claim or the name of a request and a subrequest separated by '/'",
                "spec.devices.constraints[0].matchAttribute: Invalid value: \"model\": must include a domain",
                "spec.devices.config[0].opaque: Required value"
            ]
        );
    }

    #[test]
    fn specs_stay() {
        let mut errors = ErrorList::new();
        spec_update(&json!({"spec":{"a":1}}), &json!({"spec":{"a":2}}), &mut errors);
        assert_eq!(errors.iter().next().unwrap().field, "spec");
    }
}
