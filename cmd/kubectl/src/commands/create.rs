//! `create` and `replace`

use std::fs;
use std::path::Path;

use http::Method;
use serde_json::{Map, Value, json};

use super::apply::Place;
use super::{create_access, create_objects};
use crate::arguments::{Create, CreateKind, CreateSecret, DryRun, FromFiles};
use crate::error::{Failures, KubectlError};
use crate::files;
use crate::output::{Reporter, write};
use crate::session::Session;

pub(super) async fn run(session: &Session, create: &Create) -> Result<(), KubectlError> {
    let from = &create.from;
    let dry_run = from.writing.dry.dry_run;
    if let Some(CreateKind::Token { name, duration, audience }) = &create.kind {
        if dry_run != DryRun::None {
            return Err(KubectlError::not_built("--dry-run of a token request"));
        }
        return token(session, name, *duration, audience).await;
    }
    let reporter = Reporter::new(&from.writing.printing, dry_run)?;
    let objects = match &create.kind {
        None if from.files.filename.is_empty() => {
            return Err(KubectlError::usage("must specify one of -f and -k"));
        }
        None => files::read(&from.files.filename, from.files.recursive)?,
        Some(kind) => vec![generated(session, kind).await?],
    };
    let query = from.query("kubectl-create");
    let mut failures = Failures::default();
    for object in objects {
        let _ = failures.note(write_one(session, object, Method::POST, &query, &reporter, "created").await);
    }
    failures.finish()
}

pub(super) async fn replace(session: &Session, from: &FromFiles) -> Result<(), KubectlError> {
    if from.files.filename.is_empty() {
        return Err(KubectlError::usage("must specify one of -f and -k"));
    }
    let reporter = Reporter::new(&from.writing.printing, from.writing.dry.dry_run)?;
    let query = from.query("kubectl-replace");
    let mut failures = Failures::default();
    for object in files::read(&from.files.filename, from.files.recursive)? {
        let _ = failures.note(write_one(session, object, Method::PUT, &query, &reporter, "replaced").await);
    }
    failures.finish()
}

async fn write_one(
    session: &Session,
    object: Value,
    method: Method,
    query: &[(&str, &str)],
    reporter: &Reporter,
    verb: &str,
) -> Result<(), KubectlError> {
    let kind = session.catalogue().await?.of(&object)?.clone();
    let place = Place::of(session, &kind, &object)?;
    let path = if method == Method::POST { &place.collection } else { &place.path };
    let after = if reporter.dry_run == DryRun::Client {
        object
    } else {
        session.send(method, path, &object, query).await?
    };
    reporter.report(&kind, after, verb)
}

async fn token(
    session: &Session,
    name: &str,
    duration: Option<std::time::Duration>,
    audiences: &[String],
) -> Result<(), KubectlError> {
    let mut spec = json!({});
    if !audiences.is_empty() {
        spec["audiences"] = audiences.into();
    }
    if let Some(duration) = duration {
        spec["expirationSeconds"] = duration.as_secs().into();
    }
    let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec});
    let path = format!("/api/v1/namespaces/{}/serviceaccounts/{name}/token", session.namespace);
    let answer = session.send(Method::POST, &path, &request, &[]).await?;
    write(&format!("{}\n", answer["status"]["token"].as_str().unwrap_or_default()))
}

