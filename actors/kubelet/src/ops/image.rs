//! Having an image here, by its pull policy.

use std::time::{Duration, Instant};

use base64::Engine;
use serde_json::Value;
use trireme_kubelet_core::pod;
use trireme_kubelet_core::worker::Trouble;
use trireme_node::{PullCredentials, PullImage, RuntimeErrorKind};
use trireme_schema::view::View;

use crate::api::{Place, Resource};
use crate::shared::{RUNTIME_LIMIT, Shared, within};

/// Longest pull.
const PULL_LIMIT: Duration = Duration::from_secs(30 * 60);
/// Longest image reference.
const REFERENCE_LIMIT_BYTES: usize = 1_024;

pub(super) async fn ensure(shared: &Shared, pod: &Value, name: &str) -> Result<String, Trouble> {
    let Some(container) = pod::container(pod, name) else {
        return Err(Trouble {
            reason: "CreateContainerConfigError",
            message: format!("container {name} is gone"),
        });
    };
    let path = container.field_path();
    let tell = |warning: bool, reason: &str, message: &str| {
        shared.events.pod(pod, Some(&path), warning, reason, message.to_owned());
    };
    let image = container.spec.text("image");
    if !is_reference(image) {
        let message = format!(
            "Failed to apply default image tag {image:?}: couldn't parse image name {image:?}: invalid reference format"
        );
        tell(true, "InspectFailed", &message);
        return Err(Trouble { reason: "InvalidImageName", message });
    }
    let known = within(RUNTIME_LIMIT, "look for the image", shared.runtime.image(image)).await;
    let known = known.map_err(|error| {
        let message = format!("Failed to inspect image {image:?}: {error}");
        tell(true, "InspectFailed", &message);
        Trouble { reason: "ImageInspectError", message }
    })?;
    let policy = match container.spec.text("imagePullPolicy") {
        "" if is_latest(image) => "Always",
        "" => "IfNotPresent",
        policy => policy,
    };
    match (known, policy) {
        (Some(image_here), "IfNotPresent" | "Never") => {
            let message = format!(
                "Container image {image:?} already present on machine and can be accessed by the pod"
            );
            tell(false, "Pulled", &message);
            Ok(image_here.id)
        }
        (None, "Never") => {
            let message = format!("Container image {image:?} is not present with pull policy of Never");
            tell(true, "ErrImageNeverPull", &message);
            Err(Trouble { reason: "ErrImageNeverPull", message })
        }
        _ => {
            tell(false, "Pulling", &format!("Pulling image {image:?}"));
            pull(shared, pod, image)
                .await
                .map(|(id, told)| {
                    tell(false, "Pulled", &told);
                    id
                })
                .inspect_err(|trouble| {
                    tell(true, "Failed", &format!("Failed to pull image {image:?}: {}", trouble.message));
                })
        }
    }
}

async fn pull(shared: &Shared, pod: &Value, image: &str) -> Result<(String, String), Trouble> {
    let waiting = Instant::now();
    let failed = |message: String| Trouble { reason: "ErrImagePull", message };
    let _turn = shared.pulls.acquire().await.map_err(|error| failed(error.to_string()))?;
    let begun = Instant::now();
    let credentials = credentials(shared, pod).await;
    let request = PullImage { image: image.to_owned(), credentials };
    let pulled = within(PULL_LIMIT, "pull the image", shared.runtime.pull_image(request)).await;
    let id = pulled.map_err(|error| match error.kind {
        RuntimeErrorKind::Invalid => Trouble { reason: "InvalidImageName", message: error.message },
        _ => failed(error.message),
    })?;
    let size = match shared.runtime.image(&id).await {
        Ok(Some(image)) => image.size,
        _ => 0,
    };
    let spans = (go_span(begun.elapsed()), go_span(waiting.elapsed()));
    let told = format!(
        "Successfully pulled image {image:?} in {} ({} including waiting). Image size: {size} bytes.",
        spans.0, spans.1
    );
    Ok((id, told))
}

/// A duration as Go rounds and prints it: `812ms`, `1.234s`, `1m2.5s`.
fn go_span(span: Duration) -> String {
    let millis = span.as_millis();
    match millis {
        0..1_000 => format!("{millis}ms"),
        _ => {
            let seconds = span.as_secs();
            let rest = format!("{:03}", millis % 1_000);
            let rest = rest.trim_end_matches('0');
            let fraction = if rest.is_empty() { String::new() } else { format!(".{rest}") };
            match seconds {
                0..60 => format!("{seconds}{fraction}s"),
                _ => format!("{}m{}{fraction}s", seconds / 60, seconds % 60),
            }
        }
    }
}

