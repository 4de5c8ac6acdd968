//! From server to server, and from certificate to certificate.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use trireme_client::{Ask, Rest, Servers};
use trireme_pki::{
    AltName, ClusterAuthority, ClusterId, Credentials, Identity, KeyRequest, SigningOrder, WallTime,
    https_server, install_crypto_provider,
};

const PATIENCE: Duration = Duration::from_secs(60);

/// An authority and what it signs.
struct Pki {
    cluster: ClusterId,
    authority: ClusterAuthority,
}

impl Pki {
    fn new() -> Self {
        install_crypto_provider();
        let cluster = ClusterId::new("c1").unwrap();
        Self { authority: ClusterAuthority::create(&cluster, WallTime::now()).unwrap(), cluster }
    }

    fn issue(
        &self,
        identity: &Identity,
    ) -> (KeyRequest, Vec<tokio_rustls::rustls::pki_types::CertificateDer<'static>>) {
        let key = KeyRequest::generate().unwrap();
        let names = [AltName::Dns("kubernetes.default.svc".to_owned())];
        let order = SigningOrder {
            request_der: key.request_der(),
            identity,
            alt_names: if identity.to_string().contains("server") { &names } else { &[] },
            lifetime: Duration::from_secs(3_600),
            now: WallTime::now(),
            not_before_floor: None,
        };
        let chain = self.authority.sign_request(&order).unwrap().chain;
        (key, chain)
    }

    fn node(&self) -> Identity {
        Identity::node(&self.cluster, "a1").unwrap()
    }
}

/// A server that says its name and which certificate it was shown. Dropped, it and its connections are gone.
struct Server {
    address: SocketAddr,
    _tasks: JoinSet<()>,
}

async fn serve(pki: &Pki, name: &'static str) -> Server {
    let (key, chain) = pki.issue(&Identity::server(&pki.cluster, name).unwrap());
    let tls = https_server(Arc::new(Credentials::new(&key, &chain).unwrap())).unwrap();
    let acceptor = TlsAcceptor::from(tls);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            let acceptor = acceptor.clone();
            connections.spawn(async move {
                let Ok(tls) = acceptor.accept(socket).await else { return };
                let shown = tls.get_ref().1.peer_certificates().unwrap()[0].len();
                let bytes: u64 =
                    tls.get_ref().1.peer_certificates().unwrap()[0].iter().map(|byte| u64::from(*byte)).sum();
                let answer = move |request: Request<Incoming>| async move {
                    let text = serde_json::json!({"server": name, "shown": [shown, bytes],
                        "path": request.uri().path()});
                    Ok::<_, std::convert::Infallible>(Response::new(Full::new(Bytes::from(text.to_string()))))
                };
                let http = hyper::server::conn::http1::Builder::new();
                let _broken = http.serve_connection(TokioIo::new(tls), service_fn(answer)).await;
            });
        }
    });
    Server { address, _tasks: tasks }
}

struct Known(Mutex<Vec<SocketAddr>>);

impl Servers for Known {
    fn addresses(&self) -> Vec<SocketAddr> {
        self.0.lock().clone()
    }
}

/// The answer, asked for as often as somebody does who repeats what failed.
async fn ask(rest: &Rest) -> Value {
    let work = async {
        loop {
            match rest.json(&Ask::get("/api/v1/nodes")).await {
                Ok(answer) => return answer,
                Err(error) => assert!(error.is_retryable(), "{error}"),
            }
        }
    };
    tokio::time::timeout(PATIENCE, work).await.unwrap()
}

#[tokio::test]
async fn requests_go_to_a_server_that_lives() {
    let pki = Pki::new();
    let (one, two) = (serve(&pki, "one").await, serve(&pki, "two").await);
    let known = Arc::new(Known(Mutex::new(vec![one.address])));
    let (key, chain) = pki.issue(&pki.node());
    let credentials = Arc::new(Credentials::new(&key, &chain).unwrap());
    let rest = Rest::roaming(credentials, Arc::clone(&known) as Arc<dyn Servers>).unwrap();
    let answer = ask(&rest).await;
    assert_eq!((&answer["server"], &answer["path"]), (&"one".into(), &"/api/v1/nodes".into()));
    // The list changes while the client lives; the server in use stays in use.
    known.0.lock().insert(0, two.address);
    assert_eq!(ask(&rest).await["server"], "one");
    drop(one);
    assert_eq!(ask(&rest).await["server"], "two");
    drop(two);
    let nobody = rest.json(&Ask::get("/x")).await.unwrap_err();
    let nobody = (nobody, rest.json(&Ask::get("/x")).await.unwrap_err());
    assert!(nobody.1.to_string().contains("no server can be reached"), "{nobody:?}");
}

#[tokio::test]
async fn a_replaced_certificate_is_shown_from_the_next_request_on() {
    let pki = Pki::new();
    let one = serve(&pki, "one").await;
    let (key, chain) = pki.issue(&pki.node());
    let credentials = Arc::new(Credentials::new(&key, &chain).unwrap());
    let rest = Rest::roaming(Arc::clone(&credentials), Arc::new(one.address)).unwrap();
    let before = ask(&rest).await;
    assert_eq!(ask(&rest).await["shown"], before["shown"], "one connection serves both");
    let (key, chain) = pki.issue(&pki.node());
    credentials.replace(&key, &chain).unwrap();
    assert_ne!(ask(&rest).await["shown"], before["shown"]);
}
