//! Validation of volumes of pods and of the sources that persistent volumes share with them.

use serde_json::Value;

use super::environment::{resource_ref, subscript};
use super::util::{complain, local_descending, no_backsteps, quantity, required};
use super::volume_disk::{azure_disk, csi_driver, fc, iscsi};
use crate::field::{ErrorList, Path};
use crate::names;
use crate::view::View;

/// The volumes of a pod by name, and whether each can serve as a block device.
#[derive(Debug, Default)]
pub(super) struct Volumes<'a>(Vec<(&'a str, bool)>);

impl Volumes<'_> {
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(n, _)| *n == name && !name.is_empty())
    }

    pub(super) fn is_claim(&self, name: &str) -> Option<bool> {
        self.0.iter().find(|(n, _)| *n == name).map(|(_, claim)| *claim)
    }
}

/// Sources in the order in which upstream looks for them.
const SOURCES: [&str; 31] = [
    "emptyDir",
    "hostPath",
    "gitRepo",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "secret",
    "nfs",
    "iscsi",
    "glusterfs",
    "flocker",
    "persistentVolumeClaim",
    "rbd",
    "cinder",
    "cephfs",
    "quobyte",
    "downwardAPI",
    "fc",
    "flexVolume",
    "configMap",
    "azureFile",
    "vsphereVolume",
    "photonPersistentDisk",
    "portworxVolume",
    "azureDisk",
    "storageos",
    "projected",
    "scaleIO",
    "csi",
    "ephemeral",
    "image",
    "local",
];

pub(super) fn volumes<'a>(list: &'a [Value], path: &Path<'_>, errors: &mut ErrorList) -> Volumes<'a> {
    let mut out = Volumes::default();
    for (i, volume) in list.iter().enumerate() {
        let at = path.index(i);
        let name = volume.text("name");
        let found = errors.len();
        sources(volume, &at, errors);
        let sound = errors.len() == found;
        if name.is_empty() {
            errors.required(&at.child("name"), "");
        } else {
            complain(&at.child("name"), name, names::check_dns1123_label(name), errors);
        }
        if out.has(name) {
            errors.duplicate(&at.child("name"), volume.at("name"));
        }
        if !sound {
            continue;
        }
        out.0.push((name, volume.has("persistentVolumeClaim") || volume.has("ephemeral")));
    }
    out
}

fn sources(volume: &Value, path: &Path<'_>, errors: &mut ErrorList) {
    let mut found = 0;
    for name in SOURCES {
        if !volume.has(name) {
            continue;
        }
        found += 1;
        let at = path.child(name);
        if found > 1 {
            errors.forbidden(&at, "may not specify more than 1 volume type");
        } else {
            pod_source(name, volume.at(name), &at, errors);
        }
    }
    if found == 0 {
        errors.required(path, "must specify a volume type");
    }
}

fn pod_source(name: &str, source: &Value, path: &Path<'_>, errors: &mut ErrorList) {
    match name {
        "emptyDir" => {
            if source.has("sizeLimit") && quantity(source.at("sizeLimit")).is_none_or(|q| q.is_negative()) {
                errors
                    .forbidden(&path.child("sizeLimit"), "SizeLimit field must be a valid resource quantity");
            }
        }
        "gitRepo" => {
            required(source, "repository", path, errors);
            local_descending(source.text("directory"), &path.child("directory"), errors);
        }
        "secret" => {
            required(source, "secretName", path, errors);
            mode(source, "defaultMode", path, errors);
            items(source, path, errors);
        }
        "configMap" => {
            required(source, "name", path, errors);
            mode(source, "defaultMode", path, errors);
            items(source, path, errors);
        }
        "persistentVolumeClaim" => {
            required(source, "claimName", path, errors);
        }
        "downwardAPI" => {
            mode(source, "defaultMode", path, errors);
            for file in source.list("items") {
                downward_file(file, path, errors);
            }
        }
        "projected" => {
            mode(source, "defaultMode", path, errors);
            projected(source, path, errors);
        }
        "csi" => {
            csi_driver(source, path, errors);
            let secret = source.at("nodePublishSecretRef");
            if !secret.is_null() && secret.text("name").is_empty() {
                errors.required(&path.child("nodePublishSecretRef").child("name"), "");
            }
        }
        "ephemeral" => {
            if source.has("volumeClaimTemplate") {
                let at = path.child("volumeClaimTemplate");
                super::storage::claim_spec(
                    source.at("volumeClaimTemplate").at("spec"),
                    &at.child("spec"),
                    errors,
                );
            } else {
                errors.required(&path.child("volumeClaimTemplate"), "");
            }
        }
        _ => shared_source(name, source, path, errors),
    }
}

