//! A whole API server in a process, without the machine around it.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde_json::Value;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use trireme_access::User;
use trireme_apiserver::{ApiClient, ApiHandler, ApiService, ApiServiceParts, Mode, Server, ServerConfig};
use trireme_http::{Handler, Peer, PeerCertificateState, Reply, Request, RequestBody};
use trireme_kernel::{Kernel, KernelConfig, SupervisorSpec};
use trireme_pki::{
    ClusterAuthority, ClusterId, IdentityKind, IdentityName, LiveTrust, WallTime, install_crypto_provider,
};
use trireme_raft::store::StoreConfig;
use trireme_store::{ClusterClock, HostParts, LeaderScope, StoreActor, StoreHost};

/// What a start may take.
const START: Duration = Duration::from_secs(60);
/// How much of an answer's body is looked at, in bytes.
const BODY_BYTES: usize = 64 * 1024 * 1024;
/// Users of the static token file: the administrator, and somebody who may nothing.
const TOKENS: &str = "admin,admin,1,\"system:masters\"\nnobody,nobody,2\nflood,flood,3\n";

/// A running API.
pub(crate) struct Api {
    pub(crate) service: ApiService,
    pub(crate) handler: Arc<ApiHandler>,
    kernel: Kernel,
    host: Arc<StoreHost>,
    folder: TempDir,
}

/// An answer.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or(Value::Null)
    }
}

impl Api {
    /// One with the settings that `change` makes of the defaults.
    pub(crate) fn start_with(change: impl FnOnce(&mut ServerConfig)) -> Self {
        install_crypto_provider();
        let folder = tempfile::tempdir().unwrap();
        let kernel =
            Kernel::start(KernelConfig { io_threads: 2, arbiters: 1, ..KernelConfig::new("s1") }).unwrap();
        let me = IdentityName::new(IdentityKind::Server, "s1").unwrap();
        let host = StoreHost::new(HostParts {
            me: me.clone(),
            cluster: "test".to_owned(),
            dir: folder.path().join("store"),
            member_file: folder.path().join("store.json"),
            alone: true,
            config: StoreConfig::default(),
            io: kernel.io().clone(),
        });
        let tree = kernel.root().add_supervisor(SupervisorSpec::new(me.to_string())).unwrap();
        tree.add(StoreActor::spec(host.clone())).unwrap();
        let scope = Arc::new(|spec: SupervisorSpec, reign: &_| spec.child(ClusterClock::spec(reign)));
        tree.add(LeaderScope::spec(host.clone(), kernel.root(), scope)).unwrap();
        let now = WallTime::now();
        let authority = Arc::new(ClusterAuthority::create(&ClusterId::new("test").unwrap(), now).unwrap());
        let mut config = ServerConfig {
            service_cidr: "10.96.0.0/12".parse().unwrap(),
            authorization: Mode::parse_list("Node,RBAC").unwrap(),
            token_file: Some(TOKENS.to_owned()),
            anonymous: true,
            issuer: "https://kubernetes.default.svc".to_owned(),
            advertise: SocketAddr::from(([127, 0, 0, 1], 6443)),
            max_requests: ServerConfig::MAX_REQUESTS,
            max_mutating: ServerConfig::MAX_MUTATING,
            request_timeout: ServerConfig::REQUEST_TIMEOUT,
            features: trireme_apiserver::features::FeatureGates::default(),
            random: trireme_process::random_u64,
        };
        change(&mut config);
        let parts = ApiServiceParts {
            config,
            store: host.clone(),
            authority,
            trust: LiveTrust::default(),
            name: "s1".to_owned(),
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            io: kernel.io().clone(),
            root: kernel.root(),
            machine: me.to_string(),
        };
        let service = kernel.io().block_on(ApiService::start(parts)).unwrap();
        assert!(kernel.io().block_on(service.ready(START)), "the initial objects are made");
        let handler = ApiHandler::new(service.server().clone());
        Self { service, handler, kernel, host, folder }
    }

    pub(crate) fn start() -> Self {
        Self::start_with(|_| {})
    }

    pub(crate) fn server(&self) -> &Arc<Server> {
        self.service.server()
    }

    /// The administrator without a socket.
    pub(crate) fn admin(&self) -> ApiClient {
        ApiClient::new(self.server().clone(), User::internal("admin", &["system:masters"]), "tests")
    }

