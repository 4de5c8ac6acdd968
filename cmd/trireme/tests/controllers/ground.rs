//! A cluster with its scheduler and hollow nodes, asked in plain JSON.

use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::Duration;

use http::Request;
use kube::Client;
use serde_json::{Value, json};

use crate::kit::{client, until};
use crate::support::Cluster;

/// Pause between two looks of an observer.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Pods of the namespace `default`.
pub(crate) const PODS: &str = "/api/v1/namespaces/default/pods";
/// Nodes.
pub(crate) const NODES: &str = "/api/v1/nodes";
/// Events of the namespace `default`.
pub(crate) const EVENTS: &str = "/api/v1/namespaces/default/events";

/// A path of `apps/v1` in the namespace `default`.
pub(crate) fn apps(resource: &str) -> String {
    format!("/apis/apps/v1/namespaces/default/{resource}")
}

/// A path of `batch/v1` in the namespace `default`.
pub(crate) fn batch(resource: &str) -> String {
    format!("/apis/batch/v1/namespaces/default/{resource}")
}

/// An answer that is no success: code and message.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) code: u16,
    pub(crate) message: String,
}

/// See the module. Its folder goes with it.
pub(crate) struct Ground {
    pub(crate) cluster: Cluster,
    pub(crate) client: Client,
    folder: tempfile::TempDir,
}

impl Ground {
    /// One server, the scheduler, and so many hollow nodes.
    pub(crate) async fn start(nodes: u32) -> Self {
        Self::start_with(nodes, None).await
    }

    /// The same with a configuration of the scheduler.
    pub(crate) async fn start_with(nodes: u32, scheduler: Option<String>) -> Self {
        Self::start_all(1, nodes, scheduler).await
    }

    /// Several servers; the hollow nodes live in the first, whose API is asked.
    pub(crate) async fn start_servers(servers: u8, nodes: u32) -> Self {
        Self::start_all(servers, nodes, None).await
    }

    async fn start_all(servers: u8, nodes: u32, scheduler: Option<String>) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path().join("data");
        let mut more = vec![
            "--components=api,controllers,scheduler".to_owned(),
            "--runtime=hollow".to_owned(),
            format!("--hollow-nodes={nodes}"),
            format!("--kubeconfig={}", folder.path().join("kubeconfig").display()),
        ];
        if let Some(text) = scheduler {
            let file = folder.path().join("scheduler.yaml");
            std::fs::write(&file, text).expect("a file");
            more.push(format!("--scheduler-config={}", file.display()));
        }
        let start = tokio::task::spawn_blocking(move || {
            let more: Vec<&str> = more.iter().map(String::as_str).collect();
            Cluster::start_at(&data, servers, 0, &more)
        });
        let cluster = start.await.expect("the cluster starts");
        let client = client(&folder.path().join("kubeconfig")).await;
        Self { cluster, client, folder }
    }

    /// The administrator's kubeconfig.
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.folder.path().join("kubeconfig")
    }

    async fn ask(
        &self,
        method: &str,
        path: &str,
        kind: &str,
        body: Option<&Value>,
    ) -> Result<Value, Refusal> {
        let request = Request::builder().method(method).uri(path).header("Content-Type", kind);
        let bytes = body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
        let answer = self.client.request::<Value>(request.body(bytes).expect("a request")).await;
        answer.map_err(|error| match error {
            kube::Error::Api(status) => Refusal { code: status.code, message: status.message },
            error => Refusal { code: 0, message: error.to_string() },
        })
    }

    pub(crate) async fn try_post(&self, path: &str, object: &Value) -> Result<Value, Refusal> {
        self.ask("POST", path, "application/json", Some(object)).await
    }

    pub(crate) async fn post(&self, path: &str, object: Value) -> Value {
        self.try_post(path, &object)
            .await
            .unwrap_or_else(|refusal| panic!("POST {path}: {refusal:?}: {object}"))
    }

    /// The object, or `None` when there is none.
    pub(crate) async fn get(&self, path: &str) -> Option<Value> {
        self.ask("GET", path, "", None).await.ok()
    }

    pub(crate) async fn list(&self, path: &str) -> Vec<Value> {
        let list = self.ask("GET", path, "", None).await;
        let list = list.unwrap_or_else(|refusal| panic!("GET {path}: {refusal:?}"));
        list["items"].as_array().cloned().unwrap_or_default()
    }

    /// The same where the API may be away for a moment.
    pub(crate) async fn try_list(&self, path: &str) -> Option<Vec<Value>> {
        let list = self.ask("GET", path, "", None).await.ok()?;
        list["items"].as_array().cloned()
    }

    /// Creates an object as another user.
    pub(crate) async fn post_as(&self, user: &str, group: &str, path: &str, object: &Value) -> Value {
        let request = Request::post(path)
            .header("Content-Type", "application/json")
            .header("Impersonate-User", user)
            .header("Impersonate-Group", group)
            .header("Impersonate-Group", "system:authenticated");
        let request = request.body(object.to_string().into_bytes()).expect("a request");
        self.client.request(request).await.unwrap_or_else(|error| panic!("POST {path} as {user}: {error}"))
    }

    pub(crate) async fn try_merge(&self, path: &str, patch: &Value) -> Result<Value, Refusal> {
        self.ask("PATCH", path, "application/merge-patch+json", Some(patch)).await
    }

    /// A merge patch.
    pub(crate) async fn merge(&self, path: &str, patch: Value) -> Value {
        self.try_merge(path, &patch).await.unwrap_or_else(|refusal| panic!("PATCH {path}: {refusal:?}"))
    }

    pub(crate) async fn delete(&self, path: &str) {
        self.delete_with(path, json!({})).await;
    }

    pub(crate) async fn delete_with(&self, path: &str, options: Value) {
        let deleted = self.ask("DELETE", path, "application/json", Some(&options)).await;
        deleted.unwrap_or_else(|refusal| panic!("DELETE {path}: {refusal:?}"));
    }

    /// Pods of a label selector in `default` that are not on their way out, by name.
    pub(crate) async fn pods(&self, selector: &str) -> Vec<Value> {
        let mut pods = self.list(&format!("{PODS}?labelSelector={selector}")).await;
        pods.retain(|pod| pod["metadata"]["deletionTimestamp"].is_null());
        pods.sort_by_key(|pod| name(pod).to_owned());
        pods
    }

    /// Until exactly so many pods of a selector are there and all are ready.
    pub(crate) async fn until_ready(&self, selector: &str, count: usize) -> Vec<Value> {
        until(&format!("{count} pods of {selector} are ready"), || async {
            let pods = self.pods(selector).await;
            (pods.len() == count && pods.iter().all(is_ready)).then_some(pods)
        })
        .await
    }

    /// Until an object is as asked for.
    pub(crate) async fn until_object(&self, what: &str, path: &str, is: impl Fn(&Value) -> bool) -> Value {
        until(what, || async { self.get(path).await.filter(|object| is(object)) }).await
    }

    /// Until an Event of that reason about that object is there; gives its message.
    pub(crate) async fn until_event(&self, about: &str, reason: &str) -> String {
        until(&format!("an event {reason} about {about}"), || async {
            let events = self.list(EVENTS).await;
            let found = events
                .iter()
                .rev()
                .find(|event| event["reason"] == reason && event["involvedObject"]["name"] == about);
            found.map(|event| event["message"].as_str().unwrap_or_default().to_owned())
        })
        .await
    }

    /// kubectl, where there is one.
    pub(crate) fn kubectl(&self, arguments: &[&str]) -> Option<Output> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let program = std::env::split_paths(&path).map(|folder| folder.join("kubectl")).find(|p| p.is_file());
        let Some(program) = program else {
            crate::skipped(&format!("kubectl {arguments:?}: no kubectl on PATH"));
            return None;
        };
        let kubeconfig = format!("--kubeconfig={}", self.kubeconfig().display());
        Some(Command::new(program).arg(kubeconfig).args(arguments).output().expect("kubectl runs"))
    }

    /// Looks at the pods of a selector again and again beside what a test does; every look must hold.
    pub(crate) fn watch_law(
        &self,
        selector: &str,
        law: impl Fn(&[Value]) -> Result<(), String> + Send + 'static,
    ) -> Law {
        let (client, path) = (self.client.clone(), format!("{PODS}?labelSelector={selector}"));
        let task = tokio::spawn(async move {
            let mut looks = 0_u32;
            loop {
                let request = Request::get(&path).body(Vec::new()).expect("a request");
                if let Ok(list) = client.request::<Value>(request).await {
                    let pods = list["items"].as_array().cloned().unwrap_or_default();
                    law(&pods).map_err(|broken| format!("at look {looks}: {broken}"))?;
                    looks += 1;
                }
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        });
        Law(task)
    }
}

