//! Checks that many kinds share.

use serde_json::{Map, Value};

use crate::Quantity;
use crate::field::{ErrorList, Path};
use crate::int_or_string::IntOrString;
use crate::names;
use crate::selector::LabelSelector;
use crate::view::View;

pub(super) const NOT_NEGATIVE: &str = "must be greater than or equal to 0";
pub(super) const IMMUTABLE: &str = "field is immutable";

/// Adds each complaint about a string.
pub(super) fn complain(path: &Path<'_>, value: &str, complaints: Vec<String>, errors: &mut ErrorList) {
    for complaint in complaints {
        errors.invalid_str(path, value, complaint);
    }
}

/// An integer field that must not be negative.
pub(super) fn not_negative(owner: &Value, name: &str, path: &Path<'_>, errors: &mut ErrorList) {
    if owner.int(name).is_some_and(|v| v < 0) {
        errors.invalid(&path.child(name), owner.at(name), NOT_NEGATIVE);
    }
}

/// A number at the top of an object that must not be negative.
pub(super) fn not_negative_at(owner: &Value, name: &str, errors: &mut ErrorList) {
    if owner.int(name).is_some_and(|v| v < 0) {
        errors.invalid(&Path::new(name), owner.at(name), NOT_NEGATIVE);
    }
}

/// An enumeration that may be absent.
pub(super) fn one_of_if_set(
    owner: &Value,
    name: &str,
    choices: &[&str],
    path: &Path<'_>,
    errors: &mut ErrorList,
) {
    let value = owner.text(name);
    if owner.has(name) && !choices.contains(&value) {
        errors.not_supported(&path.child(name), value, choices);
    }
}

/// A text that must be given.
pub(super) fn required(owner: &Value, name: &str, path: &Path<'_>, errors: &mut ErrorList) -> bool {
    let missing = owner.text(name).is_empty();
    if missing {
        errors.required(&path.child(name), "");
    }
    !missing
}

/// Label keys and values.
pub(super) fn labels(labels: Option<&Map<String, Value>>, path: &Path<'_>, errors: &mut ErrorList) {
    for (key, value) in labels.into_iter().flatten() {
        complain(path, key, names::check_qualified_name(key), errors);
        let value = value.as_str().unwrap_or("");
        complain(path, value, names::check_label_value(value), errors);
    }
}

/// A LabelSelector object.
pub(super) fn label_selector(selector: &Value, path: &Path<'_>, errors: &mut ErrorList) {
    if selector.is_null() {
        return;
    }
    labels(selector.map("matchLabels"), &path.child("matchLabels"), errors);
    let list = path.child("matchExpressions");
    for (i, requirement) in selector.list("matchExpressions").iter().enumerate() {
        let at = list.index(i);
        let values = requirement.list("values");
        match requirement.text("operator") {
            "In" | "NotIn" if values.is_empty() => {
                errors.required(&at.child("values"), "must be specified when `operator` is 'In' or 'NotIn'");
            }
            "Exists" | "DoesNotExist" if !values.is_empty() => {
                errors.forbidden(
                    &at.child("values"),
                    "may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
                );
            }
            "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
            other => errors.invalid_str(&at.child("operator"), other, "not a valid selector operator"),
        }
        complain(
            &at.child("key"),
            requirement.text("key"),
            names::check_qualified_name(requirement.text("key")),
            errors,
        );
        let all = at.child("values");
        for (j, value) in values.iter().enumerate() {
            let value = value.as_str().unwrap_or("");
            complain(&all.index(j), value, names::check_label_value(value), errors);
        }
    }
}

/// Whether a selector object matches labels; malformed ones match nothing.
pub(super) fn selects(selector: &Value, labels: Option<&Map<String, Value>>) -> bool {
    LabelSelector::from_object(selector).is_ok_and(|s| s.matches(labels))
}

/// A selector without any requirement.
pub(super) fn is_empty_selector(selector: &Value) -> bool {
    selector.map("matchLabels").is_none_or(Map::is_empty) && selector.list("matchExpressions").is_empty()
}

/// An int-or-string that is a non-negative number or a percentage.
pub(super) fn number_or_percent(value: &Value, path: &Path<'_>, errors: &mut ErrorList) {
    match IntOrString::of(value) {
        Some(IntOrString::Text(text)) => {
            if let Some(complaint) = names::check_percent(text) {
                errors.invalid(path, value, complaint);
            }
        }
        Some(IntOrString::Int(n)) if n < 0 => errors.invalid(path, value, NOT_NEGATIVE),
        _ => {}
    }
}

/// A percentage above 100 %.
pub(super) fn at_most_hundred_percent(value: &Value, path: &Path<'_>, errors: &mut ErrorList) {
    if IntOrString::of(value).and_then(IntOrString::percent).is_some_and(|p| p > 100) {
        errors.invalid(path, value, "must not be greater than 100%");
    }
}

/// A quantity, canonical by now.
pub(super) fn quantity(value: &Value) -> Option<Quantity> {
    value.as_str()?.parse().ok()
}

/// Go's `%v` of a list of strings.
pub(super) fn strings(list: &[Value]) -> Vec<&str> {
    list.iter().filter_map(Value::as_str).collect()
}

/// An absolute path without `..`.
pub(super) fn no_backsteps(path: &str, at: &Path<'_>, errors: &mut ErrorList) {
    if path.split('/').any(|part| part == "..") {
        errors.invalid_str(at, path, "must not contain '..'");
    }
}

/// A relative path without backsteps.
pub(super) fn local_descending(path: &str, at: &Path<'_>, errors: &mut ErrorList) {
    if path.starts_with('/') {
        errors.invalid_str(at, path, "must be a relative path");
    }
    no_backsteps(path, at, errors);
}

/// An IP address of either family; IPv4 parts have no leading zeros.
pub(super) fn parse_ip(text: &str) -> Option<core::net::IpAddr> {
    text.parse().ok()
}

/// A CIDR block.
pub(super) fn parse_cidr(text: &str) -> Option<(core::net::IpAddr, u8)> {
    let (ip, bits) = text.split_once('/')?;
    let ip = parse_ip(ip)?;
    if bits.len() > 3 || bits.is_empty() || !bits.bytes().all(|c| c.is_ascii_digit()) {
        return None;
    }
    let bits: u8 = bits.parse().ok()?;
    (bits <= if ip.is_ipv4() { 32 } else { 128 }).then_some((ip, bits))
}

/// A refusal to change a struct, ended by the fields that changed (upstream prints a diff of its structs there).
pub(super) fn with_changes(text: &str, old: &Value, new: &Value) -> String {
    let mut names: Vec<&str> = Vec::new();
    for (name, value) in old.as_object().into_iter().chain(new.as_object()).flatten() {
        let differs = !crate::view::same(old.at(name), new.at(name));
        if differs && !value.is_null() && !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    format!("{text}\n  changed: {}\n", names.join(", "))
}
