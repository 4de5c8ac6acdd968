//! The files of configMap, secret, downwardAPI and projected volumes.

use base64::Engine;
use serde_json::Value;
use trireme_kubelet_core::pod;
use trireme_kubelet_core::translate::{effective_user, field, resource_field};
use trireme_schema::view::View;

use super::atomic::{File, Payload};
use crate::api::{Place, Resource};
use crate::shared::Shared;

/// Mode of files when nothing is said.
const DEFAULT_MODE: i64 = 0o644;

/// The files of one volume. `source` is what stands under the volume's kind.
pub(super) async fn of(shared: &Shared, pod: &Value, kind: &str, source: &Value) -> Result<Payload, String> {
    let mode = source.int("defaultMode").unwrap_or(DEFAULT_MODE);
    match kind {
        "configMap" => from_object(shared, pod, false, source.text("name"), source, mode).await,
        "secret" => from_object(shared, pod, true, source.text("secretName"), source, mode).await,
        "downwardAPI" => downward(shared, pod, source, mode),
        _ => projected(shared, pod, source, mode).await,
    }
}

async fn projected(shared: &Shared, pod: &Value, source: &Value, mode: i64) -> Result<Payload, String> {
    let mut payload = Payload::new();
    for part in source.list("sources") {
        let kind = part.as_object().and_then(|map| map.keys().next()).map(String::as_str).unwrap_or_default();
        let own = part.at(kind);
        let files = match kind {
            "configMap" => from_object(shared, pod, false, own.text("name"), own, mode).await?,
            "secret" => from_object(shared, pod, true, own.text("name"), own, mode).await?,
            "downwardAPI" => downward(shared, pod, own, mode)?,
            "serviceAccountToken" => token(shared, pod, own, mode).await?,
            other => return Err(format!("projected source {other} is not built: use another source")),
        };
        payload.extend(files);
    }
    Ok(payload)
}

async fn token(shared: &Shared, pod: &Value, source: &Value, mode: i64) -> Result<Payload, String> {
    let token = shared.tokens.token(shared, pod, source).await?;
    let mut file = file(token.into_bytes(), mode)?;
    // Without a group of its own, a pod that is not root's may read its token only if it owns it.
    let group = pod.at("spec").at("securityContext").has("fsGroup");
    let users: Vec<Option<u32>> =
        pod::containers(pod).iter().map(|container| effective_user(pod, container.spec).0).collect();
    let one = users.first().copied().flatten().filter(|first| users.iter().all(|user| *user == Some(*first)));
    if let Some(user) = one.filter(|_| !group) {
        file.owner = Some(user);
        file.mode = 0o600;
    } else if group {
        file.mode = 0o640;
    }
    Ok(Payload::from([(source.text("path").to_owned(), file)]))
}

async fn from_object(
    shared: &Shared,
    pod: &Value,
    secret: bool,
    name: &str,
    source: &Value,
    mode: i64,
) -> Result<Payload, String> {
    let resource = if secret { Resource::SECRETS } else { Resource::CONFIG_MAPS };
    let place = Place { resource, namespace: pod::namespace(pod), name, subresource: "" };
    let optional = source.is_true("optional");
    let object = match shared.api.get(place).await {
        Ok(object) => object,
        Err(error) if error.is_not_found() && optional => return Ok(Payload::new()),
        Err(error) if error.is_not_found() => {
            let word = if secret { "secret" } else { "configmap" };
            return Err(format!("{word} {name:?} not found"));
        }
        Err(error) => return Err(error.to_string()),
    };
    let mut all = Payload::new();
    for (list, encoded) in [("data", secret), ("binaryData", true)] {
        for (key, value) in object.at(list).as_object().into_iter().flatten() {
            let text = value.as_str().unwrap_or_default();
            let bytes = match encoded {
                true => base64::engine::general_purpose::STANDARD
                    .decode(text)
                    .map_err(|error| format!("{key} of {name:?} is no base64: {error}"))?,
                false => text.as_bytes().to_vec(),
            };
            all.insert(key.clone(), file(bytes, mode)?);
        }
    }
    let items = source.list("items");
    if items.is_empty() {
        return Ok(all);
    }
    let mut chosen = Payload::new();
    for item in items {
        let key = item.text("key");
        match all.get(key) {
            Some(known) => {
                let mode = item.int("mode").unwrap_or(mode);
                chosen.insert(item.text("path").to_owned(), file(known.bytes.clone(), mode)?);
            }
            None if optional => {}
            None => {
                let word = if secret { "secret" } else { "configmap" };
                return Err(format!("references non-existent {word} key: {key}"));
            }
        }
    }
    Ok(chosen)
}

fn downward(shared: &Shared, pod: &Value, source: &Value, mode: i64) -> Result<Payload, String> {
    let facts = shared.facts();
    let mut payload = Payload::new();
    for item in source.list("items") {
        let text = match item.has("fieldRef") {
            true => field(pod, item.at("fieldRef").text("fieldPath"), &facts, &[]),
            false => resource_field(pod, item.at("resourceFieldRef"), "", &facts),
        };
        let text = text.map_err(|error| error.to_string())?;
        let mode = item.int("mode").unwrap_or(mode);
        payload.insert(item.text("path").to_owned(), file(text.into_bytes(), mode)?);
    }
    Ok(payload)
}

fn file(bytes: Vec<u8>, mode: i64) -> Result<File, String> {
    let mode = u32::try_from(mode).map_err(|_| format!("mode {mode} is none"))?;
    Ok(File { bytes, mode, owner: None })
}
