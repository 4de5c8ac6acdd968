//! The front with hyper's clients: both protocols, identities, bodies, watches, upgrades, shutdown.
#![allow(clippy::unwrap_used)]

mod kit;

use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use kit::{PATIENCE, Pki, get, serve, text};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;
use trireme_http::Limits;
use trireme_http::proxy::{ForwardedBy, ProxyLimits, TlsBackend, forward};
use trireme_http::{Handler, Refusal, Reply, Request};

#[tokio::test(flavor = "multi_thread")]
async fn both_protocols_answer_and_the_certificate_names_the_client() {
    let served = serve(Limits::default()).await;
    let (status, body) = text(served.h1().await.send_request(get("/who")).await.unwrap()).await;
    assert_eq!((status.as_u16(), body.as_str()), (200, "\"anonymous\"\n"));
    let mut h2 = served.h2().await;
    let request = get("https://localhost/who");
    assert_eq!(text(h2.send_request(request).await.unwrap()).await.1, "\"anonymous\"\n");
    for (own, expected) in [
        (served.pki.user("ann"), "\"ann of dev\"\n"),
        (Pki::new().user("eve"), "signed by an unknown authority"),
    ] {
        let io = TokioIo::new(served.tls(Some(own), b"http/1.1").await);
        let (mut sender, connection) = http1::handshake::<_, Full<Bytes>>(io).await.unwrap();
        tokio::spawn(connection);
        let (_, body) = text(sender.send_request(get("/who")).await.unwrap()).await;
        assert!(body.contains(expected), "{body}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_come_whole_up_to_the_limit_and_413_beyond() {
    let served = serve(Limits { body_bytes: 100_000, ..Limits::default() }).await;
    let post = |length: usize| {
        http::Request::post("https://localhost/echo").body(Full::from(vec![b'x'; length])).unwrap()
    };
    let mut h2 = served.h2().await;
    for length in [0, 1, 99_999, 100_000] {
        let (status, body) = text(h2.send_request(post(length)).await.unwrap()).await;
        assert_eq!((status.as_u16(), body.len()), (200, length));
    }
    let (status, body) = text(h2.send_request(post(100_001)).await.unwrap()).await;
    assert_eq!(status.as_u16(), 413);
    assert!(body.contains("longer than 100000 bytes"), "{body}");
    let response = h2.send_request(get("https://localhost/segments")).await.unwrap();
    assert_eq!(response.headers()["content-length"], "300002");
    assert_eq!(text(response).await.1.trim().len(), 300_002);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_streams_ends_and_notices_that_the_client_is_gone() {
    let served = serve(Limits::default()).await;
    let mut h2 = served.h2().await;
    let (_, body) = text(h2.send_request(get("https://localhost/watch?n=5000")).await.unwrap()).await;
    let numbers: Vec<u64> = body
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["n"].as_u64().unwrap())
        .collect();
    assert_eq!(numbers, (0..5000).collect::<Vec<_>>());
    let endless = h2.send_request(get("https://localhost/watch")).await.unwrap();
    let mut h1 = served.h1().await;
    let other = h1.send_request(get("/watch")).await.unwrap();
    for mut body in [endless.into_body(), other.into_body()] {
        timeout(PATIENCE, body.frame()).await.unwrap().unwrap().unwrap();
    }
    drop(h1);
    served.until("abandoned", |counts| counts.abandoned == 2).await;
    timeout(PATIENCE, async {
        while served.handler.gone.load(Ordering::SeqCst) < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .expect("both producers learn it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_ends_its_request_only() {
    let served = serve(Limits::default()).await;
    let mut h2 = served.h2().await;
    assert!(h2.send_request(get("https://localhost/panic")).await.is_err());
    let (status, _) = text(h2.send_request(get("https://localhost/who")).await.unwrap()).await;
    assert_eq!(status.as_u16(), 200, "the same connection goes on");
    assert!(served.h1().await.send_request(get("/panic")).await.is_err());
    assert_eq!(text(served.h1().await.send_request(get("/who")).await.unwrap()).await.0.as_u16(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_lets_requests_finish_and_cuts_what_does_not_end() {
    let served = serve(Limits::default()).await;
    let (mut first, mut second) = (served.h2().await, served.h1().await);
    let slow =
        tokio::spawn(
            async move { text(first.send_request(get("https://localhost/slow")).await.unwrap()).await },
        );
    let mut watch = second.send_request(get("/watch")).await.unwrap();
    watch.frame().await.unwrap().unwrap();
    served.until("requests", |counts| counts.requests == 2).await;
    let address = served.front.address();
    let (drained, rest) = tokio::join!(served.front.shutdown(PATIENCE), watch.into_body().collect());
    assert!(drained, "everything ended by itself");
    rest.expect("the watch was told to end and ended properly");
    assert_eq!(slow.await.unwrap().1, "\"slow\"\n");
    assert!(tokio::net::TcpStream::connect(address).await.is_err());

    let served = serve(Limits::default()).await;
    let mut client = served.h2().await;
    let forever =
        tokio::spawn(async move { client.send_request(get("https://localhost/forever")).await.is_err() });
    served.until("requests", |counts| counts.requests == 1).await;
    assert!(!served.front.shutdown(Duration::from_millis(50)).await);
    assert!(timeout(PATIENCE, forever).await.unwrap().unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_chance_of_goaway_moves_connections_without_losing_requests() {
    let served = serve(Limits { goaway_per_million: 20_000, ..Limits::default() }).await;
    let mut client = served.h2().await;
    let mut answered = 0;
    while answered < 1000 {
        match client.send_request(get("https://localhost/who")).await {
            Ok(response) => {
                assert_eq!(text(response).await.0.as_u16(), 200);
                answered += 1;
            }
            // The connection was told to go before the request was sent on it.
            Err(_) => client = served.h2().await,
        }
    }
    let counts = served.front.counts();
    assert_eq!((counts.requests, counts.abandoned), (1000, 0), "what arrived was answered: {counts:?}");
    assert!(counts.goaway_chosen > 0 && counts.accepted <= counts.goaway_chosen + 1, "{counts:?}");
}

fn websocket_request(path: &str, protocol: Option<&str>) -> http::Request<Full<Bytes>> {
    let mut request = get(path);
    let headers = request.headers_mut();
    headers.insert("connection", "Upgrade".parse().unwrap());
    headers.insert("upgrade", "websocket".parse().unwrap());
    headers.insert("sec-websocket-version", "13".parse().unwrap());
    headers.insert("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==".parse().unwrap());
    if let Some(protocol) = protocol {
        headers.insert("sec-websocket-protocol", protocol.parse().unwrap());
    }
    request
}

async fn websocket(
    sender: &mut http1::SendRequest<Full<Bytes>>,
    path: &str,
    protocol: Option<&str>,
) -> WebSocketStream<TokioIo<hyper::upgrade::Upgraded>> {
    let response = sender.send_request(websocket_request(path, protocol)).await.unwrap();
    assert_eq!(response.status().as_u16(), 101);
    assert_eq!(response.headers().get("sec-websocket-protocol").map(|name| name.to_str().unwrap()), protocol);
    let io = TokioIo::new(hyper::upgrade::on(response).await.unwrap());
    WebSocketStream::from_raw_socket(io, Role::Client, None).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_over_websocket_is_a_message_for_each_event() {
    let served = serve(Limits::default()).await;
    let mut socket = websocket(&mut served.h1().await, "/watch?n=3", None).await;
    for number in 0..3 {
        let Message::Text(text) = socket.next().await.unwrap().unwrap() else { panic!("text") };
        assert_eq!(text.trim(), format!("{{\"type\":\"ADDED\",\"n\":{number}}}"));
    }
    assert!(matches!(socket.next().await, Some(Ok(Message::Close(_)))));
    let mut socket = websocket(&mut served.h1().await, "/watch", None).await;
    socket.next().await.unwrap().unwrap();
    drop(socket);
    timeout(PATIENCE, async {
        while served.handler.gone.load(Ordering::SeqCst) < 1 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .expect("the producer learns that the client is gone");
    served.until("closed", |counts| counts.open == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_over_websocket_in_v5_ends_its_input_by_a_close() {
    let served = serve(Limits::default()).await;
    let path = "/x/exec?stdin=true&stdout=true&stderr=true";
    let mut socket = websocket(&mut served.h1().await, path, Some("v5.channel.k8s.io")).await;
    socket.send(Message::binary(&b"\x00hello"[..])).await.unwrap();
    socket.send(Message::binary(&b"\xff\x00"[..])).await.unwrap();
    let mut got = Vec::new();
    loop {
        match timeout(PATIENCE, socket.next()).await.unwrap().unwrap().unwrap() {
            Message::Binary(bytes) => got.push(bytes),
            Message::Close(_) => break,
            other => panic!("{other:?}"),
        }
    }
    let expected: [&[u8]; 3] = [b"\x01HELLO", b"\x02bye\n", b"\x03{\"metadata\":{},\"status\":\"Success\"}"];
    assert_eq!(got, expected);
    let refused =
        served.h1().await.send_request(websocket_request(path, Some("v9.channel.k8s.io"))).await.unwrap();
    assert_eq!(refused.status().as_u16(), 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_over_http2_is_refused() {
    let served = serve(Limits::default()).await;
    let mut h2 = served.h2().await;
    let (status, _) = text(h2.send_request(get("https://localhost/x/exec")).await.unwrap()).await;
    assert_eq!(status.as_u16(), 400);
}

/// Forwards everything to another front.
struct Forwarding(TlsBackend);

impl Handler for Forwarding {
    async fn handle(self: std::sync::Arc<Self>, request: Request) -> Reply {
        let target = request.head.uri.path_and_query().unwrap().clone();
        let by = ForwardedBy { client: request.peer.address.ip(), prefix: "/".to_owned() };
        let host = "backend".parse().unwrap();
        match forward(request, &self.0, target, host, &by, ProxyLimits::default()).await {
            Ok(reply) => reply,
            Err(error) => Reply::full(error.status(), "text/plain", error.to_string().into()),
        }
    }

    fn refuse(&self, refusal: &Refusal) -> http::Response<Bytes> {
        http::Response::builder().status(refusal.status()).body(Bytes::new()).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_watches_and_upgrades_pass_a_proxy() {
    let mut served = serve(Limits::default()).await;
    let backend = TlsBackend {
        address: served.front.address().to_string(),
        server_name: "localhost".try_into().unwrap(),
        tls: served.pki.client_config(None, b"http/1.1"),
    };
    let config = served.pki.front_config(Limits::default());
    let handler = std::sync::Arc::new(Forwarding(backend));
    let runtime = tokio::runtime::Handle::current();
    let proxy =
        trireme_http::Front::start(([127, 0, 0, 1], 0).into(), config, handler, &runtime).await.unwrap();
    let behind = std::mem::replace(&mut served.front, proxy);

    let mut h2 = served.h2().await;
    let post = http::Request::post("https://localhost/echo").body(Full::from(vec![b'x'; 200_000])).unwrap();
    assert_eq!(text(h2.send_request(post).await.unwrap()).await.1.len(), 200_000);
    let (_, body) = text(h2.send_request(get("https://localhost/watch?n=100")).await.unwrap()).await;
    assert_eq!(body.lines().count(), 100);
    let path = "/x/exec?stdin=true&stdout=true";
    let mut socket = websocket(&mut served.h1().await, path, Some("v5.channel.k8s.io")).await;
    socket.send(Message::binary(&b"\x00through"[..])).await.unwrap();
    let answer = timeout(PATIENCE, socket.next()).await.unwrap().unwrap().unwrap();
    assert_eq!(answer, Message::binary(&b"\x01THROUGH"[..]));
    drop(socket);
    assert!(behind.shutdown(PATIENCE).await, "the backend's connections end with the client's");
    let (status, body) = text(h2.send_request(get("https://localhost/who")).await.unwrap()).await;
    assert_eq!(status.as_u16(), 503, "{body}");
}
