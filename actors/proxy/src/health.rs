//! `healthCheckNodePort`: small HTTP servers that tell load balancers whether this node has ready endpoints.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use trireme_dataplane::Netns;
use trireme_proxy_core::HealthCheck;

/// Connections that one check serves at a time; further ones wait in the kernel's queue.
const CONNECTIONS: usize = 32;
/// How long a client may take for its request's head.
const HEAD_WAIT: Duration = Duration::from_secs(5);
/// A connection lives no longer than this.
const CONNECTION_LIFE: Duration = Duration::from_secs(30);

type Answering = Arc<Mutex<HealthCheck>>;

/// The servers of all checks. Dropping it ends them.
pub(crate) struct HealthServers {
    netns: Netns,
    running: BTreeMap<u16, (Answering, tokio::task::JoinHandle<()>)>,
}

impl HealthServers {
    pub(crate) fn new(netns: Netns) -> Self {
        Self { netns, running: BTreeMap::new() }
    }

    /// Serves these checks and no others. Ports that are taken are told and tried again at the next change.
    pub(crate) fn set(&mut self, checks: Vec<HealthCheck>, runtime: &tokio::runtime::Handle) {
        let wanted: BTreeMap<u16, HealthCheck> =
            checks.into_iter().map(|check| (check.port, check)).collect();
        self.running.retain(|port, (_, server)| {
            let stays = wanted.contains_key(port) && !server.is_finished();
            if !stays {
                server.abort();
            }
            stays
        });
        for (port, check) in wanted {
            if let Some((answering, _)) = self.running.get(&port) {
                *answering.lock() = check;
                continue;
            }
            let service = check.service.to_string();
            match self.netns.run(|| bind(port)) {
                Ok(listener) => {
                    let answering = Arc::new(Mutex::new(check));
                    let server = runtime.spawn(serve(listener, Arc::clone(&answering)));
                    self.running.insert(port, (answering, server));
                }
                Err(error) => {
                    tracing::warn!(port, %service, %error, "the health check's port cannot be opened")
                }
            }
        }
    }
}

impl Drop for HealthServers {
    fn drop(&mut self) {
        for (_, server) in self.running.values() {
            server.abort();
        }
    }
}

fn bind(port: u16) -> std::io::Result<StdListener> {
    let both = StdListener::bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)));
    // A machine without IPv6 listens on IPv4 alone.
    let listener = both.or_else(|_| StdListener::bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

async fn serve(listener: StdListener, answering: Answering) {
    let Ok(listener) = TcpListener::from_std(listener) else { return };
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            // Out of file descriptors, most likely: the next try may find some.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let answering = Arc::clone(&answering);
        tokio::spawn(async move {
            let _place = place;
            let service = service_fn(move |_| {
                let answer = answer(&answering.lock());
                async move { Ok::<_, Infallible>(answer) }
            });
            let mut server = http1::Builder::new();
            server.timer(TokioTimer::new()).header_read_timeout(HEAD_WAIT);
            let connection = server.serve_connection(TokioIo::new(stream), service);
            let _ = tokio::time::timeout(CONNECTION_LIFE, connection).await;
        });
    }
}

/// As kube-proxy's: 200 with endpoints, 503 without, and a weight for load balancers that know weights.
fn answer(check: &HealthCheck) -> Response<Full<Bytes>> {
    let body = serde_json::json!({
        "service": {"namespace": check.service.namespace, "name": check.service.name},
        "localEndpoints": check.local_endpoints,
        "serviceProxyHealthy": true,
    });
    let mut response = Response::new(Full::new(Bytes::from(body.to_string())));
    if check.local_endpoints == 0 {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    }
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert("X-Content-Type-Options", HeaderValue::from_static("nosniff"));
    headers.insert("X-Load-Balancing-Endpoint-Weight", HeaderValue::from(check.local_endpoints));
    response
}
