//! Validation of volumes, claims and the storage group.

use serde_json::Value;

use super::util::{IMMUTABLE, NOT_NEGATIVE, complain, label_selector, quantity, required, strings};
use super::volume::{csi_driver, csi_driver_name, shared_source};
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

pub(super) fn storage_kind(kind: &str, object: &Value, errors: &mut ErrorList) {
    match kind {
        "StorageClass" => storage_class(object, errors),
        "CSIDriver" => driver(object, errors),
        "CSINode" => node(object, errors),
        "CSIStorageCapacity" => storage_capacity(object, errors),
        "VolumeAttachment" => attachment(object, errors),
        _ => {}
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
