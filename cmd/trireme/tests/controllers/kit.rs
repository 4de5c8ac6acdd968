//! A cluster whose pods pretend to run, and what the tests ask of it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config, ResourceExt};
use serde_json::{Value, json};

use crate::support::Cluster;

/// Longest time for anything that these tests wait for.
pub(crate) const LIMIT: Duration = Duration::from_secs(120);
/// Hollow nodes of a cluster.
const NODES: usize = 2;
/// Pause between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// A cluster without a scheduler: pods are bound by the test, which says when.
pub(crate) struct Hollow {
    pub(crate) cluster: Cluster,
    pub(crate) client: Client,
    kubeconfig: PathBuf,
    binder: tokio::task::JoinHandle<()>,
}

impl Hollow {
    pub(crate) async fn start(folder: &Path, servers: u8) -> Self {
        let kubeconfig = folder.join("kubeconfig");
        let data = folder.join("data");
        let flag = format!("--kubeconfig={}", kubeconfig.display());
        let nodes = format!("--hollow-nodes={NODES}");
        let start = tokio::task::spawn_blocking(move || {
            let more = ["--components=api,controllers", "--runtime=hollow", &nodes, &flag];
            Cluster::start_at(&data, servers, 0, &more)
        });
        let cluster = start.await.expect("the cluster starts");
        let client = client(&kubeconfig).await;
        let binder = tokio::spawn(bind_all(client.clone()));
        Self { cluster, client, kubeconfig, binder }
    }

    pub(crate) fn deployments(&self) -> Api<Deployment> {
        Api::default_namespaced(self.client.clone())
    }

    pub(crate) fn sets(&self) -> Api<ReplicaSet> {
        Api::default_namespaced(self.client.clone())
    }

    pub(crate) fn pods(&self) -> Api<Pod> {
        Api::default_namespaced(self.client.clone())
    }

    /// kubectl, where there is one.
    pub(crate) fn kubectl(&self, arguments: &[&str]) -> Option<String> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let program = std::env::split_paths(&path).map(|folder| folder.join("kubectl")).find(|p| p.is_file());
        let Some(program) = program else {
            crate::skipped(&format!("kubectl {arguments:?}: no kubectl on PATH"));
            return None;
        };
        let kubeconfig = format!("--kubeconfig={}", self.kubeconfig.display());
        let output = Command::new(program).arg(kubeconfig).args(arguments).output().expect("kubectl runs");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{arguments:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
        Some(text)
    }

    pub(crate) async fn create(&self, name: &str, replicas: u32) {
        let labels = json!({"app": name});
        let object = json!({
            "metadata": {"name": name},
            "spec": {
                "replicas": replicas, "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "i:1"}]}},
            },
        });
        let object = serde_json::from_value(object).expect("a Deployment");
        self.deployments().create(&PostParams::default(), &object).await.expect("it is new");
    }

    pub(crate) async fn patch(&self, name: &str, spec: Value) {
        let patch = Patch::Merge(json!({"spec": spec}));
        until("the patch is taken", || async {
            self.deployments().patch(name, &PatchParams::default(), &patch).await.ok()
        })
        .await;
    }

    pub(crate) async fn set_image(&self, name: &str, image: &str) {
        self.patch(name, json!({"template": {"spec": {"containers": [{"name": "c", "image": image}]}}}))
            .await;
    }

    /// Until the Deployment's rollout is over with so many pods of that image.
    pub(crate) async fn until_rolled_out(&self, name: &str, replicas: i32, image: &str) {
        until(&format!("{name} has {replicas} pods of {image}"), || async {
            let deployment = self.deployments().get(name).await.ok()?;
            let status = deployment.status.clone()?;
            let count = |number: Option<i32>| number.unwrap_or(0);
            let done = status.observed_generation == deployment.metadata.generation
                && count(status.replicas) == replicas
                && count(status.updated_replicas) == replicas
                && count(status.available_replicas) == replicas;
            let pods = self.pods().list(&ListParams::default().labels(&format!("app={name}"))).await.ok()?;
            let right = |pod: &&Pod| {
                pod.metadata.deletion_timestamp.is_none()
                    && pod
                        .spec
                        .as_ref()
                        .is_some_and(|spec| spec.containers[0].image.as_deref() == Some(image))
            };
            let wanted = usize::try_from(replicas).expect("not negative");
            (done && pods.items.iter().filter(right).count() == wanted && pods.items.len() == wanted)
                .then_some(())
        })
        .await;
    }

    /// Watches the number of pods of a Deployment until the returned guard is asked: most active, fewest ready.
    pub(crate) fn observe(&self) -> Observer {
        let (most, fewest) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(usize::MAX)));
        let (client, m, f) = (self.client.clone(), most.clone(), fewest.clone());
        let task = tokio::spawn(async move {
            let pods: Api<Pod> = Api::default_namespaced(client);
            loop {
                if let Ok(list) = pods.list(&ListParams::default()).await {
                    let here = list.items.iter().filter(|pod| pod.metadata.deletion_timestamp.is_none());
                    f.fetch_min(here.clone().filter(|pod| is_ready(pod)).count(), Ordering::Relaxed);
                    m.fetch_max(here.count(), Ordering::Relaxed);
                }
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        });
        Observer { most, fewest, task }
    }
}

impl Drop for Hollow {
    fn drop(&mut self) {
        self.binder.abort();
    }
}

/// See [`Hollow::observe`].
pub(crate) struct Observer {
    most: Arc<AtomicUsize>,
    fewest: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

impl Observer {
    /// Most active pods and fewest ready ones that were seen.
    pub(crate) fn finish(self) -> (usize, usize) {
        self.task.abort();
        (self.most.load(Ordering::Relaxed), self.fewest.load(Ordering::Relaxed))
    }
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

pub(crate) async fn client(kubeconfig: &Path) -> Client {
    let file = Kubeconfig::read_from(kubeconfig).expect("a kubeconfig");
    let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await;
    let mut config = config.expect("it reads");
    // A refusal is an answer that tests want to see, at once.
    config.default_retry = false;
    Client::try_from(config).expect("a client")
}

/// Binds what is not bound, one node after the other.
async fn bind_all(client: Client) {
    let pods: Api<Pod> = Api::all(client.clone());
    let unbound = ListParams::default().fields("spec.nodeName=");
    let mut next = 0;
    loop {
        let found = pods.list(&unbound).await.map(|list| list.items).unwrap_or_default();
        for pod in found {
            let node = format!("hollow-{}", next % NODES);
            next += 1;
            let (namespace, name) = (pod.namespace().expect("pods have one"), pod.name_any());
            let binding = json!({
                "apiVersion": "v1", "kind": "Binding", "metadata": {"name": name, "namespace": namespace},
                "target": {"kind": "Node", "name": node},
            });
            let path = format!("/api/v1/namespaces/{namespace}/pods/{name}/binding");
            let request = http_post(&path, &binding);
            // Gone meanwhile, or the leader is: the next look tells.
            let _bound = client.request::<Value>(request).await;
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

fn http_post(path: &str, body: &Value) -> http::Request<Vec<u8>> {
    let request = http::Request::post(path).header("Content-Type", "application/json");
    request.body(body.to_string().into_bytes()).expect("a request")
}

/// Looks again and again until there is something.
pub(crate) async fn until<T, F: Future<Output = Option<T>>>(what: &str, mut look: impl FnMut() -> F) -> T {
    let since = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(since.elapsed() < LIMIT, "in {LIMIT:?} it did not come that {what}");
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}
