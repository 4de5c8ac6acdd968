//! [`Rest::roaming`]: the API of a cluster of several servers, for whom lives as long as a machine does.
//!
//! Requests go to one server until it fails; then its connections are given up and the others are tried. The servers are
//! asked for at each new connection, so the list may change at any time. A server that was cut off without a word is
//! noticed by the kernel within [`SILENCE`] of the first byte that it owes an answer to. A client certificate that was
//! replaced counts from the next request on.
//!
//! Deliberately absent: repeating a request. Whether a write was carried out is not known when its connection broke.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::uri::{Authority, Scheme};
use http::{Request, Response, Uri};
use hyper::body::Incoming;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::client::legacy::{Client as Pool, Error as PoolError};
use hyper_util::rt::{TokioExecutor, TokioIo};
use kube::client::Body;
use parking_lot::Mutex;
use rustix::net::sockopt;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;
use tower_service::Service;
use trireme_pki::{Credentials, HttpsError, https_client};

use crate::error::ClientError;
use crate::rest::Rest;

/// How long one server may take for connection and handshake.
const CONNECT_LIMIT: Duration = Duration::from_secs(1);
/// How long a server may owe the acknowledgement of a byte, or of a probe of an idle connection.
const SILENCE: Duration = Duration::from_millis(800);
/// Time between the probes of an idle connection: the kernel's smallest.
const PROBE: Duration = Duration::from_secs(1);
/// The name that every server's certificate has, whatever its address.
const SERVER_NAME: &str = "kubernetes.default.svc";

/// Where the servers of a cluster are, as known now.
pub trait Servers: Send + Sync + 'static {
    /// The addresses of their APIs, the one to try first in front.
    fn addresses(&self) -> Vec<SocketAddr>;
}

/// One address that never changes.
impl Servers for SocketAddr {
    fn addresses(&self) -> Vec<SocketAddr> {
        vec![*self]
    }
}

impl Rest {
    /// To whichever server of a cluster answers, under the identity of `credentials`, which may be replaced meanwhile.
    ///
    /// # Errors
    /// [`ClientError::Config`]: the credentials cannot be used.
    pub fn roaming(credentials: Arc<Credentials>, servers: Arc<dyn Servers>) -> Result<Self, ClientError> {
        let roaming =
            Roaming::new(credentials, servers).map_err(|error| ClientError::Config(error.to_string()))?;
        Ok(Self::over(kube::Client::new(roaming, "default"), "the cluster's servers"))
    }
}

/// Which server was used last, and which one failed last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Way {
    used: Option<SocketAddr>,
    failed: Option<SocketAddr>,
}

impl Way {
    /// In which order servers are tried.
    fn order(self, mut servers: Vec<SocketAddr>) -> Vec<SocketAddr> {
        servers.sort_by_key(|server| (self.failed == Some(*server), self.used != Some(*server)));
        servers
    }
}

#[derive(Clone)]
struct Roaming {
    shared: Arc<Shared>,
}

struct Shared {
    dialer: Dialer,
    credentials: Arc<Credentials>,
    state: Mutex<State>,
}

struct State {
    pool: Pool<Dialer, Body>,
    /// Which certificate the connections of the pool show.
    generation: u64,
    /// Counts pools, so that many requests that fail together give up one.
    epoch: u64,
}

impl Roaming {
    fn new(credentials: Arc<Credentials>, servers: Arc<dyn Servers>) -> Result<Self, HttpsError> {
        let generation = credentials.generation();
        let tls = https_client(&[credentials.ca().der().clone()], Some(Arc::clone(&credentials)))?;
        let dialer = Dialer { servers, tls: TlsConnector::from(tls), way: Arc::default() };
        let state = Mutex::new(State { pool: dialer.pool(), generation, epoch: 0 });
        Ok(Self { shared: Arc::new(Shared { dialer, credentials, state }) })
    }
}

impl Shared {
    /// The connections to use now, and their number.
    fn current(&self) -> (Pool<Dialer, Body>, u64) {
        let mut state = self.state.lock();
        let generation = self.credentials.generation();
        if generation != state.generation {
            state.generation = generation;
            state.give_up(&self.dialer);
        }
        (state.pool.clone(), state.epoch)
    }