async fn generated(session: &Session, kind: &CreateKind) -> Result<Value, KubectlError> {
    Ok(match kind {
        CreateKind::Namespace { name } => {
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        }
        CreateKind::Serviceaccount { name } => {
            json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}})
        }
        CreateKind::Deployment { name, image, replicas, port, command } => {
            deployment(name, image, *replicas, *port, command)?
        }
        CreateKind::Configmap { name, from_literal, from_file } => {
            let mut object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}});
            let (data, binary) = data(from_literal, from_file)?;
            put(&mut object, "data", data.into_iter().map(|(key, text)| (key, text.into())).collect());
            put(
                &mut object,
                "binaryData",
                binary.into_iter().map(|(key, bytes)| (key, base64(&bytes).into())).collect(),
            );
            object
        }
        CreateKind::Secret(secret) => secret_object(secret)?,
        CreateKind::Job { name, image, from, command } => {
            job(session, name, image.as_deref(), from.as_deref(), command).await?
        }
        CreateKind::Cronjob(job) => create_objects::cron_job(job)?,
        CreateKind::Service(service) => create_objects::service(service)?,
        CreateKind::Role(rules) => create_access::role(rules, session.catalogue().await?)?,
        CreateKind::Clusterrole(role) => create_access::cluster_role(role, session.catalogue().await?)?,
        CreateKind::Rolebinding(binding) => create_access::role_binding(binding)?,
        CreateKind::Clusterrolebinding(subjects) => create_access::cluster_role_binding(subjects)?,
        CreateKind::Quota(quota) => create_objects::quota(quota)?,
        CreateKind::Poddisruptionbudget(budget) => create_objects::budget(budget)?,
        CreateKind::Priorityclass(class) => create_objects::priority(class),
        CreateKind::Ingress(ingress) => create_objects::ingress(ingress)?,
        CreateKind::Token { .. } => return Err(KubectlError::usage("a token is requested, not stored")),
    })
}

fn put(object: &mut Value, field: &str, map: Map<String, Value>) {
    if !map.is_empty() {
        object[field] = Value::Object(map);
    }
}

fn deployment(
    name: &str,
    images: &[String],
    replicas: u32,
    port: Option<u16>,
    command: &[String],
) -> Result<Value, KubectlError> {
    if images.len() > 1 && !command.is_empty() {
        return Err(KubectlError::usage("cannot specify multiple --image options and command"));
    }
    let container = |image: &String| {
        let path = image.rsplit('/').next().unwrap_or(image);
        let base = path.split([':', '@']).next().unwrap_or(path);
        let mut container = json!({"name": base, "image": image});
        if let Some(port) = port {
            container["ports"] = json!([{"containerPort": port}]);
        }
        if !command.is_empty() {
            container["command"] = command.into();
        }
        container
    };
    let containers: Vec<Value> = images.iter().map(container).collect();
    Ok(json!({"apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": containers}}}}))
}

async fn job(
    session: &Session,
    name: &str,
    image: Option<&str>,
    from: Option<&str>,
    command: &[String],
) -> Result<Value, KubectlError> {
    if let Some(from) = from {
        let (kind, source) = from.split_once('/').unwrap_or(("", from));
        let kind = session.catalogue().await?.find(kind)?;
        if kind.plural != "cronjobs" {
            return Err(KubectlError::usage(format!("unknown object type {}", kind.kind)));
        }
        let cron = session.get(kind, &session.namespace, source).await?;
        let template = &cron["spec"]["jobTemplate"];
        let mut annotations = template["metadata"]["annotations"].clone();
        if !annotations.is_object() {
            annotations = json!({});
        }
        annotations["cronjob.kubernetes.io/instantiate"] = "manual".into();
        return Ok(json!({"apiVersion": "batch/v1", "kind": "Job",
            "metadata": {"name": name, "annotations": annotations, "labels": template["metadata"]["labels"],
                "ownerReferences": [{"apiVersion": "batch/v1", "kind": "CronJob", "name": source,
                    "uid": cron["metadata"]["uid"], "controller": true}]},
            "spec": template["spec"]}));
    }
    let image = image.ok_or_else(|| KubectlError::usage("either --image or --from must be specified"))?;
    let mut container = json!({"name": name, "image": image});
    if !command.is_empty() {
        container["command"] = command.into();
    }
    Ok(json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name},
        "spec": {"template": {"spec": {"containers": [container], "restartPolicy": "Never"}}}}))
}

