//! Volumes, claims, classes and CSI.

use serde_json::Value;
use trireme_schema::view::View;

use super::text::{or, quantity, texts};
use super::{Scene, name};

/// The annotation that named the class before the field did; it still wins.
const CLASS_ANNOTATION: &str = "volume.beta.kubernetes.io/storage-class";

pub(super) fn volume(object: &Value, scene: &Scene) -> Vec<Value> {
    let (spec, status) = (object.at("spec"), object.at("status"));
    let claim = match spec.at("claimRef") {
        Value::Null => String::new(),
        reference => format!("{}/{}", reference.text("namespace"), reference.text("name")),
    };
    let mut cells = vec![
        name(object),
        quantity(spec.at("capacity").at("storage")).into(),
        access_modes(spec).into(),
        spec.text("persistentVolumeReclaimPolicy").into(),
        phase(object).into(),
        claim.into(),
        class(object).into(),
    ];
    if scene.newer() {
        cells.push(unset(spec, "volumeAttributesClassName"));
    }
    cells.extend([status.text("reason").into(), scene.age(object), unset(spec, "volumeMode")]);
    cells
}

pub(super) fn claim(object: &Value, scene: &Scene) -> Vec<Value> {
    let (spec, status) = (object.at("spec"), object.at("status"));
    let (mut capacity, mut modes) = (String::new(), String::new());
    if !spec.text("volumeName").is_empty() {
        capacity = quantity(status.at("capacity").at("storage"));
        modes = access_modes(status);
    }
    let mut cells = vec![
        name(object),
        phase(object).into(),
        spec.text("volumeName").into(),
        capacity.into(),
        modes.into(),
        class(object).into(),
    ];
    if scene.newer() {
        cells.push(unset(spec, "volumeAttributesClassName"));
    }
    cells.extend([scene.age(object), unset(spec, "volumeMode")]);
    cells
}

fn phase(object: &Value) -> &str {
    let ending = object.at("metadata").has("deletionTimestamp");
    if ending { "Terminating" } else { object.at("status").text("phase") }
}

fn class(object: &Value) -> &str {
    let annotated = object.at("metadata").at("annotations").at(CLASS_ANNOTATION).as_str();
    annotated.unwrap_or(object.at("spec").text("storageClassName"))
}

fn unset(spec: &Value, field: &str) -> Value {
    spec.at(field).as_str().unwrap_or("<unset>").into()
}

/// Short names in a fixed order, each once.
fn access_modes(holder: &Value) -> String {
    let known = [
        ("ReadWriteOnce", "RWO"),
        ("ReadOnlyMany", "ROX"),
        ("ReadWriteMany", "RWX"),
        ("ReadWriteOncePod", "RWOP"),
    ];
    let modes = texts(holder, "accessModes");
    let short: Vec<&str> =
        known.into_iter().filter(|(long, _)| modes.contains(long)).map(|(_, s)| s).collect();
    short.join(",")
}

fn default_marked(object: &Value, annotations: &[&str]) -> Value {
    let marks = object.at("metadata").at("annotations");
    let default = annotations.iter().any(|a| marks.text(a) == "true");
    let suffix = if default { " (default)" } else { "" };
    format!("{}{suffix}", object.at("metadata").text("name")).into()
}

pub(super) fn storage_class(object: &Value, scene: &Scene) -> Vec<Value> {
    let annotations =
        ["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"];
    vec![
        default_marked(object, &annotations),
        object.text("provisioner").into(),
        or(object.text("reclaimPolicy"), "Delete").into(),
        or(object.text("volumeBindingMode"), "Immediate").into(),
        object.is_true("allowVolumeExpansion").into(),
        scene.age(object),
    ]
}

pub(super) fn attributes_class(object: &Value, scene: &Scene) -> Vec<Value> {
    let annotations = ["volumeattributesclass.alpha.kubernetes.io/is-default-class"];
    vec![default_marked(object, &annotations), object.text("driverName").into(), scene.age(object)]
}

pub(super) fn attachment(object: &Value, scene: &Scene) -> Vec<Value> {
    let spec = object.at("spec");
    vec![
        name(object),
        spec.text("attacher").into(),
        spec.at("source").text("persistentVolumeName").into(),
        spec.text("nodeName").into(),
        object.at("status").is_true("attached").into(),
        scene.age(object),
    ]
}

pub(super) fn csi_driver(object: &Value, scene: &Scene) -> Vec<Value> {
    let spec = object.at("spec");
    let tokens = match spec.at("tokenRequests") {
        Value::Null => "<unset>".to_owned(),
        _ => spec.list("tokenRequests").iter().map(|t| t.text("audience")).collect::<Vec<_>>().join(","),
    };
    vec![
        name(object),
        spec.at("attachRequired").as_bool().unwrap_or(true).into(),
        spec.is_true("podInfoOnMount").into(),
        spec.is_true("storageCapacity").into(),
        tokens.into(),
        spec.is_true("requiresRepublish").into(),
        or(&texts(spec, "volumeLifecycleModes").join(","), "<none>").into(),
        scene.age(object),
    ]
}

pub(super) fn csi_node(object: &Value, scene: &Scene) -> Vec<Value> {
    vec![name(object), object.at("spec").list("drivers").len().into(), scene.age(object)]
}
