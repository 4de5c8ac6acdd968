//! Static pods: manifests in a folder, and their mirrors in the API.

use std::path::Path;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use trireme_kubelet_core::pod;
use trireme_schema::view::{Edit, View};

use crate::api::{NodeApi, Place, Resource};

/// Largest manifest that is read.
const MANIFEST_LIMIT_BYTES: u64 = 1 << 20;
/// Most manifests of one folder.
const MANIFESTS_LIMIT: usize = 500;

/// All pods of the folder. Files that cannot be read are told about and left out.
pub(crate) async fn read(folder: &Path, node_name: &str) -> Vec<Value> {
    let mut pods = Vec::new();
    let Ok(mut entries) = tokio::fs::read_dir(folder).await else { return pods };
    let mut paths = Vec::new();
    while let Ok(Some(entry)) = entries.next_entry().await {
        let hidden = entry.file_name().to_string_lossy().starts_with('.');
        let small =
            entry.metadata().await.is_ok_and(|own| own.is_file() && own.len() <= MANIFEST_LIMIT_BYTES);
        if !hidden && small && paths.len() < MANIFESTS_LIMIT {
            paths.push(entry.path());
        }
    }
    paths.sort();
    for path in paths {
        let text = tokio::fs::read_to_string(&path).await.unwrap_or_default();
        match trireme_schema::yaml::parse(text.as_bytes()).map(|document| document.value) {
            Ok(object) if object.text("kind") == "Pod" => pods.push(complete(object, &path, node_name)),
            Ok(_) => tracing::warn!(path = %path.display(), "the static pod's file holds no Pod"),
            Err(error) => tracing::warn!(path = %path.display(), %error, "the static pod's file is no YAML"),
        }
    }
    pods
}

/// Names, uid and defaults that the API would have given.
fn complete(mut object: Value, path: &Path, node_name: &str) -> Value {
    let mut digest = Sha256::new();
    digest.update(node_name.as_bytes());
    digest.update(path.to_string_lossy().as_bytes());
    digest.update(object.to_string().as_bytes());
    let uid: String = digest.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    if let Some(metadata) = object.object("metadata") {
        metadata.default_text("namespace", "default");
        metadata.default("uid", uid.clone());
        let name = format!("{}-{}", metadata.text("name"), node_name.to_lowercase());
        metadata.put("name", name);
        if let Some(annotations) = metadata.object("annotations") {
            annotations.put("kubernetes.io/config.source", "file");
            annotations.put("kubernetes.io/config.hash", uid);
        }
    }
    trireme_schema::defaults::default_pod_template(&mut object);
    if let Some(spec) = object.object("spec") {
        spec.put("nodeName", node_name);
        spec.default("tolerations", json!([{"operator": "Exists", "effect": "NoExecute"}]));
    }
    object
}

/// The mirror of a static pod: made where it is missing. Gives its uid.
pub(crate) async fn mirror(
    api: &dyn NodeApi,
    pod: &Value,
    node_uid: &str,
) -> Result<String, crate::api::ApiError> {
    let mut mirror = pod.clone();
    let node_name = pod.at("spec").text("nodeName").to_owned();
    mirror.remove("status");
    if let Some(metadata) = mirror.object("metadata") {
        metadata.remove("uid");
        if let Some(annotations) = metadata.object("annotations") {
            annotations.put("kubernetes.io/config.mirror", pod::uid(pod));
        }
        let owner = json!([{"apiVersion": "v1", "kind": "Node", "name": node_name, "uid": node_uid, "controller": true}]);
        metadata.put("ownerReferences", owner);
    }
    let (namespace, name) = (pod::namespace(pod), pod::name(pod));
    let place = Place { resource: Resource::PODS, namespace, name: "", subresource: "" };
    match api.create(place, mirror).await {
        Ok(made) => Ok(pod::uid(&made).to_owned()),
        Err(error) if error.is_conflict() => {
            let place = Place { resource: Resource::PODS, namespace, name, subresource: "" };
            let known = api.get(place).await?;
            let of = known.below(&["metadata", "annotations"]).text("kubernetes.io/config.mirror").to_owned();
            if of == pod::uid(pod) {
                return Ok(pod::uid(&known).to_owned());
            }
            // An older manifest's mirror makes room; the next write makes the new one.
            let options = json!({"gracePeriodSeconds": 0, "preconditions": {"uid": pod::uid(&known)}});
            api.delete(place, options).await?;
            Err(error)
        }
        Err(error) => Err(error),
    }
}

/// Removes the mirror of a static pod whose file is gone.
pub(crate) async fn remove_mirror(api: &dyn NodeApi, pod: &Value) -> Result<(), crate::api::ApiError> {
    let place = Place {
        resource: Resource::PODS,
        namespace: pod::namespace(pod),
        name: pod::name(pod),
        subresource: "",
    };
    let known = match api.get(place).await {
        Err(error) if error.is_not_found() => return Ok(()),
        other => other?,
    };
    if known.below(&["metadata", "annotations"]).text("kubernetes.io/config.mirror") != pod::uid(pod) {
        return Ok(());
    }
    let options = json!({"gracePeriodSeconds": 0, "preconditions": {"uid": pod::uid(&known)}});
    match api.delete(place, options).await {
        Err(error) if error.is_not_found() => Ok(()),
        other => other,
    }
}
