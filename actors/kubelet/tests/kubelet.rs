//! A whole kubelet with its actors, against an API and a runtime in memory.

#![allow(clippy::unwrap_used, unreachable_pub, reason = "a test fails where its expectation does")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use support::{MemoryApi, MemoryRuntime};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use trireme_kernel::{ActorPath, Kernel, KernelConfig};
use trireme_kubelet::{AllowAll, Kubelet, KubeletConfig, Resource};
use trireme_schema::view::View;

/// Looks until something holds; 20 ms apart.
const LOOKS_LIMIT: u32 = 1_500;

struct Node {
    api: Arc<MemoryApi>,
    runtime: Arc<MemoryRuntime>,
    kernel: Kernel,
    kubelet: Kubelet,
    _folder: tempfile::TempDir,
}

impl Node {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (api, runtime) = (MemoryApi::new(), MemoryRuntime::new());
        let config = KubeletConfig {
            static_pods_dir: Some(folder.path().join("manifests")),
            lease_renew: Duration::from_millis(100),
            status_update: Duration::from_millis(200),
            housekeeping: Duration::from_millis(200),
            volume_refresh: Duration::from_millis(200),
            eviction: Vec::new(),
            node_ips: vec!["10.0.0.9".into()],
            ..KubeletConfig::new("n1", folder.path())
        };
        let kernel = Kernel::start(KernelConfig::new("n1")).unwrap();
        let kubelet = Kubelet::new(config, runtime.clone(), api.clone());
        kernel.root().add_supervisor(kubelet.spec()).unwrap();
        Self { api, runtime, kernel, kubelet, _folder: folder }
    }

    fn pod(&self, name: &str, spec: Value) -> Value {
        self.api.put(
            Resource::PODS,
            json!({"metadata": {"name": name, "namespace": "default", "generation": 1},
            "spec": spec, "status": {"phase": "Pending"}}),
        )
    }

    fn read(&self, name: &str) -> Value {
        self.api.read(Resource::PODS, "default", name).unwrap_or_default()
    }

    async fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        for _ in 0..LOOKS_LIMIT {
            if holds(self) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("not reached: {what}; events {:?}", self.api.events());
    }

    fn is_ready(&self, name: &str) -> bool {
        let pod = self.read(name);
        pod.at("status")
            .list("conditions")
            .iter()
            .any(|own| own.text("type") == "Ready" && own.text("status") == "True")
    }

    /// The status line and the body of a request on a stream.
    async fn ask(&self, target: &str) -> (u16, String) {
        let (mut near, far) = tokio::io::duplex(64 * 1024);
        let http = self.kubelet.http_service(Arc::new(AllowAll));
        tokio::spawn(http.serve(far, "tester".into()));
        let request = format!("GET {target} HTTP/1.1\r\nhost: n1\r\nconnection: close\r\n\r\n");
        near.write_all(request.as_bytes()).await.unwrap();
        let mut text = String::new();
        near.read_to_string(&mut text).await.unwrap();
        let status = text.split(' ').nth(1).unwrap().parse().unwrap();
        (status, text.split_once("\r\n\r\n").unwrap().1.to_owned())
    }

    async fn stop(self) {
        self.kernel.shutdown(Duration::from_secs(10)).await;
    }
}

