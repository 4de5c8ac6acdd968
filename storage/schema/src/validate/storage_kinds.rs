//! Validation of storage.k8s.io.

use serde_json::Value;

use super::util::{IMMUTABLE, NOT_NEGATIVE, complain, label_selector, quantity, strings};
use super::volume_disk::csi_driver_name;
use crate::field::{ErrorList, Path};
use crate::names;
use crate::view::{View, same};

const SPEC: Path<'static> = Path::new("spec");

pub(super) fn storage_kind(kind: &str, object: &Value, errors: &mut ErrorList) {
    match kind {
        "StorageClass" => storage_class(object, errors),
        "CSIDriver" => driver(object, errors),
        "CSINode" => node(object, errors),
        "CSIStorageCapacity" => storage_capacity(object, errors),
        "VolumeAttachment" => attachment(object, errors),
        "VolumeAttributesClass" => attributes_class(object, errors),
        _ => {}
    }
}

/// Parameters of a class of volume attributes.
const PARAMETERS: usize = 512;
/// All keys and values of the parameters together, in bytes.
const PARAMETERS_BYTES: usize = 256 * 1024;

fn attributes_class(object: &Value, errors: &mut ErrorList) {
    let path = Path::new("driverName");
    if object.text("driverName").is_empty() {
        errors.required(&path, "");
    } else {
        csi_driver_name(object.text("driverName"), &path, errors);
    }
    let at = Path::new("parameters");
    let Some(parameters) = object.map("parameters").filter(|map| !map.is_empty()) else {
        errors.required(&at, "must contain at least one key/value pair");
        return;
    };
    if parameters.len() > PARAMETERS {
        errors.too_long(&at, PARAMETERS);
        return;
    }
    if parameters.contains_key("") {
        errors.invalid_str(&at, "", "field can not be empty.");
    }
    let total: usize = parameters.iter().map(|(k, v)| k.len() + v.as_str().map_or(0, str::len)).sum();
    if total > PARAMETERS_BYTES {
        errors.too_long(&at, PARAMETERS_BYTES);
    }
}

fn storage_class(object: &Value, errors: &mut ErrorList) {
    let provisioner = object.text("provisioner");
    let path = Path::new("provisioner");
    if provisioner.is_empty() {
        errors.required(&path, "");
    } else {
        let lower = provisioner.to_lowercase();
        complain(&path, provisioner, names::check_qualified_name(&lower), errors);
    }
    let path = Path::new("parameters");
    for key in object.map("parameters").into_iter().flatten().map(|(k, _)| k) {
        if key.is_empty() {
            errors.invalid_str(&path, key, "field can not be empty.");
        }
    }
    if !matches!(object.text("reclaimPolicy"), "Delete" | "Retain" | "") {
        errors.not_supported(
            &Path::new("reclaimPolicy"),
            object.text("reclaimPolicy"),
            &["Delete", "Retain"],
        );
    }
    let mode = object.text("volumeBindingMode");
    if !object.has("volumeBindingMode") {
        errors.required(&Path::new("volumeBindingMode"), "");
    } else if !matches!(mode, "Immediate" | "WaitForFirstConsumer") {
        errors.not_supported(&Path::new("volumeBindingMode"), mode, &["Immediate", "WaitForFirstConsumer"]);
    }
    let topologies = Path::new("allowedTopologies");
    for (i, term) in object.list("allowedTopologies").iter().enumerate() {
        let item = topologies.index(i);
        let list = item.child("matchLabelExpressions");
        let mut seen = Vec::new();
        for (j, requirement) in term.list("matchLabelExpressions").iter().enumerate() {
            let at = list.index(j);
            let key = requirement.text("key");
            complain(&at.child("key"), key, names::check_qualified_name(key), errors);
            if requirement.list("values").is_empty() {
                errors.required(&at.child("values"), "");
            }
            if seen.contains(&key) {
                errors.duplicate(&at.child("key"), requirement.at("key"));
            }
            seen.push(key);
        }
    }
}

fn driver(object: &Value, errors: &mut ErrorList) {
    let name = object.at("metadata").text("name");
    if name.len() > 63 {
        errors.too_long(&Path::new("metadata").child("name"), 63);
    }
    let spec = object.at("spec");
    for field in ["attachRequired", "podInfoOnMount", "storageCapacity"] {
        if !spec.has(field) {
            errors.required(&SPEC.child(field), "");
        }
    }
    let policy = spec.text("fsGroupPolicy");
    if spec.has("fsGroupPolicy") && !matches!(policy, "File" | "None" | "ReadWriteOnceWithFSType") {
        let choices = ["File", "None", "ReadWriteOnceWithFSType"];
        errors.not_supported(&SPEC.child("fsGroupPolicy"), policy, &choices);
    }
    for mode in strings(spec.list("volumeLifecycleModes")) {
        if !matches!(mode, "Persistent" | "Ephemeral") {
            errors.not_supported(&SPEC.child("volumeLifecycleModes"), mode, &["Persistent", "Ephemeral"]);
        }
    }
    let list = SPEC.child("tokenRequests");
    let mut seen = Vec::new();
    for (i, request) in spec.list("tokenRequests").iter().enumerate() {
        let at = list.index(i);
        let audience = request.text("audience");
        if seen.contains(&audience) {
            errors.duplicate(&at.child("audience"), request.at("audience"));
        }
        seen.push(audience);
        if request.int("expirationSeconds").is_some_and(|s| s < 600) {
            let text = "may not specify a duration less than 10 minutes";
            errors.invalid(&at.child("expirationSeconds"), request.at("expirationSeconds"), text);
        }
    }
}

