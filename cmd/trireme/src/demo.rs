//! `trireme up --demo`: a small real application, packed from this program itself, and its answer.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use trireme_client::{Ask, Rest};
use trireme_runtime::image::{BuildImage, ImageStore, build};

use crate::progress::print;

/// The image's name.
const IMAGE: &str = "trireme.local/demo:1";
/// Namespace of the application.
const NAMESPACE: &str = "demo";
/// How long it may take to answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);
/// Pause between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// How long one connection may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(2);

/// Packs this program into an image.
///
/// # Errors
/// The image cannot be built.
pub(crate) fn pack(data_dir: &Path) -> anyhow::Result<()> {
    let program = std::env::current_exe().context("the program's own path cannot be read")?;
    let store = Arc::new(ImageStore::open(&data_dir.join("images"))?);
    let request = BuildImage {
        tags: vec![IMAGE.to_owned()],
        add: vec![(program, Some("/bin/trireme".to_owned()))],
        entrypoint: vec!["/bin/trireme".to_owned(), "hello".to_owned()],
        ..BuildImage::default()
    };
    build(&store, &request).map(drop).context("the demo's image")
}

/// Applies the application and waits for its answer through its Service.
///
/// # Errors
/// The API refuses it, or it does not answer in time.
pub(crate) async fn show(admin: &Rest) -> anyhow::Result<()> {
    let started = Instant::now();
    for (path, object) in objects() {
        let manager = [("fieldManager", "trireme-demo"), ("force", "true")];
        let body = Some(("application/apply-patch+yaml", object.to_string().into_bytes()));
        let ask = Ask {
            method: http::Method::PATCH,
            path: &path,
            query: &manager,
            accept: "application/json",
            body,
        };
        admin.json(&ask).await.with_context(|| format!("the demo: {path}"))?;
    }
    let path = format!("/api/v1/namespaces/{NAMESPACE}/services/hello");
    let service = admin.json(&Ask::get(&path)).await?;
    let address = service["spec"]["clusterIP"].as_str().unwrap_or_default().to_owned();
    loop {
        if let Some(text) = asked(&address).await {
            print(&format!(
                "demo: http://{address}/ says {text:?} after {} ms",
                started.elapsed().as_millis()
            ));
            print("demo: see it with  trireme kubectl -n demo get pods,services -o wide");
            return Ok(());
        }
        if started.elapsed() > ANSWER_LIMIT {
            bail!(
                "the demo does not answer after {ANSWER_LIMIT:?}; see `trireme kubectl -n demo describe pods`"
            );
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

fn objects() -> Vec<(String, Value)> {
    let labels = json!({"app": "hello"});
    let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "hello"},
        "spec": {"replicas": 2, "selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels},
            "spec": {"terminationGracePeriodSeconds": 2, "containers": [{"name": "hello", "image": IMAGE,
                "imagePullPolicy": "Never", "ports": [{"containerPort": 8080}],
                "readinessProbe": {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1}}]}}}});
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "hello"},
        "spec": {"selector": labels, "ports": [{"port": 80, "targetPort": 8080}]}});
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}});
    vec![
        (format!("/api/v1/namespaces/{NAMESPACE}"), namespace),
        (format!("/apis/apps/v1/namespaces/{NAMESPACE}/deployments/hello"), deployment),
        (format!("/api/v1/namespaces/{NAMESPACE}/services/hello"), service),
    ]
}

/// What the application says; `None` while it does not.
async fn asked(address: &str) -> Option<String> {
    let exchange = async {
        let mut stream = TcpStream::connect((address, 80)).await.ok()?;
        stream.write_all(b"GET / HTTP/1.0\r\nHost: hello\r\n\r\n").await.ok()?;
        let mut answer = String::new();
        stream.take(64 * 1024).read_to_string(&mut answer).await.ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        head.contains(" 200 ").then(|| body.trim().to_owned())
    };
    tokio::time::timeout(CONNECT_LIMIT, exchange).await.ok().flatten()
}