/// What the pod's pull secrets say. Secrets that are missing or unreadable are told about and left out.
async fn credentials(shared: &Shared, pod: &Value) -> Vec<PullCredentials> {
    let mut all = Vec::new();
    for reference in pod.at("spec").list("imagePullSecrets") {
        let name = reference.text("name");
        let place =
            Place { resource: Resource::SECRETS, namespace: pod::namespace(pod), name, subresource: "" };
        match shared.api.get(place).await {
            Ok(secret) => all.extend(read_credentials(&secret)),
            Err(error) => {
                let message = format!(
                    "Unable to retrieve some image pull secrets ({name}); attempting to pull the image may not \
                     succeed: {error}"
                );
                shared.events.pod(pod, None, true, "FailedToRetrieveImagePullSecret", message);
            }
        }
    }
    all
}

fn read_credentials(secret: &Value) -> Vec<PullCredentials> {
    let engine = base64::engine::general_purpose::STANDARD;
    let decode = |text: &str| engine.decode(text).ok();
    let data = secret.at("data");
    let auths = match (data.text(".dockerconfigjson"), data.text(".dockercfg")) {
        ("", "") => None,
        ("", old) => decode(old).and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok()),
        (new, _) => decode(new)
            .and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok())
            .map(|config| config.at("auths").clone()),
    };
    let entries = auths.as_ref().and_then(Value::as_object).into_iter().flatten();
    let read = entries.map(|(registry, entry)| {
        let joined = decode(entry.text("auth")).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let joined = joined.unwrap_or_default();
        let (user, password) = joined.split_once(':').unwrap_or(("", ""));
        let or = |own: &str, joined: &str| if own.is_empty() { joined.to_owned() } else { own.to_owned() };
        let host = registry.trim_start_matches("https://").trim_start_matches("http://");
        PullCredentials {
            registry: host.trim_end_matches("/v1/").trim_end_matches("/v2/").trim_end_matches('/').to_owned(),
            username: or(entry.text("username"), user),
            password: or(entry.text("password"), password),
            identity_token: entry.text("identitytoken").to_owned(),
        }
    });
    read.collect()
}

fn is_latest(image: &str) -> bool {
    let last = image.rsplit('/').next().unwrap_or(image);
    !image.contains('@') && (!last.contains(':') || last.ends_with(":latest"))
}

/// `[host[:port]/]path[:tag][@digest]` with the letters of the distribution reference grammar.
fn is_reference(image: &str) -> bool {
    let (rest, digest) = image.split_once('@').map_or((image, None), |(rest, digest)| (rest, Some(digest)));
    let slash = rest.rfind('/').map_or(0, |at| at + 1);
    let (path, tag) = match rest[slash..].split_once(':') {
        Some((_, tag)) => (&rest[..rest.len() - tag.len() - 1], Some(tag)),
        None => (rest, None),
    };
    let mut parts: Vec<&str> = path.split('/').collect();
    let is_host = parts.len() > 1 && parts[0].contains(['.', ':']) || parts[0] == "localhost";
    if is_host && parts.len() > 1 {
        parts.remove(0);
    }
    let component = |part: &&str| {
        let fine =
            |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || "._-".contains(letter);
        let ends = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit();
        !part.is_empty() && part.chars().all(fine) && part.starts_with(ends) && part.ends_with(ends)
    };
    let word = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
    let tag = tag.is_none_or(|tag| {
        !tag.is_empty() && tag.len() <= 128 && tag.chars().all(word) && !tag.starts_with(['.', '-'])
    });
    let digest = digest.is_none_or(|digest| {
        digest.split_once(':').is_some_and(|(kind, hex)| {
            !kind.is_empty() && hex.len() >= 32 && hex.bytes().all(|own| own.is_ascii_hexdigit())
        })
    });
    image.len() <= REFERENCE_LIMIT_BYTES && parts.iter().all(component) && tag && digest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references() {
        for good in [
            "busybox",
            "busybox:1.36",
            "a/b:x",
            "host:5000/a/b",
            "localhost/x:y",
            "docker.io/library/a@sha256:0123456789abcdef0123456789abcdef",
        ] {
            assert!(is_reference(good), "{good}");
        }
        for bad in ["", "Busybox", "a b", "a:", "a@sha256:xyz", "/a", "a//b"] {
            assert!(!is_reference(bad), "{bad}");
        }
        assert!(
            is_latest("a/b")
                && is_latest("a:latest")
                && !is_latest("host:5000/a:1")
                && is_latest("host:5000/a")
        );
    }

    #[test]
    fn credentials_of_a_docker_config() {
        let config = r#"{"auths":{"https://reg.example/v1/":{"auth":"dTpw"},"other":{"username":"x","password":"y"}}}"#;
        let data = base64::engine::general_purpose::STANDARD.encode(config);
        let read = read_credentials(&serde_json::json!({"data": {".dockerconfigjson": data}}));
        assert_eq!((read[1].registry.as_str(), read[1].username.as_str()), ("other", "x"));
        assert_eq!((read[0].registry.as_str(), read[0].password.as_str()), ("reg.example", "p"));
    }
}
