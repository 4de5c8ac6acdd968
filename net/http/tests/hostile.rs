//! Clients that mean harm: every attack ends in a typed answer or a counted cut, and others are served meanwhile.
#![allow(clippy::unwrap_used)]

mod kit;

use std::time::Duration;

use kit::{PATIENCE, get, serve, text};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use trireme_http::Limits;

fn quick() -> Limits {
    Limits {
        handshake: Duration::from_millis(300),
        header_read: Duration::from_millis(300),
        idle: Duration::from_millis(600),
        write_stall: Duration::from_millis(500),
        body_idle: Duration::from_millis(300),
        close: Duration::from_millis(300),
        ..Limits::default()
    }
}

/// All that the server says until it ends the connection.
async fn rest(io: &mut (impl AsyncReadExt + Unpin)) -> String {
    let mut bytes = Vec::new();
    // A reset after the answer is an end as well.
    let _ = timeout(PATIENCE, io.read_to_end(&mut bytes)).await.expect("the server ends it");
    String::from_utf8_lossy(&bytes).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn half_open_connections_and_slow_heads_are_cut() {
    let served = serve(quick()).await;
    let mut silent = TcpStream::connect(served.front.address()).await.unwrap();
    let mut dripping = served.tls(None, b"http/1.1").await;
    let mut idle = served.tls(None, b"http/1.1").await;
    let mut idle_h2 = served.tls(None, b"h2").await;
    let drip = tokio::spawn(async move {
        let head = b"GET /who HTTP/1.1\r\nhost: localhost\r\n";
        for byte in head.iter().chain(std::iter::repeat_n(&b'x', 10_000)) {
            if dripping.write_all(&[*byte]).await.is_err() || dripping.flush().await.is_err() {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        false
    });
    assert_eq!(rest(&mut silent).await, "");
    assert_eq!(rest(&mut idle).await, "");
    rest(&mut idle_h2).await;
    assert!(drip.await.unwrap(), "the drip was cut");
    served.until("all cut", |counts| counts.open == 0).await;
    let counts = served.front.counts();
    assert_eq!((counts.handshakes_slow, counts.cut_header_slow), (1, 1), "{counts:?}");
    assert!(counts.idle_closed >= 2, "{counts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn floods_of_headers_and_long_targets_get_typed_answers() {
    let served = serve(Limits { header_fields: 50, header_bytes: 16_384, uri_bytes: 8_000, ..quick() }).await;
    let many: String = (0..80).map(|number| format!("x-{number}: 1\r\n")).collect();
    let large = format!("x: {}\r\n", "y".repeat(17_000));
    let target = format!("/{}", "a".repeat(9_000));
    for (target, headers, status) in
        [("/who", many.as_str(), "431"), ("/who", &large, "431"), (&target, "", "414")]
    {
        let mut tls = served.tls(None, b"http/1.1").await;
        let head = format!("GET {target} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{headers}\r\n");
        tls.write_all(head.as_bytes()).await.unwrap();
        let answer = rest(&mut tls).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
        assert!(answer.contains("\"kind\":\"Status\""), "worded by the handler: {answer}");
    }
    // Without end: the library's own answer, and no memory.
    let mut tls = served.tls(None, b"http/1.1").await;
    tls.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
    let line = format!("x-y: {}\r\n", "z".repeat(1000));
    for _ in 0..1000 {
        if tls.write_all(line.as_bytes()).await.is_err() {
            break;
        }
    }
    rest(&mut tls).await;
    let mut h2 = served.h2().await;
    let mut request = get("https://localhost/who");
    for number in 0..80 {
        let name: http::HeaderName = format!("x-{number}").parse().unwrap();
        request.headers_mut().insert(name, "1".parse().unwrap());
    }
    assert_eq!(text(h2.send_request(request).await.unwrap()).await.0.as_u16(), 431);
    let long = get(&format!("https://localhost{target}"));
    assert_eq!(text(h2.send_request(long).await.unwrap()).await.0.as_u16(), 414);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_huge_announced_body_and_a_stopped_one_get_typed_answers() {
    let served = serve(quick()).await;
    for (length, status) in [("99999999999", "413"), ("100", "408")] {
        let mut tls = served.tls(None, b"http/1.1").await;
        let head = format!(
            "POST /echo HTTP/1.1\r\nhost: h\r\nconnection: close\r\ncontent-length: {length}\r\n\r\nabc"
        );
        tls.write_all(head.as_bytes()).await.unwrap();
        let answer = rest(&mut tls).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_takes_nothing_is_cut() {
    let served = serve(quick()).await;
    let mut tls = served.tls(None, b"http/1.1").await;
    tls.write_all(b"GET /big HTTP/1.1\r\nhost: h\r\n\r\n").await.unwrap();
    served.until("stalled", |counts| counts.cut_write_stalled == 1 && counts.open == 0).await;
    drop(tls);
}

#[tokio::test(flavor = "multi_thread")]
async fn rapid_resets_end_the_connection_and_nothing_else() {
    let served = serve(Limits { resets: 200, ..Limits::default() }).await;
    let mut good = served.h2().await;
    let bad = served.h2().await;
    let mut abandoned = 0;
    let start = tokio::time::Instant::now();
    loop {
        let mut bad = bad.clone();
        if bad.ready().await.is_err() {
            break;
        }
        // Dropping the response future resets the stream once the request is out.
        let request = tokio::spawn(async move { bad.send_request(get("https://localhost/forever")).await });
        tokio::time::sleep(Duration::from_millis(1)).await;
        request.abort();
        abandoned += 1;
        assert!(start.elapsed() < PATIENCE, "still connected after {abandoned}: {:?}", served.front.counts());
    }
    served.until("cut", |counts| counts.cut_resets == 1 && counts.open == 1).await;
    assert_eq!(text(good.send_request(get("https://localhost/who")).await.unwrap()).await.0.as_u16(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_beyond_the_limit_wait_for_a_place() {
    let served = serve(Limits { connections: 2, ..Limits::default() }).await;
    let (first, second) = (served.tls(None, b"http/1.1").await, served.tls(None, b"http/1.1").await);
    let waiting = served.tls(None, b"http/1.1");
    let mut waiting = std::pin::pin!(waiting);
    assert!(timeout(Duration::from_millis(200), &mut waiting).await.is_err(), "no place yet");
    assert_eq!(served.front.counts().open, 2);
    drop(first);
    timeout(PATIENCE, waiting).await.expect("a place came free");
    drop(second);
}