fn secret_object(secret: &CreateSecret) -> Result<Value, KubectlError> {
    let made = |name: &str, of_type: &str, data: Map<String, Value>| {
        let mut object =
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "type": of_type});
        put(&mut object, "data", data);
        object
    };
    match secret {
        CreateSecret::Generic { name, from_literal, from_file, of_type } => {
            let (texts, binary) = data(from_literal, from_file)?;
            let texts = texts.into_iter().map(|(key, text)| (key, text.into_bytes()));
            let all = texts.chain(binary).map(|(key, bytes)| (key, base64(&bytes).into())).collect();
            Ok(made(name, of_type.as_deref().unwrap_or("Opaque"), all))
        }
        CreateSecret::Tls { name, cert, key } => {
            let mut all = Map::new();
            for (field, path) in [("tls.crt", cert), ("tls.key", key)] {
                all.insert(field.to_owned(), base64(&read(path)?).into());
            }
            Ok(made(name, "kubernetes.io/tls", all))
        }
        CreateSecret::DockerRegistry {
            name,
            docker_server,
            docker_username,
            docker_password,
            docker_email,
        } => {
            let auth = base64(format!("{docker_username}:{docker_password}").as_bytes());
            let mut entry = json!({"username": docker_username, "password": docker_password, "auth": auth});
            if !docker_email.is_empty() {
                entry["email"] = docker_email.clone().into();
            }
            let config = json!({"auths": {docker_server: entry}}).to_string();
            let all =
                [(".dockerconfigjson".to_owned(), base64(config.as_bytes()).into())].into_iter().collect();
            Ok(made(name, "kubernetes.io/dockerconfigjson", all))
        }
    }
}

type Texts = Vec<(String, String)>;
type Bytes = Vec<(String, Vec<u8>)>;

/// Values of `--from-literal` and `--from-file`; files that are no text apart.
fn data(literals: &[String], files: &[String]) -> Result<(Texts, Bytes), KubectlError> {
    let (mut texts, mut binary) = (Vec::new(), Vec::new());
    for literal in literals {
        let (key, value) = literal.split_once('=').filter(|(key, _)| !key.is_empty()).ok_or_else(|| {
            KubectlError::usage(format!("invalid literal source {literal}, expected key=value"))
        })?;
        let bare = value.strip_prefix('"').and_then(|v| v.strip_suffix('"'));
        let bare = bare.or_else(|| value.strip_prefix('\'').and_then(|v| v.strip_suffix('\'')));
        texts.push((key.to_owned(), bare.unwrap_or(value).to_owned()));
    }
    let mut add = |key: String, bytes: Vec<u8>| match String::from_utf8(bytes) {
        Ok(text) => texts.push((key, text)),
        Err(error) => binary.push((key, error.into_bytes())),
    };
    for file in files {
        let (key, path) = file.split_once('=').map_or((None, file.as_str()), |(key, path)| (Some(key), path));
        let path = Path::new(path);
        if path.is_dir() {
            let entries = fs::read_dir(path)
                .map_err(|error| KubectlError::Io(format!("{}: {error}", path.display())))?;
            for entry in entries.flatten().filter(|entry| entry.path().is_file()) {
                add(entry.file_name().to_string_lossy().into_owned(), read(&entry.path())?);
            }
            continue;
        }
        let own = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        add(key.map_or(own, str::to_owned), read(path)?);
    }
    Ok((texts, binary))
}

fn read(path: &Path) -> Result<Vec<u8>, KubectlError> {
    fs::read(path).map_err(|error| KubectlError::Io(format!("{}: {error}", path.display())))
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_and_files() {
        let (texts, _) = data(&["a=b=c".to_owned(), "q=\"x\"".to_owned()], &[]).unwrap();
        assert_eq!(texts, [("a".to_owned(), "b=c".to_owned()), ("q".to_owned(), "x".to_owned())]);
        assert!(data(&["nonsense".to_owned()], &[]).is_err());
    }

    #[test]
    fn deployments() {
        let made = deployment("web", &["registry/x/nginx:1.2".to_owned()], 3, Some(80), &[]).unwrap();
        assert_eq!(made["spec"]["template"]["spec"]["containers"][0]["name"], "nginx");
        assert_eq!(made["spec"]["replicas"], 3);
    }
}