    /// A request failed below HTTP: its server is no good, nor are the other connections to it.
    fn failed(&self, epoch: u64) {
        let mut state = self.state.lock();
        if state.epoch == epoch {
            state.give_up(&self.dialer);
            let mut way = self.dialer.way.lock();
            *way = Way { used: None, failed: way.used.or(way.failed) };
        }
    }
}

impl State {
    /// Requests under way end by themselves.
    fn give_up(&mut self, dialer: &Dialer) {
        self.pool = dialer.pool();
        self.epoch += 1;
    }
}

type Answering<T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send>>;

impl Service<Request<Body>> for Roaming {
    type Response = Response<Incoming>;
    type Error = PoolError;
    type Future = Answering<Response<Incoming>, PoolError>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), PoolError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let mut uri = std::mem::take(request.uri_mut()).into_parts();
        uri.scheme = Some(Scheme::HTTPS);
        uri.authority = Some(Authority::from_static(SERVER_NAME));
        if uri.path_and_query.is_none() {
            uri.path_and_query = Some(http::uri::PathAndQuery::from_static("/"));
        }
        *request.uri_mut() = Uri::from_parts(uri).expect("scheme, authority and path make an address");
        let shared = Arc::clone(&self.shared);
        Box::pin(async move {
            let (pool, epoch) = shared.current();
            pool.request(request).await.inspect_err(|_| shared.failed(epoch))
        })
    }
}

/// Connects to the first server that answers.
#[derive(Clone)]
struct Dialer {
    servers: Arc<dyn Servers>,
    tls: TlsConnector,
    way: Arc<Mutex<Way>>,
}

impl Dialer {
    fn pool(&self) -> Pool<Self, Body> {
        Pool::builder(TokioExecutor::new()).build(self.clone())
    }

    async fn dial(self) -> io::Result<Secured> {
        let servers = self.way.lock().order(self.servers.addresses());
        let mut tried = Vec::new();
        for server in servers {
            match tokio::time::timeout(CONNECT_LIMIT, self.dial_one(server)).await {
                Ok(Ok(secured)) => {
                    self.way.lock().used = Some(server);
                    return Ok(secured);
                }
                Ok(Err(error)) => tried.push(format!("{server}: {error}")),
                Err(_) => tried.push(format!("{server}: no answer within {CONNECT_LIMIT:?}")),
            }
        }
        match tried.is_empty() {
            true => Err(io::Error::other("no server of the cluster is known")),
            false => Err(io::Error::other(format!("no server can be reached ({})", tried.join("; ")))),
        }
    }

    async fn dial_one(&self, server: SocketAddr) -> io::Result<Secured> {
        let socket = TcpStream::connect(server).await?;
        socket.set_nodelay(true)?;
        sockopt::set_socket_keepalive(&socket, true)?;
        sockopt::set_tcp_keepidle(&socket, PROBE)?;
        sockopt::set_tcp_keepintvl(&socket, PROBE)?;
        sockopt::set_tcp_keepcnt(&socket, 1)?;
        let silence_ms = u32::try_from(SILENCE.as_millis()).expect("less than a second");
        sockopt::set_tcp_user_timeout(&socket, silence_ms)?;
        let name = ServerName::try_from(SERVER_NAME).expect("a DNS name");
        Ok(Secured(TokioIo::new(self.tls.connect(name, socket).await?)))
    }
}

impl Service<Uri> for Dialer {
    type Response = Secured;
    type Error = io::Error;
    type Future = Answering<Secured, io::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        Box::pin(self.clone().dial())
    }
}

/// A connection to a server.
struct Secured(TokioIo<TlsStream<TcpStream>>);

impl Connection for Secured {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl Read for Secured {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl Write for Secured {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_in_use_comes_first_and_the_one_that_failed_last() {
        let server = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
        let all = vec![server(1), server(2), server(3)];
        assert_eq!(Way::default().order(all.clone()), all);
        let way = Way { used: Some(server(3)), failed: Some(server(1)) };
        assert_eq!(way.order(all.clone()), [server(3), server(2), server(1)]);
        let way = Way { used: None, failed: Some(server(2)) };
        assert_eq!(way.order(all), [server(1), server(3), server(2)]);
    }
}