fn node(object: &Value, errors: &mut ErrorList) {
    let list = SPEC.child("drivers");
    let mut seen = Vec::new();
    for (i, driver) in object.at("spec").list("drivers").iter().enumerate() {
        let at = list.index(i);
        let name = driver.text("name");
        csi_driver_name(name, &at.child("name"), errors);
        if driver.text("nodeID").is_empty() {
            errors.required(&at.child("nodeID"), "");
        }
        if seen.contains(&name) {
            errors.duplicate(&at.child("name"), driver.at("name"));
        }
        seen.push(name);
        let keys = strings(driver.list("topologyKeys"));
        for (j, key) in keys.iter().enumerate() {
            if key.is_empty() {
                errors.required(&at, "topologyKey cannot be empty");
            } else if keys[..j].contains(key) {
                errors.duplicate(&at, &Value::from(*key));
            } else {
                complain(&at, key, names::check_qualified_name(key), errors);
            }
        }
        let count = driver.at("allocatable").at("count");
        if count.as_i64().is_some_and(|c| c < 0) {
            errors.invalid(&at.child("allocatable").child("count"), count, NOT_NEGATIVE);
        }
    }
}

fn storage_capacity(object: &Value, errors: &mut ErrorList) {
    let selector = object.at("nodeTopology");
    label_selector(selector, &Path::new("nodeTopology"), errors);
    let class = object.text("storageClassName");
    complain(&Path::new("storageClassName"), class, names::check_dns1123_subdomain(class), errors);
    if quantity(object.at("capacity")).is_some_and(|q| q.is_negative()) {
        errors.invalid(&Path::new("capacity"), object.at("capacity"), NOT_NEGATIVE);
    }
}

fn attachment(object: &Value, errors: &mut ErrorList) {
    let spec = object.at("spec");
    csi_driver_name(spec.text("attacher"), &SPEC.child("attacher"), errors);
    let source = spec.at("source");
    let (inline, name) = (source.has("inlineVolumeSpec"), source.text("persistentVolumeName"));
    if inline == source.has("persistentVolumeName") {
        let text = "must specify exactly one of inlineVolumeSpec and persistentVolumeName";
        if inline {
            errors.invalid(&SPEC.child("source"), source, text);
        } else {
            errors.required(&SPEC.child("source"), text);
        }
    } else if !inline && name.is_empty() {
        let text = "must specify non empty persistentVolumeName";
        errors.required(&SPEC.child("source").child("persistentVolumeName"), text);
    }
    let node = spec.text("nodeName");
    complain(&SPEC.child("nodeName"), node, names::check_dns1123_subdomain(node), errors);
}

pub(super) fn storage_update(kind: &str, old: &Value, new: &Value, errors: &mut ErrorList) {
    match kind {
        "StorageClass" => {
            for name in ["parameters", "provisioner", "reclaimPolicy"] {
                if !same(old.at(name), new.at(name)) {
                    errors.forbidden(&Path::new(name), format!("updates to {name} are forbidden."));
                }
            }
            if old.at("volumeBindingMode") != new.at("volumeBindingMode") {
                errors.invalid(&Path::new("volumeBindingMode"), new.at("volumeBindingMode"), IMMUTABLE);
            }
        }
        "VolumeAttributesClass" => {
            for name in ["driverName", "parameters"] {
                if !same(old.at(name), new.at(name)) {
                    errors.invalid(&Path::new(name), new.at(name), IMMUTABLE);
                }
            }
        }
        "CSIDriver" => {
            let fields = [
                ("attachRequired", "attachedRequired"),
                ("fsGroupPolicy", "fsGroupPolicy"),
                ("podInfoOnMount", "podInfoOnMount"),
                ("volumeLifecycleModes", "volumeLifecycleModes"),
            ];
            for (name, shown) in fields {
                let (a, b) = (old.at("spec").at(name), new.at("spec").at(name));
                if !same(a, b) {
                    errors.invalid(&SPEC.child(shown), b, IMMUTABLE);
                }
            }
        }
        "CSINode" => {
            let path = Path::new("CSINodeDriver");
            for driver in old.at("spec").list("drivers") {
                let now =
                    new.at("spec").list("drivers").iter().find(|d| d.text("name") == driver.text("name"));
                if let Some(now) = now
                    && !same(driver, now)
                {
                    errors.invalid(&path, now, IMMUTABLE);
                }
            }
        }
        "CSIStorageCapacity" => {
            for name in ["nodeTopology", "storageClassName"] {
                if !same(old.at(name), new.at(name)) {
                    errors.invalid(&Path::new(name), new.at(name), IMMUTABLE);
                }
            }
        }
        "VolumeAttachment" => {
            if !same(old.at("spec"), new.at("spec")) {
                errors.invalid(&SPEC, new.at("spec"), IMMUTABLE);
            }
        }
        _ => {}
    }
}
