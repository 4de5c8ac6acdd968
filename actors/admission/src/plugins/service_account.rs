//! [`ServiceAccount`]: every pod has a service account that exists, its token mounted, its pull secrets, and where
//! the account asks for it no other secrets than the account's.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};
use trireme_schema::status::Failure;
use trireme_schema::view::{Edit, View};

use crate::plugin::{Plugin, World};
use crate::pod::{is_mirror, names_secret};
use crate::refuse::forbidden;
use crate::request::{Operation, Request, Verdict};

/// Where containers find the token.
const TOKEN_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// Names of token volumes start with it.
const VOLUME_PREFIX: &str = "kube-api-access-";
/// Life of a mounted token in seconds: one hour, and some seconds that mark tokens made by default.
const TOKEN_SECONDS: i64 = 3607;
/// On a service account: pods may mount only what the account lists.
const ENFORCE_ANNOTATION: &str = "kubernetes.io/enforce-mountable-secrets";
/// The letters of generated names (no vowels, so that no words arise).
const LETTERS: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
/// Letters of a generated suffix.
const SUFFIX_LETTERS: usize = 5;

/// The plugin.
pub(crate) struct ServiceAccount;

impl Plugin for ServiceAccount {
    fn name(&self) -> &'static str {
        "ServiceAccount"
    }

    fn handles(&self, operation: Operation) -> bool {
        matches!(operation, Operation::Create | Operation::Update)
    }

    fn admit(&self, request: &mut Request<'_>, world: &World<'_>) -> Result<(), Failure> {
        if request.operation != Operation::Create || !request.is_whole("", "pods") {
            return Ok(());
        }
        if is_mirror(request.new_object()) {
            return check_mirror(request);
        }
        if request.new_object().at("spec").text("serviceAccountName").is_empty() {
            set_account(request, "default");
        }
        let account = account(request, world)?;
        let suffix = suffix(request);
        if let Some(spec) = request.object.as_mut().and_then(|pod| pod.object("spec")) {
            if automounts(&account, spec) {
                mount_token(spec, &suffix);
            }
            let pull = account.list("imagePullSecrets");
            if spec.list("imagePullSecrets").is_empty() && !pull.is_empty() {
                let names = pull.iter().map(|secret| json!({"name": secret.text("name")}));
                spec.put("imagePullSecrets", names.collect::<Vec<_>>());
            }
        }
        check(request, &account)
    }

    fn validate(&self, request: &Request<'_>, world: &World<'_>, _: &mut Verdict) -> Result<(), Failure> {
        let debug = request.subresource == "ephemeralcontainers";
        if !request.is("", "pods") || !(request.subresource.is_empty() || debug) {
            return Ok(());
        }
        if request.operation == Operation::Update && debug {
            return check_ephemeral(request, &*account(request, world)?);
        }
        if request.operation != Operation::Create {
            return Ok(());
        }
        if is_mirror(request.new_object()) {
            return check_mirror(request);
        }
        if request.new_object().at("spec").text("serviceAccountName").is_empty() {
            let name = request.new_object().at("metadata").text("name");
            let why = format!("no service account specified for pod {}/{name}", request.namespace);
            return Err(forbidden(request, why));
        }
        check(request, &*account(request, world)?)
    }
}

fn set_account(request: &mut Request<'_>, name: &str) {
    if let Some(spec) = request.object.as_mut().and_then(|pod| pod.object("spec")) {
        spec.put("serviceAccountName", name);
        // The older name of the field always tells the same.
        spec.put("serviceAccount", name);
    }
}

/// The pod's account.
fn account(request: &Request<'_>, world: &World<'_>) -> Result<Arc<Value>, Failure> {
    let name = request.new_object().at("spec").text("serviceAccountName");
    world.objects.get("", "serviceaccounts", request.namespace, name).ok_or_else(|| {
        let namespace = request.namespace;
        let why = format!(
            "error looking up service account {namespace}/{name}: serviceaccount \"{name}\" not found"
        );
        forbidden(request, why)
    })
}

fn automounts(account: &Value, spec: &Value) -> bool {
    const FIELD: &str = "automountServiceAccountToken";
    spec.at(FIELD).as_bool().or_else(|| account.at(FIELD).as_bool()).unwrap_or(true)
}

/// Mounts the token in every container that has nothing else at that place.
fn mount_token(spec: &mut Value, suffix: &str) {
    let volumes = spec.list("volumes");
    let present =
        volumes.iter().map(|volume| volume.text("name")).find(|name| name.starts_with(VOLUME_PREFIX));
    let has_volume = present.is_some();
    let name = present.map_or_else(|| format!("{VOLUME_PREFIX}{suffix}"), str::to_owned);
    let mut needed = false;
    for list in ["initContainers", "containers"] {
        for container in spec.items(list) {
            let mut mounts = container.list("volumeMounts").to_vec();
            if mounts.iter().any(|mount| mount.text("mountPath") == TOKEN_PATH) {
                continue;
            }
            mounts.push(json!({"name": name, "readOnly": true, "mountPath": TOKEN_PATH}));
            container.put("volumeMounts", mounts);
            needed = true;
        }
    }
    if needed && !has_volume {
        let mut volumes = spec.list("volumes").to_vec();
        volumes.push(json!({"name": name, "projected": token_volume()}));
        spec.put("volumes", volumes);
    }
}

