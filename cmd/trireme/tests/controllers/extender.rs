//! A scheduler extender that binds.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use kube::Client;
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// What it does when it is asked to bind.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Answer {
    Bind,
    Error(&'static str),
}

struct Shared {
    answer: Answer,
    asked: Vec<Value>,
}

/// See the module.
pub(crate) struct Extender {
    address: SocketAddr,
    listener: Mutex<Option<TcpListener>>,
    shared: Arc<Mutex<Shared>>,
}

impl Extender {
    /// Has an address; answers once it can reach the API.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Mutex::new(Shared { answer: Answer::Bind, asked: Vec::new() }));
        Self { address, listener: Mutex::new(Some(listener)), shared }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn answer(&self, answer: Answer) {
        self.shared.lock().expect("not poisoned").answer = answer;
    }

    /// Every body it was asked with.
    pub(crate) fn asked(&self) -> Vec<Value> {
        self.shared.lock().expect("not poisoned").asked.clone()
    }

    /// Answers from now on; it posts the bindings itself.
    pub(crate) fn serve(&self, client: Client) {
        let listener = self.listener.lock().expect("not poisoned").take().expect("served once");
        let shared = self.shared.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (client, shared) = (client.clone(), shared.clone());
                tokio::spawn(async move {
                    let service = service_fn(move |request: http::Request<hyper::body::Incoming>| {
                        let (client, shared) = (client.clone(), shared.clone());
                        async move {
                            let path = request.uri().path().to_owned();
                            let bytes = request.into_body().collect().await.expect("a body").to_bytes();
                            let answer = bind(&client, &shared, &path, &bytes).await;
                            let body = Full::new(Bytes::from(answer.to_string()));
                            Ok::<_, Infallible>(http::Response::new(body))
                        }
                    });
                    let builder = hyper::server::conn::http1::Builder::new();
                    // A connection that breaks is the scheduler's to notice.
                    let _over = builder.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
    }
}

async fn bind(client: &Client, shared: &Mutex<Shared>, path: &str, body: &[u8]) -> Value {
    assert_eq!(path, "/x/bind");
    let asked: Value = serde_json::from_slice(body).expect("JSON");
    let answer = {
        let mut shared = shared.lock().expect("not poisoned");
        shared.asked.push(asked.clone());
        shared.answer
    };
    if let Answer::Error(error) = answer {
        return json!({"Error": error});
    }
    let text = |name: &str| asked[name].as_str().unwrap_or_default().to_owned();
    let (namespace, name) = (text("PodNamespace"), text("PodName"));
    let binding = json!({
        "apiVersion": "v1", "kind": "Binding", "metadata": {"name": name, "namespace": namespace, "uid": asked["PodUID"]},
        "target": {"apiVersion": "v1", "kind": "Node", "name": asked["Node"]},
    });
    let path = format!("/api/v1/namespaces/{namespace}/pods/{name}/binding");
    let request = http::Request::post(path).header("Content-Type", "application/json");
    let request = request.body(binding.to_string().into_bytes()).expect("a request");
    match client.request::<Value>(request).await {
        Ok(_) => json!({}),
        Err(error) => json!({"Error": error.to_string()}),
    }
}