fn plain() -> Value {
    json!({"containers": [{"name": "app", "image": "here:1", "imagePullPolicy": "IfNotPresent"}],
        "terminationGracePeriodSeconds": 1})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_registers_and_runs_pods_to_their_end() {
    let node = Node::start();
    node.until("the node is ready", |node| {
        let own = node.api.read(Resource::NODES, "", "n1").unwrap_or_default();
        own.at("status").list("conditions").iter().any(|own| own.text("reason") == "KubeletReady")
    })
    .await;
    node.until("the lease", |node| node.api.read(Resource::LEASES, "kube-node-lease", "n1").is_some()).await;
    let object = node.api.read(Resource::NODES, "", "n1").unwrap();
    assert_eq!(object["metadata"]["labels"]["kubernetes.io/os"], "linux");
    assert_eq!(object["status"]["nodeInfo"]["containerRuntimeVersion"], "memory://0.0.1");

    node.api.put(
        Resource::CONFIG_MAPS,
        json!({"metadata": {"name": "c", "namespace": "default"}, "data": {"k": "one"}}),
    );
    let mut spec = plain();
    spec["volumes"] = json!([{"name": "v", "configMap": {"name": "c"}}, {"name": "e", "emptyDir": {}}]);
    spec["containers"][0]["volumeMounts"] =
        json!([{"name": "v", "mountPath": "/c"}, {"name": "e", "mountPath": "/e"}]);
    spec["containers"][0]["env"] =
        json!([{"name": "K", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}}]);
    node.pod("web", spec);
    node.until("ready", |node| node.is_ready("web")).await;
    let status = node.read("web")["status"].clone();
    assert_eq!((status["phase"].as_str(), status["hostIP"].as_str()), (Some("Running"), Some("10.0.0.9")));
    let made = node.runtime.running().remove(0);
    assert!(made.config.envs.iter().any(|var| var.name == "K" && var.value == "one"));
    let host = |path: &str| {
        made.config.mounts.iter().find(|own| own.container_path == path).unwrap().host_path.clone()
    };
    assert_eq!(std::fs::read_to_string(format!("{}/k", host("/c"))).unwrap(), "one");
    assert!(std::fs::read_to_string(host("/etc/hosts")).unwrap().contains("127.0.0.1\tweb\n"));
    node.api.put(
        Resource::CONFIG_MAPS,
        json!({"metadata": {"name": "c", "namespace": "default"}, "data": {"k": "two"}}),
    );
    let file = format!("{}/k", host("/c"));
    node.until("the file follows", |_| std::fs::read_to_string(&file).is_ok_and(|text| text == "two")).await;

    let (code, body) = node.ask("/containerLogs/default/web/app?tailLines=1").await;
    assert_eq!((code, body.contains("hello\n")), (200, true), "{body}");
    assert_eq!(node.ask("/containerLogs/default/web/none").await.0, 404);
    assert_eq!(node.ask("/healthz").await, (200, "ok".into()));
    assert!(node.ask("/pods").await.1.contains("\"web\""));
    assert!(node.ask("/metrics/resource").await.1.contains("node_memory_working_set_bytes"));
    assert!(node.ask("/stats/summary").await.1.contains("\"nodeName\":\"n1\""));

    let mut pod = node.read("web");
    pod["metadata"]["deletionTimestamp"] = json!("2026-11-20T17:00:00Z");
    pod["metadata"]["deletionGracePeriodSeconds"] = json!(1);
    let folder = host("/e");
    node.api.put(Resource::PODS, pod);
    node.until("the object is gone", |node| node.api.read(Resource::PODS, "default", "web").is_none()).await;
    node.until("nothing is left", |node| node.runtime.sandboxes.lock().is_empty()).await;
    assert!(!std::path::Path::new(&folder).exists());
    node.until("its worker is gone", |node| node.kernel.registry().report(&path("/kubelet/pod")).is_empty())
        .await;
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readiness_of_the_node_that_another_wrote_is_put_right() {
    let node = Node::start();
    let ready = |node: &Node| {
        let own = node.api.read(Resource::NODES, "", "n1").unwrap_or_default();
        let mut conditions = own.at("status").list("conditions").iter();
        conditions.any(|own| own.text("type") == "Ready" && own.text("status") == "True")
    };
    node.until("the node is ready", ready).await;
    // As the node lifecycle does after silence.
    let mut object = node.api.read(Resource::NODES, "", "n1").unwrap();
    let conditions = object["status"]["conditions"].as_array_mut().unwrap();
    let own = conditions.iter_mut().find(|own| own["type"] == "Ready").unwrap();
    own["status"] = "Unknown".into();
    node.api.put(Resource::NODES, object);
    node.until("the node is ready again", ready).await;
    node.stop().await;
}

fn path(text: &str) -> ActorPath {
    ActorPath::root().join(text.trim_start_matches('/')).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_run_says_why() {
    let node = Node::start();
    let mut wrong = plain();
    wrong["containers"][0]["image"] = json!("missing:1");
    node.pod("image", wrong);
    let mut absent = plain();
    absent["containers"][0]["env"] =
        json!([{"name": "K", "valueFrom": {"secretKeyRef": {"name": "gone", "key": "k"}}}]);
    node.pod("secret", absent);
    let mut command = plain();
    command["containers"][0]["command"] = json!(["nosuch"]);
    node.pod("command", command);
    let mut volume = plain();
    volume["volumes"] = json!([{"name": "v", "nfs": {"server": "s", "path": "/"}}]);
    node.pod("volume", volume);
    let mut selector = plain();
    selector["nodeSelector"] = json!({"disk": "ssd"});
    node.pod("selector", selector);
    let waits = |node: &Node, name: &str, reason: &str| {
        let pod = node.read(name);
        let all = pod.at("status").list("containerStatuses");
        all.iter().any(|own| own.at("state").at("waiting").text("reason") == reason)
    };
    node.until("pull", |node| {
        waits(node, "image", "ErrImagePull") || waits(node, "image", "ImagePullBackOff")
    })
    .await;
    node.until("secret", |node| waits(node, "secret", "CreateContainerConfigError")).await;
    node.until("command", |node| {
        waits(node, "command", "RunContainerError") || waits(node, "command", "CrashLoopBackOff")
    })
    .await;
    node.until("selector", |node| node.read("selector").at("status").text("reason") == "NodeAffinity").await;
    node.until("volume", |node| node.api.events().iter().any(|own| {
        own == "FailedMount: MountVolume.SetUp failed for volume \"v\" : nfs volumes are not built: use emptyDir, hostPath or a local volume"
    }))
    .await;
    let message =
        node.read("secret").at("status").list("containerStatuses")[0]["state"]["waiting"]["message"].clone();
    assert_eq!(message, "secret \"gone\" not found");
    node.api.put(
        Resource::SECRETS,
        json!({"metadata": {"name": "gone", "namespace": "default"}, "data": {"k": "eA=="}}),
    );
    node.until("it runs once the secret is there", |node| node.is_ready("secret")).await;
    node.stop().await;
}

/// Every actor of the kubelet is killed again and again: containers go on, nothing starts twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_actors_leave_containers_running() {
    let node = Node::start();
    for at in 0..5 {
        node.pod(&format!("p{at}"), plain());
    }
    node.until("all ready", |node| (0..5).all(|at| node.is_ready(&format!("p{at}")))).await;
    let begun: Vec<_> = node.runtime.running().into_iter().map(|own| own.id).collect();
    let registry = node.kernel.registry();
    for round in 0..20 {
        for report in registry.report(&path("/kubelet")) {
            if report.path.as_str() != "/kubelet" {
                registry.kill(&report.path);
            }
        }
        tokio::time::sleep(Duration::from_millis(10 * (round % 7))).await;
    }
    let mut crashed = node.read("p0");
    crashed["metadata"]["deletionTimestamp"] = json!("2026-11-20T17:00:00Z");
    crashed["metadata"]["deletionGracePeriodSeconds"] = json!(1);
    node.api.put(Resource::PODS, crashed);
    node.until("termination completes", |node| node.read("p0").is_null()).await;
    node.pod("later", plain());
    node.until("the kubelet works on", |node| node.is_ready("later")).await;
    let now: Vec<_> = node.runtime.running().into_iter().map(|own| own.id).collect();
    let kept = begun.iter().filter(|id| now.contains(id)).count();
    assert_eq!(kept, 4, "containers of the other pods are the same: {begun:?} {now:?}");
    assert!(node.runtime.starts.lock().values().all(|count| *count == 1), "{:?}", node.runtime.starts.lock());
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_container_that_dies_comes_back_with_its_count() {
    let node = Node::start();
    node.pod("web", plain());
    node.until("ready", |node| node.is_ready("web")).await;
    let id = node.runtime.running().remove(0).id;
    node.runtime.end(&id, 137);
    node.until("restarted", |node| {
        let pod = node.read("web");
        let own = pod.at("status").list("containerStatuses").first().cloned().unwrap_or_default();
        own.int("restartCount") == Some(1) && own.at("state").has("running")
    })
    .await;
    let (code, _) = node.ask("/containerLogs/default/web/app?previous=true").await;
    assert_eq!(code, 200);
    let (code, text) = node.ask("/exec/default/web/app?command=cat&input=1&output=1").await;
    assert_eq!(code, 400, "{text}");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn static_pods_run_and_have_a_mirror() {
    let node = Node::start();
    let folder = node._folder.path().join("manifests");
    std::fs::create_dir_all(&folder).unwrap();
    let manifest = "apiVersion: v1\nkind: Pod\nmetadata: {name: st}\nspec:\n  terminationGracePeriodSeconds: 1\n  containers:\n  - {name: app, image: 'here:1', imagePullPolicy: IfNotPresent}\n";
    std::fs::write(folder.join("st.yaml"), manifest).unwrap();
    node.until("the mirror is ready", |node| node.is_ready("st-n1")).await;
    node.api.remove(Resource::PODS, "default", "st-n1");
    node.until("the mirror comes again", |node| node.is_ready("st-n1")).await;
    std::fs::remove_file(folder.join("st.yaml")).unwrap();
    node.until("it ends with its file", |node| node.runtime.sandboxes.lock().is_empty()).await;
    node.until("so does its mirror", |node| node.read("st-n1").is_null()).await;
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exec_carries_input_output_and_the_exit_code() {
    use futures_util::{SinkExt, StreamExt};
    use tokio_tungstenite::tungstenite::Message;
    use tokio_tungstenite::tungstenite::client::IntoClientRequest;

    let node = Node::start();
    node.pod("web", plain());
    node.until("ready", |node| node.is_ready("web")).await;
    let (near, far) = tokio::io::duplex(64 * 1024);
    tokio::spawn(node.kubelet.http_service(Arc::new(AllowAll)).serve(far, "tester".into()));
    let target = "ws://n1/exec/default/web/app?command=cat&command=3&input=1&output=1";
    let mut request = target.into_client_request().unwrap();
    request.headers_mut().insert("sec-websocket-protocol", "v5.channel.k8s.io".parse().unwrap());
    let (mut socket, _) = tokio_tungstenite::client_async(request, near).await.unwrap();
    socket.send(Message::Binary(b"\x00hello".to_vec().into())).await.unwrap();
    // v5: channel 255 closes the channel that follows.
    socket.send(Message::Binary(vec![255, 0].into())).await.unwrap();
    let (mut output, mut outcome) = (Vec::new(), Vec::new());
    while let Some(Ok(message)) = socket.next().await {
        let Message::Binary(bytes) = message else { continue };
        match bytes[0] {
            1 => output.extend_from_slice(&bytes[1..]),
            3 => outcome.extend_from_slice(&bytes[1..]),
            _ => {}
        }
    }
    assert_eq!(output, b"hello");
    let outcome: Value = serde_json::from_slice(&outcome).unwrap();
    assert_eq!(outcome["reason"], "NonZeroExitCode");
    assert_eq!(outcome["details"]["causes"][0]["message"], "3");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_authorizer_is_asked_with_the_nodes_subresource() {
    struct Only;
    impl trireme_kubelet::Authorizer for Only {
        fn authorize(&self, asked: trireme_kubelet::Asked) -> trireme_node::Answer<'_, Result<(), String>> {
            Box::pin(async move {
                match asked.subresource == "metrics" && asked.verb == "get" && asked.caller == "tester" {
                    true => Ok(()),
                    false => {
                        Err(format!("{} may not {} nodes/{}", asked.caller, asked.verb, asked.subresource))
                    }
                }
            })
        }
    }
    let node = Node::start();
    let ask = |target: &'static str| {
        let http = node.kubelet.http_service(Arc::new(Only));
        async move {
            let (mut near, far) = tokio::io::duplex(64 * 1024);
            tokio::spawn(http.serve(far, "tester".into()));
            let request = format!("GET {target} HTTP/1.1\r\nhost: n1\r\nconnection: close\r\n\r\n");
            near.write_all(request.as_bytes()).await.unwrap();
            let mut text = String::new();
            near.read_to_string(&mut text).await.unwrap();
            text
        }
    };
    assert!(ask("/metrics").await.starts_with("HTTP/1.1 200"));
    let refused = ask("/pods").await;
    assert!(
        refused.starts_with("HTTP/1.1 403") && refused.contains("tester may not get nodes/pods"),
        "{refused}"
    );
    assert!(ask("/healthz").await.starts_with("HTTP/1.1 200"));
    node.stop().await;
}
