//! Validation of ResourceSlices: what devices a driver offers, and where.

use serde_json::Value;

use super::devices::at_most;
use super::util::{IMMUTABLE, complain, quantity, required};
use super::volume_disk::csi_driver_name;
use crate::field::{ErrorList, Path};
use crate::names;
use crate::view::{View, is_empty};

const SPEC: Path<'static> = Path::new("spec");
/// Devices of one slice; fewer when they carry taints.
const DEVICES: usize = 128;
const DEVICES_WITH_TAINTS: usize = 64;
/// Attributes and capacities of one device, together.
const ATTRIBUTES: usize = 32;
/// Sets of counters of one slice.
const COUNTER_SETS: usize = 8;
/// Length of a pool's name, in bytes.
const POOL_NAME_BYTES: usize = 253;
/// Length of an attribute's text, in bytes.
const ATTRIBUTE_BYTES: usize = 64;

pub(super) fn slice(object: &Value, errors: &mut ErrorList) {
    let spec = object.at("spec");
    let driver = spec.text("driver");
    if required(spec, "driver", &SPEC, errors) {
        csi_driver_name(driver, &SPEC.child("driver"), errors);
    }
    pool(spec.at("pool"), &SPEC.child("pool"), errors);
    place(spec, errors);
    let devices = spec.list("devices");
    let tainted = devices.iter().any(|d| !d.list("taints").is_empty());
    let list = SPEC.child("devices");
    at_most(devices.len(), if tainted { DEVICES_WITH_TAINTS } else { DEVICES }, &list, errors);
    for (i, one) in devices.iter().enumerate() {
        let at = list.index(i);
        if devices[..i].iter().any(|other| other.text("name") == one.text("name")) {
            errors.duplicate(&at, one.at("name"));
        }
        device(one, &at, errors);
    }
    let sets = spec.list("sharedCounters");
    let list = SPEC.child("sharedCounters");
    at_most(sets.len(), COUNTER_SETS, &list, errors);
    if !sets.is_empty() && !devices.is_empty() {
        let why = "only one of `sharedCounters` or `devices` is allowed in one slice";
        errors.forbidden(&list, why);
    }
    for (i, set) in sets.iter().enumerate() {
        let at = list.index(i);
        let name = set.text("name");
        complain(&at.child("name"), name, names::check_dns1123_label(name), errors);
        if is_empty(set.at("counters")) {
            errors.required(&at.child("counters"), "");
        }
    }
}

fn pool(pool: &Value, path: &Path<'_>, errors: &mut ErrorList) {
    let name = pool.text("name");
    let at = path.child("name");
    if name.is_empty() {
        errors.required(&at, "");
    } else {
        if name.len() > POOL_NAME_BYTES {
            errors.too_long(&at, POOL_NAME_BYTES);
        }
        for part in name.split('/') {
            complain(&at, part, names::check_dns1123_subdomain(part), errors);
        }
    }
    if pool.int("resourceSliceCount").unwrap_or(0) <= 0 {
        let count = Value::from(pool.int("resourceSliceCount").unwrap_or(0));
        errors.invalid(&path.child("resourceSliceCount"), &count, "must be greater than zero");
    }
    if pool.int("generation").is_some_and(|g| g < 0) {
        let why = "must be greater than or equal to zero";
        errors.invalid(&path.child("generation"), pool.at("generation"), why);
    }
}

/// Exactly one way to say which nodes reach the devices.
fn place(spec: &Value, errors: &mut ErrorList) {
    let set: Vec<&str> = ["nodeName", "nodeSelector", "allNodes", "perDeviceNodeSelection"]
        .into_iter()
        .filter(|name| spec.has(name) && spec.at(name) != &Value::Bool(false))
        .collect();
    const ONE: &str =
        "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required";
    match set[..] {
        [] => errors.required(&SPEC, ONE),
        [_] => {}
        _ => {
            let names: Vec<String> = set.iter().map(|n| format!("`{n}`")).collect();
            let shown = format!("{{{}}}", names.join(", "));
            errors.invalid_text(&SPEC, shown, format!("{ONE}, but multiple fields are set"));
        }
    }
    let node = spec.text("nodeName");
    if spec.has("nodeName") {
        complain(&SPEC.child("nodeName"), node, names::check_dns1123_subdomain(node), errors);
    }
}

