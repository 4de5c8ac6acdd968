//! Validation of volumes, claims and the storage group.

use serde_json::Value;

use super::util::{IMMUTABLE, complain, label_selector, quantity, required, strings};
use super::volume::shared_source;
use super::volume_disk::csi_driver;
use crate::field::{ErrorList, Path};
use crate::names;
use crate::view::{Edit, View, same};

const SPEC: Path<'static> = Path::new("spec");
const MODES: [&str; 4] = ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];

const SOURCES: [&str; 22] = [
    "hostPath",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "glusterfs",
    "nfs",
    "rbd",
    "quobyte",
    "cephfs",
    "iscsi",
    "cinder",
    "fc",
    "flocker",
    "flexVolume",
    "azureFile",
    "vsphereVolume",
    "photonPersistentDisk",
    "portworxVolume",
    "azureDisk",
    "scaleIO",
    "local",
    "storageos",
    "csi",
];

fn access_modes(spec: &Value, path: &Path<'_>, errors: &mut ErrorList) {
    let at = path.child("accessModes");
    let modes = strings(spec.list("accessModes"));
    for mode in &modes {
        if !MODES.contains(mode) {
            errors.not_supported(&at, mode, &MODES);
        }
    }
    if modes.contains(&"ReadWriteOncePod") && modes.len() > 1 {
        errors.forbidden(&at, "may not use ReadWriteOncePod with other access modes");
    }
}

fn volume_mode(spec: &Value, path: &Path<'_>, errors: &mut ErrorList) {
    let mode = spec.text("volumeMode");
    if spec.has("volumeMode") && !matches!(mode, "Block" | "Filesystem") {
        errors.not_supported(&path.child("volumeMode"), mode, &["Block", "Filesystem"]);
    }
}

fn class_name(spec: &Value, path: &Path<'_>, errors: &mut ErrorList) {
    let class = spec.text("storageClassName");
    if !class.is_empty() {
        complain(&path.child("storageClassName"), class, names::check_dns1123_subdomain(class), errors);
    }
}

pub(super) fn volume(object: &Value, errors: &mut ErrorList) {
    let spec = object.at("spec");
    if spec.list("accessModes").is_empty() {
        errors.required(&SPEC.child("accessModes"), "");
    }
    access_modes(spec, &SPEC, errors);
    capacity(spec, errors);
    match spec.text("persistentVolumeReclaimPolicy") {
        "Delete" | "Recycle" | "Retain" | "" => {}
        other => {
            let choices = ["Delete", "Recycle", "Retain"];
            errors.not_supported(&SPEC.child("persistentVolumeReclaimPolicy"), other, &choices);
        }
    }
    let affinity = spec.at("nodeAffinity");
    let path = SPEC.child("nodeAffinity");
    if !affinity.is_null() {
        if affinity.has("required") {
            super::pod::node_selector(affinity.at("required"), &path.child("required"), errors);
        } else {
            errors.required(&path.child("required"), "must specify required node constraints");
        }
    }
    let mut found = 0;
    for name in SOURCES {
        if !spec.has(name) {
            continue;
        }
        found += 1;
        let at = SPEC.child(name);
        if found > 1 {
            errors.forbidden(&at, "may not specify more than 1 volume type");
        } else if name == "csi" {
            csi_driver(spec.at("csi"), &at, errors);
            required(spec.at("csi"), "volumeHandle", &at, errors);
        } else {
            shared_source(name, spec.at(name), &at, errors);
        }
        if name == "local" && affinity.is_null() {
            errors.required(&path, "Local volume requires node affinity");
        }
    }
    if found == 0 {
        errors.required(&SPEC, "must specify a volume type");
    }
    if spec.text("persistentVolumeReclaimPolicy") == "Recycle"
        && matches!(spec.at("hostPath").text("path"), "/" | "//" | "/.")
    {
        let text = "may not be 'recycle' for a hostPath mount of '/'";
        errors.forbidden(&SPEC.child("persistentVolumeReclaimPolicy"), text);
    }
    class_name(spec, &SPEC, errors);
    volume_mode(spec, &SPEC, errors);
}

fn capacity(spec: &Value, errors: &mut ErrorList) {
    let path = SPEC.child("capacity");
    let capacity = spec.map("capacity");
    if capacity.is_none_or(serde_json::Map::is_empty) {
        errors.required(&path, "");
    }
    if capacity.is_none_or(|c| c.len() != 1 || !c.contains_key("storage")) {
        let shown = if capacity.is_none() {
            "core.ResourceList(nil)".to_owned()
        } else {
            "core.ResourceList{}".to_owned()
        };
        errors.not_supported_text(&path, shown, &["storage"]);
    }
    for (name, value) in capacity.into_iter().flatten() {
        positive(value, &path.key(name), errors);
    }
}