    /// Kills the actor of that name below the server's own supervisor.
    pub(crate) fn kill(&self, name: &str) -> bool {
        self.kernel.registry().kill(&format!("/server/s1/api/{name}").parse().unwrap())
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Runs a test's work on the I/O runtime, then stops everything.
    pub(crate) fn run<T: Send + 'static>(self, work: impl AsyncFnOnce(&Self) -> T) -> T {
        let io = self.kernel.io().clone();
        let out = io.block_on(work(&self));
        io.block_on(async {
            self.service.shutdown().await;
            self.kernel.shutdown(Duration::from_secs(5)).await;
            self.host.close().await;
        });
        out
    }

    /// One request of a token's user, through everything but the socket.
    pub(crate) async fn ask(&self, token: &str, method: &str, target: &str, body: &str) -> Answer {
        self.ask_as(token, method, target, "application/json", body).await
    }

    pub(crate) async fn ask_as(
        &self,
        token: &str,
        method: &str,
        target: &str,
        kind: &str,
        body: &str,
    ) -> Answer {
        let head = http::Request::builder()
            .method(method)
            .uri(target)
            .header("host", "localhost")
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", kind);
        let request = Request {
            head: head.body(()).unwrap().into_parts().0,
            body: RequestBody::full(Bytes::copy_from_slice(body.as_bytes()), 3 * 1024 * 1024),
            peer: peer(),
            draining: CancellationToken::new(),
        };
        match self.handler.clone().handle(request).await {
            Reply::Answer(response) => {
                let (head, body) = response.into_parts();
                let body = body.read_beginning(BODY_BYTES).await.unwrap();
                Answer {
                    status: head.status.as_u16(),
                    headers: head.headers,
                    text: String::from_utf8_lossy(&body).into_owned(),
                }
            }
            Reply::Upgrade(upgrade) => Answer {
                status: StatusCode::SWITCHING_PROTOCOLS.as_u16(),
                headers: upgrade.response.headers().clone(),
                text: String::new(),
            },
        }
    }

    /// Writes a kubeconfig of the administrator.
    pub(crate) fn kubeconfig(&self) -> std::path::PathBuf {
        let path = self.folder().join("kubeconfig");
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: t\nclusters:\n- name: t\n  cluster:\n    server: \
             https://{}\n    insecure-skip-tls-verify: true\nusers:\n- name: a\n  user:\n    token: admin\ncontexts:\n\
             - name: t\n  context: {{cluster: t, user: a, namespace: default}}\n",
            self.service.address()
        );
        std::fs::write(&path, text).unwrap();
        path
    }
}

fn peer() -> Arc<Peer> {
    Arc::new(Peer {
        connection: 1,
        address: SocketAddr::from(([127, 0, 0, 1], 1)),
        certificate: PeerCertificateState::Absent,
        http2: true,
    })
}

/// Waits until `reached` says so.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, mut reached: impl FnMut() -> F) {
    let started = tokio::time::Instant::now();
    while !reached().await {
        assert!(started.elapsed() < START, "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Creates a config map as a token's user; gives the status.
pub(crate) async fn post(handler: &Arc<ApiHandler>, token: &str, name: &str) -> u16 {
    post_in(handler, token, "default", name).await
}

/// The same in another namespace.
pub(crate) async fn post_in(handler: &Arc<ApiHandler>, token: &str, namespace: &str, name: &str) -> u16 {
    let body = serde_json::json!({"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": name}});
    let head = http::Request::builder()
        .method("POST")
        .uri(format!("/api/v1/namespaces/{namespace}/configmaps"))
        .header("authorization", format!("Bearer {token}"))
        .header("content-type", "application/json");
    let request = Request {
        head: head.body(()).unwrap().into_parts().0,
        body: RequestBody::full(Bytes::from(body.to_string()), 1024 * 1024),
        peer: peer(),
        draining: CancellationToken::new(),
    };
    match handler.clone().handle(request).await {
        Reply::Answer(response) => response.status().as_u16(),
        Reply::Upgrade(_) => 101,
    }
}

/// Watches until so many events of new objects whose names begin with `w` came; gives their number.
pub(crate) async fn watch_until(
    handler: &Arc<ApiHandler>,
    target: &str,
    events: usize,
    opened: &std::sync::atomic::AtomicUsize,
) -> usize {
    let head = http::Request::builder().uri(target).header("authorization", "Bearer admin");
    let request = Request {
        head: head.body(()).unwrap().into_parts().0,
        body: RequestBody::empty(),
        peer: peer(),
        draining: CancellationToken::new(),
    };
    let Reply::Answer(response) = handler.clone().handle(request).await else { return 0 };
    opened.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let mut body = response.into_body();
    let mut seen = 0;
    while seen < events {
        let Some(piece) = body.next_piece().await.unwrap() else { break };
        let text = String::from_utf8_lossy(&piece).into_owned();
        seen += text.lines().filter(|line| line.contains("\"name\":\"w")).count();
    }
    seen
}