/// Sources that persistent volumes have as well.
pub(super) fn shared_source(name: &str, source: &Value, path: &Path<'_>, errors: &mut ErrorList) {
    let mut need = |field: &str| {
        required(source, field, path, errors);
    };
    match name {
        "hostPath" => host_path(source, path, errors),
        "gcePersistentDisk" => need("pdName"),
        "awsElasticBlockStore" | "cinder" => need("volumeID"),
        "nfs" => {
            need("server");
            need("path");
            let place = source.text("path");
            if !place.is_empty() && !place.starts_with('/') {
                errors.invalid_str(&path.child("path"), place, "must be an absolute path");
            }
        }
        "iscsi" => iscsi(source, path, errors),
        "glusterfs" => {
            need("endpoints");
            need("path");
        }
        "rbd" => {
            if source.list("monitors").is_empty() {
                errors.required(&path.child("monitors"), "");
            }
            required(source, "image", path, errors);
        }
        "cephfs" => {
            if source.list("monitors").is_empty() {
                errors.required(&path.child("monitors"), "");
            }
        }
        "flexVolume" => need("driver"),
        "fc" => fc(source, path, errors),
        "azureFile" => {
            need("secretName");
            need("shareName");
        }
        "azureDisk" => azure_disk(source, path, errors),
        "vsphereVolume" => need("volumePath"),
        "photonPersistentDisk" => need("pdID"),
        "portworxVolume" => need("volumeID"),
        "quobyte" => {
            need("registry");
            need("volume");
        }
        "scaleIO" => {
            need("gateway");
            need("system");
            need("volumeName");
        }
        "local" => {
            need("path");
            no_backsteps(source.text("path"), &path.child("path"), errors);
        }
        _ => {}
    }
}

fn host_path(source: &Value, path: &Path<'_>, errors: &mut ErrorList) {
    const TYPES: [&str; 8] =
        ["", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"];
    required(source, "path", path, errors);
    no_backsteps(source.text("path"), &path.child("path"), errors);
    let kind = source.text("type");
    if source.has("type") && !TYPES.contains(&kind) {
        errors.not_supported(&path.child("type"), kind, &TYPES[1..]);
    }
}

fn mode(owner: &Value, name: &str, path: &Path<'_>, errors: &mut ErrorList) {
    if owner.int(name).is_some_and(|m| !(0..=0o777).contains(&m)) {
        let text = "must be a number between 0 and 0777 (octal), both inclusive";
        errors.invalid(&path.child(name), owner.at(name), text);
    }
}

fn items(source: &Value, path: &Path<'_>, errors: &mut ErrorList) {
    let list = path.child("items");
    for (i, item) in source.list("items").iter().enumerate() {
        let at = list.index(i);
        required(item, "key", &at, errors);
        if required(item, "path", &at, errors) {
            non_back(item.text("path"), &at.child("path"), errors);
        }
        mode(item, "mode", &at, errors);
    }
}

/// A relative path that neither leaves its folder nor starts with `..`.
fn non_back(place: &str, path: &Path<'_>, errors: &mut ErrorList) {
    local_descending(place, path, errors);
    if place.starts_with("..") && !place.starts_with("../") && place != ".." {
        errors.invalid_str(path, place, "must not start with '..'");
    }
}

fn downward_file(file: &Value, path: &Path<'_>, errors: &mut ErrorList) {
    if required(file, "path", path, errors) {
        non_back(file.text("path"), &path.child("path"), errors);
    }
    if file.has("fieldRef") {
        let at = path.child("fieldRef");
        let field = file.at("fieldRef").text("fieldPath");
        let known = [
            "metadata.name",
            "metadata.namespace",
            "metadata.labels",
            "metadata.annotations",
            "metadata.uid",
        ];
        match subscript(field) {
            Some(("metadata.labels" | "metadata.annotations", key)) => {
                complain(
                    &at.child("fieldPath"),
                    key,
                    names::check_qualified_name(&key.to_lowercase()),
                    errors,
                );
            }
            _ if field.is_empty() => errors.required(&at.child("fieldPath"), ""),
            _ if !known.contains(&field) => errors.not_supported(&at.child("fieldPath"), field, &known),
            _ => {}
        }
        if file.has("resourceFieldRef") {
            errors.invalid_str(
                path,
                "resource",
                "fieldRef and resourceFieldRef can not be specified simultaneously",
            );
        }
    } else if file.has("resourceFieldRef") {
        resource_ref(file.at("resourceFieldRef"), &path.child("resourceFieldRef"), true, errors);
    } else {
        errors.required(path, "one of fieldRef and resourceFieldRef is required");
    }
    mode(file, "mode", path, errors);
}

fn projected(source: &Value, path: &Path<'_>, errors: &mut ErrorList) {
    let list = path.child("sources");
    for (i, part) in source.list("sources").iter().enumerate() {
        let at = list.index(i);
        let mut found = 0;
        for name in ["secret", "configMap", "downwardAPI", "serviceAccountToken", "clusterTrustBundle"] {
            if !part.has(name) {
                continue;
            }
            found += 1;
            let inner = part.at(name);
            let here = at.child(name);
            if found > 1 {
                errors.forbidden(&here, "may not specify more than 1 volume type");
                continue;
            }
            match name {
                "secret" | "configMap" => {
                    required(inner, "name", &here, errors);
                    items(inner, &here, errors);
                }
                "downwardAPI" => inner.list("items").iter().for_each(|f| downward_file(f, &here, errors)),
                "serviceAccountToken" => {
                    let field = here.child("expirationSeconds");
                    let seconds = inner.int("expirationSeconds").unwrap_or(0);
                    if seconds < 600 {
                        let text = "may not specify a duration less than 10 minutes";
                        errors.invalid(&field, inner.at("expirationSeconds"), text);
                    } else if seconds > 1 << 32 {
                        let text = "may not specify a duration larger than 2^32 seconds";
                        errors.invalid(&field, inner.at("expirationSeconds"), text);
                    }
                    // Upstream names this field as the volume's own.
                    required(inner, "path", path, errors);
                }
                _ => {}
            }
        }
    }
}