fn positive(value: &Value, path: &Path<'_>, errors: &mut ErrorList) {
    if quantity(value).is_some_and(|q| q.is_negative() || q.is_zero()) {
        errors.invalid(path, value, "must be greater than zero");
    }
}

pub(super) fn claim(object: &Value, errors: &mut ErrorList) {
    claim_spec(object.at("spec"), &SPEC, errors);
}

/// The spec of a claim or a claim template.
pub(super) fn claim_spec(spec: &Value, path: &Path<'_>, errors: &mut ErrorList) {
    if spec.list("accessModes").is_empty() {
        errors.required(&path.child("accessModes"), "at least 1 access mode is required");
    }
    label_selector(spec.at("selector"), &path.child("selector"), errors);
    access_modes(spec, path, errors);
    let storage = spec.below(&["resources", "requests", "storage"]);
    let resources = path.child("resources");
    if storage.is_null() {
        errors.required(&resources.key("storage"), "");
    } else {
        positive(storage, &resources.key("storage"), errors);
    }
    class_name(spec, path, errors);
    volume_mode(spec, path, errors);
    for name in ["dataSource", "dataSourceRef"] {
        if spec.has(name) {
            data_source(spec.at(name), &path.child(name), errors);
        }
    }
    if spec.has("dataSource") && spec.has("dataSourceRef") {
        let (a, b) = (spec.at("dataSource"), spec.at("dataSourceRef"));
        if ["apiGroup", "kind", "name"].iter().any(|f| a.at(f) != b.at(f)) {
            errors.invalid(path, a, "must match dataSourceRef");
        }
    }
}

fn data_source(source: &Value, path: &Path<'_>, errors: &mut ErrorList) {
    required(source, "name", path, errors);
    required(source, "kind", path, errors);
    let group = source.text("apiGroup");
    let kind = source.text("kind");
    if group.is_empty() && !kind.is_empty() && kind != "PersistentVolumeClaim" {
        // Upstream names the whole reference.
        let text = "must be 'PersistentVolumeClaim' when referencing the default apiGroup";
        errors.invalid_str(path, kind, text);
    }
    if !group.is_empty() {
        complain(&path.child("apiGroup"), group, names::check_dns1123_subdomain(group), errors);
    }
}

pub(super) fn claim_update(old: &Value, new: &Value, errors: &mut ErrorList) {
    let (before, after) = (old.at("spec"), new.at("spec"));
    let bound = old.at("status").text("phase") == "Bound";
    let strip = |spec: &Value| {
        let mut spec = spec.clone();
        spec.remove("volumeAttributesClassName");
        if before.text("volumeName").is_empty() {
            spec.remove("volumeName");
        }
        if bound && let Some(requests) = spec.get_some("resources").and_then(|r| r.get_some("requests")) {
            requests.remove("storage");
        }
        spec
    };
    if !same(&strip(before), &strip(after)) {
        let text = "spec is immutable after creation except resources.requests for bound claims";
        errors.forbidden(&SPEC, super::util::with_changes(text, before, after));
    }
    let size = |spec: &Value| quantity(spec.below(&["resources", "requests", "storage"]));
    if let (Some(was), Some(is)) = (size(before), size(after))
        && is < was
    {
        let resources = SPEC.child("resources");
        let requests = resources.child("requests");
        errors.forbidden(&requests.child("storage"), "field can not be less than previous value");
    }
    if before.at("volumeMode") != after.at("volumeMode") {
        errors.invalid(&Path::new("volumeMode"), after.at("volumeMode"), IMMUTABLE);
    }
}

pub(super) fn volume_update(old: &Value, new: &Value, errors: &mut ErrorList) {
    let (before, after) = (old.at("spec"), new.at("spec"));
    if SOURCES.iter().any(|name| !same(before.at(name), after.at(name))) {
        let text = "spec.persistentvolumesource is immutable after creation";
        errors
            .forbidden(&SPEC.child("persistentvolumesource"), super::util::with_changes(text, before, after));
    }
    if before.at("volumeMode") != after.at("volumeMode") {
        errors.invalid(&Path::new("volumeMode"), after.at("volumeMode"), IMMUTABLE);
    }
    if before.has("nodeAffinity") && !same(before.at("nodeAffinity"), after.at("nodeAffinity")) {
        let text = "field is immutable, except for updating from beta label to GA";
        errors.invalid(&Path::new("nodeAffinity"), after.at("nodeAffinity"), text);
    }
}