fn device(device: &Value, path: &Path<'_>, errors: &mut ErrorList) {
    let name = device.text("name");
    complain(&path.child("name"), name, names::check_dns1123_label(name), errors);
    let count = |field: &str| device.map(field).map_or(0, serde_json::Map::len);
    let total = count("attributes") + count("capacity");
    if total > ATTRIBUTES {
        let why = format!("the total number of attributes and capacities must not exceed {ATTRIBUTES}");
        errors.invalid(path, &total.into(), why);
    }
    let attributes = path.child("attributes");
    for (key, value) in device.map("attributes").into_iter().flatten() {
        attribute(key, value, &attributes.key(key), errors);
    }
    let capacities = path.child("capacity");
    for (key, value) in device.map("capacity").into_iter().flatten() {
        let at = capacities.key(key);
        id(key, &at, errors);
        if quantity(value.at("value")).is_none() {
            errors.required(&at.child("value"), "");
        }
    }
    let list = path.child("taints");
    for (i, taint) in device.list("taints").iter().enumerate() {
        let at = list.index(i);
        let key = taint.text("key");
        complain(&at.child("key"), key, names::check_qualified_name(key), errors);
        match taint.text("effect") {
            "" => errors.required(&at.child("effect"), ""),
            "NoSchedule" | "NoExecute" | "None" => {}
            other => errors.not_supported(&at.child("effect"), other, &["NoExecute", "NoSchedule", "None"]),
        }
    }
}

/// A name, its domain left out when it is the driver's.
fn id(key: &str, path: &Path<'_>, errors: &mut ErrorList) {
    let (domain, name) = key.split_once('/').map_or((None, key), |(domain, name)| (Some(domain), name));
    if let Some(domain) = domain {
        complain(path, domain, names::check_dns1123_subdomain(domain), errors);
    }
    complain(path, name, names::check_c_identifier(name), errors);
}

fn attribute(key: &str, value: &Value, path: &Path<'_>, errors: &mut ErrorList) {
    id(key, path, errors);
    let set: Vec<&str> =
        ["bool", "int", "string", "version"].into_iter().filter(|name| value.has(name)).collect();
    match set[..] {
        [] => errors.required(path, "exactly one value must be specified"),
        [name @ ("string" | "version")] if value.text(name).len() > ATTRIBUTE_BYTES => {
            errors.too_long(&path.child(name), ATTRIBUTE_BYTES);
        }
        [_] => {}
        _ => errors.invalid(path, value, "exactly one value must be specified"),
    }
}

/// Where the devices are stays; what is offered may change.
pub(super) fn slice_update(old: &Value, new: &Value, errors: &mut ErrorList) {
    let (before, after) = (old.at("spec"), new.at("spec"));
    let fields: [(&[&str], Path<'_>); 2] =
        [(&["driver"], SPEC.child("driver")), (&["nodeName"], SPEC.child("nodeName"))];
    for (name, path) in fields {
        if before.below(name) != after.below(name) {
            errors.invalid(&path, after.below(name), IMMUTABLE);
        }
    }
    let pool = SPEC.child("pool");
    if before.at("pool").text("name") != after.at("pool").text("name") {
        errors.invalid(&pool.child("name"), after.at("pool").at("name"), IMMUTABLE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn slices() {
        let found = |spec: Value| {
            let mut errors = ErrorList::new();
            slice(&json!({"spec":spec}), &mut errors);
            errors.iter().map(crate::field::FieldError::message).collect::<Vec<_>>()
        };
        let pool = json!({"name":"a","resourceSliceCount":1});
        assert_eq!(
            found(json!({"driver":"d.e","pool":pool,"nodeName":"n","devices":[{"name":"x",
                "attributes":{"model":{"string":"m"}},"capacity":{"memory":{"value":"1Gi"}}}]})),
            [""; 0]
        );
        assert_eq!(
            found(json!({"driver":"d.e","pool":{"name":"a"},"devices":[{"name":"x"},{"name":"x",
                "attributes":{"a":{"int":1,"bool":true}}}]})),
            [
                "spec.pool.resourceSliceCount: Invalid value: 0: must be greater than zero",
                "spec: Required value: exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required",
                "spec.devices[1]: Duplicate value: \"x\"",
                "spec.devices[1].attributes[a]: Invalid value: {\"bool\":true,\"int\":1}: exactly one value must be specified"
            ]
        );
    }
}
