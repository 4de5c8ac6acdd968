//! What plugins ask of pods: their containers, and the objects they refer to.

use serde_json::Value;
use trireme_schema::view::View;

/// Marks a pod that a node made from a file.
pub(crate) const MIRROR_ANNOTATION: &str = "kubernetes.io/config.mirror";

/// The containers in upstream's order: init containers, containers, ephemeral ones.
pub(crate) fn containers(spec: &Value) -> impl Iterator<Item = &Value> {
    ["initContainers", "containers", "ephemeralContainers"].into_iter().flat_map(|list| spec.list(list))
}

/// Whether the pod stands for a file on a node.
pub(crate) fn is_mirror(pod: &Value) -> bool {
    pod.at("metadata").at("annotations").has(MIRROR_ANNOTATION)
}

/// Whether the pod names any secret: to pull images, in an environment, in a volume.
pub(crate) fn names_secret(spec: &Value) -> bool {
    let pulls = !spec.list("imagePullSecrets").is_empty();
    pulls
        || env_names(spec, "secretKeyRef", "secretRef")
        || spec.list("volumes").iter().any(volume_names_secret)
}

/// Whether the pod names any config map.
pub(crate) fn names_config_map(spec: &Value) -> bool {
    let in_volume = |volume: &Value| {
        let projected = volume.at("projected").list("sources");
        volume.has("configMap") || projected.iter().any(|source| source.has("configMap"))
    };
    env_names(spec, "configMapKeyRef", "configMapRef") || spec.list("volumes").iter().any(in_volume)
}

fn env_names(spec: &Value, key_ref: &str, whole_ref: &str) -> bool {
    containers(spec).any(|container| {
        container.list("env").iter().any(|entry| entry.at("valueFrom").has(key_ref))
            || container.list("envFrom").iter().any(|entry| entry.has(whole_ref))
    })
}

fn volume_names_secret(volume: &Value) -> bool {
    const BY_REFERENCE: [&str; 7] =
        ["cephfs", "cinder", "flexVolume", "rbd", "scaleIO", "iscsi", "storageos"];
    volume.has("azureFile")
        || volume.has("secret")
        || volume.at("csi").has("nodePublishSecretRef")
        || BY_REFERENCE.iter().any(|kind| volume.at(kind).has("secretRef"))
        || volume.at("projected").list("sources").iter().any(|source| source.has("secret"))
}