/// Token, CA bundle and namespace.
fn token_volume() -> Value {
    let namespace = json!({"apiVersion": "v1", "fieldPath": "metadata.namespace"});
    json!({"defaultMode": 0o644, "sources": [
        {"serviceAccountToken": {"path": "token", "expirationSeconds": TOKEN_SECONDS}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": namespace}]}},
    ]})
}

/// A suffix for the volume's name. The name needs to be unlike the pod's other volumes only, so it is derived from
/// the request (FNV-1a) and the chain stays free of randomness.
fn suffix(request: &Request<'_>) -> String {
    let metadata = request.new_object().at("metadata");
    let parts = [
        request.namespace,
        metadata.text("name"),
        metadata.text("generateName"),
        metadata.text("uid"),
        request.now,
    ];
    let bytes = parts.iter().flat_map(|part| part.bytes().chain([0]));
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    // The low bits of FNV mix badly; fold the high ones in.
    let mut rest = hash ^ (hash >> 32);
    let letters = LETTERS.len() as u64;
    (0..SUFFIX_LETTERS)
        .map(|_| {
            let at = usize::try_from(rest % letters).expect("a remainder below 27 fits any usize");
            rest /= letters;
            char::from(LETTERS[at])
        })
        .collect()
}

fn check_mirror(request: &Request<'_>) -> Result<(), Failure> {
    let spec = request.new_object().at("spec");
    if !spec.text("serviceAccountName").is_empty() {
        return Err(forbidden(request, "a mirror pod may not reference service accounts"));
    }
    if names_secret(spec) {
        return Err(forbidden(request, "a mirror pod may not reference secrets"));
    }
    let sources = spec.list("volumes").iter().flat_map(|volume| volume.at("projected").list("sources"));
    if sources.into_iter().any(|source| source.has("serviceAccountToken")) {
        let why = "a mirror pod may not use ServiceAccountToken volume projections";
        return Err(forbidden(request, why));
    }
    Ok(())
}

fn enforces(account: &Value) -> bool {
    let text = account.at("metadata").at("annotations").text(ENFORCE_ANNOTATION);
    ["1", "t", "T", "true", "TRUE", "True"].contains(&text)
}

fn names<'a>(account: &'a Value, list: &str) -> BTreeSet<&'a str> {
    account.list(list).iter().map(|reference| reference.text("name")).collect()
}

/// No other secrets than the account's, where the account asks for it.
fn check(request: &Request<'_>, account: &Value) -> Result<(), Failure> {
    if !enforces(account) {
        return Ok(());
    }
    let spec = request.new_object().at("spec");
    let owner = account.at("metadata").text("name");
    let secrets = names(account, "secrets");
    for volume in spec.list("volumes").iter().filter(|volume| volume.has("secret")) {
        let name = volume.at("secret").text("secretName");
        if !secrets.contains(name) {
            return Err(foreign(request, &format!("volume with secret.secretName=\"{name}\""), owner));
        }
    }
    for (list, what) in [("initContainers", "init container"), ("containers", "container")] {
        check_environment(request, spec.list(list), what, &secrets, owner)?;
    }
    let pull = names(account, "imagePullSecrets");
    for (i, secret) in spec.list("imagePullSecrets").iter().enumerate() {
        let name = secret.text("name");
        if !pull.contains(name) {
            let why = format!(
                "imagePullSecrets[{i}].name=\"{name}\" is not allowed because service account {owner} does not \
                 reference that imagePullSecret"
            );
            return Err(forbidden(request, why));
        }
    }
    Ok(())
}

fn check_ephemeral(request: &Request<'_>, account: &Value) -> Result<(), Failure> {
    if !enforces(account) {
        return Ok(());
    }
    let containers = request.new_object().at("spec").list("ephemeralContainers");
    let owner = account.at("metadata").text("name");
    check_environment(request, containers, "ephemeral container", &names(account, "secrets"), owner)
}

fn check_environment(
    request: &Request<'_>,
    containers: &[Value],
    what: &str,
    secrets: &BTreeSet<&str>,
    owner: &str,
) -> Result<(), Failure> {
    for container in containers {
        let own = container.text("name");
        for entry in container.list("env") {
            let reference = entry.below(&["valueFrom", "secretKeyRef"]);
            let name = reference.text("name");
            if !reference.is_null() && !secrets.contains(name) {
                let variable = entry.text("name");
                let use_of =
                    format!("{what} {own} with envVar {variable} referencing secret.secretName=\"{name}\"");
                return Err(foreign(request, &use_of, owner));
            }
        }
        for entry in container.list("envFrom") {
            let name = entry.at("secretRef").text("name");
            if entry.has("secretRef") && !secrets.contains(name) {
                let use_of = format!("{what} {own} with envFrom referencing secret.secretName=\"{name}\"");
                return Err(foreign(request, &use_of, owner));
            }
        }
    }
    Ok(())
}

fn foreign(request: &Request<'_>, use_of: &str, owner: &str) -> Failure {
    let why =
        format!("{use_of} is not allowed because service account {owner} does not reference that secret");
    forbidden(request, why)
}
