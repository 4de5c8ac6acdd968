//! Which objects a pod, or a volume, makes its node need.

use serde_json::Value;
use trireme_schema::view::View;

/// A kind of object in a pod's namespace that the pod's node may read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Needed {
    Secret,
    ConfigMap,
    Claim,
    ServiceAccount,
    ResourceClaim,
}

/// Annotation of a pod that mirrors a static one: it must not give its node access to anything.
const MIRROR: &str = "kubernetes.io/config.mirror";
/// Volume sources whose `secretRef.name` is in the pod's namespace.
const WITH_SECRET_REF: [&str; 7] = ["cephfs", "cinder", "flexVolume", "rbd", "scaleIO", "iscsi", "storageos"];

/// Tells every object in its namespace that a pod uses, some perhaps twice.
pub(super) fn of_pod(pod: &Value, see: &mut dyn FnMut(Needed, &str)) {
    if pod.at("metadata").at("annotations").has(MIRROR) {
        return;
    }
    let mut named = |needed: Needed, name: &str| {
        if !name.is_empty() {
            see(needed, name);
        }
    };
    let spec = pod.at("spec");
    named(Needed::ServiceAccount, spec.text("serviceAccountName"));
    for secret in spec.list("imagePullSecrets") {
        named(Needed::Secret, secret.text("name"));
    }
    for containers in ["initContainers", "containers", "ephemeralContainers"] {
        for container in spec.list(containers) {
            environment(container, &mut named);
        }
    }
    for volume in spec.list("volumes") {
        of_volume(pod, volume, &mut named);
    }
    let status = pod.at("status");
    for claim in spec.list("resourceClaims") {
        named(Needed::ResourceClaim, claim.text("resourceClaimName"));
    }
    for claim in status.list("resourceClaimStatuses") {
        named(Needed::ResourceClaim, claim.text("resourceClaimName"));
    }
    named(Needed::ResourceClaim, status.at("extendedResourceClaimStatus").text("resourceClaimName"));
}

fn environment(container: &Value, named: &mut dyn FnMut(Needed, &str)) {
    for from in container.list("envFrom") {
        named(Needed::Secret, from.at("secretRef").text("name"));
        named(Needed::ConfigMap, from.at("configMapRef").text("name"));
    }
    for variable in container.list("env") {
        let from = variable.at("valueFrom");
        named(Needed::Secret, from.at("secretKeyRef").text("name"));
        named(Needed::ConfigMap, from.at("configMapKeyRef").text("name"));
    }
}

fn of_volume(pod: &Value, volume: &Value, named: &mut dyn FnMut(Needed, &str)) {
    named(Needed::Secret, volume.at("secret").text("secretName"));
    named(Needed::Secret, volume.at("azureFile").text("secretName"));
    named(Needed::Secret, volume.below(&["csi", "nodePublishSecretRef"]).text("name"));
    for source in WITH_SECRET_REF {
        named(Needed::Secret, volume.below(&[source, "secretRef"]).text("name"));
    }
    named(Needed::ConfigMap, volume.at("configMap").text("name"));
    for source in volume.at("projected").list("sources") {
        named(Needed::Secret, source.at("secret").text("name"));
        named(Needed::ConfigMap, source.at("configMap").text("name"));
    }
    named(Needed::Claim, volume.at("persistentVolumeClaim").text("claimName"));
    if volume.has("ephemeral") {
        let claim = format!("{}-{}", pod.at("metadata").text("name"), volume.text("name"));
        named(Needed::Claim, &claim);
    }
}

/// Tells namespace and name of every secret that a bound PersistentVolume uses. A source that does not name a
/// namespace means the claim's.
pub(super) fn secrets_of_volume(volume: &Value, see: &mut dyn FnMut(&str, &str)) {
    let spec = volume.at("spec");
    let claim_namespace = spec.at("claimRef").text("namespace");
    if claim_namespace.is_empty() {
        return;
    }
    let mut named = |namespace: &str, name: &str| {
        if !name.is_empty() {
            see(if namespace.is_empty() { claim_namespace } else { namespace }, name);
        }
    };
    let azure = spec.at("azureFile");
    named(azure.text("secretNamespace"), azure.text("secretName"));
    for source in WITH_SECRET_REF {
        let secret = spec.below(&[source, "secretRef"]);
        named(secret.text("namespace"), secret.text("name"));
    }
    for field in
        ["controllerPublishSecretRef", "nodePublishSecretRef", "nodeStageSecretRef", "nodeExpandSecretRef"]
    {
        let secret = spec.below(&["csi", field]);
        named(secret.text("namespace"), secret.text("name"));
    }
}