/// See [`Ground::watch_law`].
pub(crate) struct Law(tokio::task::JoinHandle<Result<(), String>>);

impl Law {
    /// Ends the looking; panics when a look did not hold.
    pub(crate) async fn held(self) {
        self.0.abort();
        if let Ok(Err(broken)) = self.0.await {
            panic!("{broken}");
        }
    }
}

pub(crate) fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}

pub(crate) fn uid(object: &Value) -> &str {
    object["metadata"]["uid"].as_str().unwrap_or_default()
}

pub(crate) fn names(objects: &[Value]) -> Vec<&str> {
    objects.iter().map(name).collect()
}

pub(crate) fn image(pod: &Value) -> &str {
    pod["spec"]["containers"][0]["image"].as_str().unwrap_or_default()
}

pub(crate) fn node(pod: &Value) -> &str {
    pod["spec"]["nodeName"].as_str().unwrap_or_default()
}

/// The condition of a type, or null.
pub(crate) fn condition<'a>(object: &'a Value, kind: &str) -> &'a Value {
    let conditions = object["status"]["conditions"].as_array().into_iter().flatten();
    conditions.into_iter().find(|condition| condition["type"] == kind).unwrap_or(&Value::Null)
}

pub(crate) fn is_ready(pod: &Value) -> bool {
    condition(pod, "Ready")["status"] == "True"
}

/// A pod template of one container, labelled `app`, with more annotations of hollow nodes.
pub(crate) fn template(app: &str, image: &str, hollow: Value) -> Value {
    let mut annotations = serde_json::Map::new();
    for (name, value) in hollow.as_object().into_iter().flatten() {
        annotations.insert(format!("hollow.trireme.io/{name}"), value.clone());
    }
    json!({
        "metadata": {"labels": {"app": app}, "annotations": annotations},
        "spec": {"containers": [{"name": "c", "image": image}]},
    })
}

/// A pod of one container.
pub(crate) fn pod(name: &str, spec: Value) -> Value {
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": name}},
        "spec": {"containers": [{"name": "c", "image": "i:1"}]},
    });
    let own = pod["spec"].as_object_mut().expect("an object");
    own.extend(spec.as_object().expect("an object").clone());
    pod
}
