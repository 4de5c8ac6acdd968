//! The gRPC health check (`grpc.health.v1.Health/Check`), spoken over hyper's HTTP/2: one request of one text field, one
//! answer of one number.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use trireme_kubelet_core::probe::ProbeOutcome;

use super::join;

/// Largest answer.
const ANSWER_LIMIT_BYTES: usize = 4 * 1024;
/// `SERVING`.
const SERVING: u64 = 1;
/// `UNIMPLEMENTED`, the gRPC status.
const UNIMPLEMENTED: &str = "12";

pub(super) async fn check(address: &str, port: u16, service: &str, limit: Duration) -> ProbeOutcome {
    let late = || {
        let seconds = limit.as_secs();
        ProbeOutcome::Failure(format!(
            "timeout: failed to connect service {:?} within {seconds}s",
            join(address, port)
        ))
    };
    tokio::time::timeout(limit, ask(address, port, service)).await.unwrap_or_else(|_| late())
}

async fn ask(address: &str, port: u16, service: &str) -> ProbeOutcome {
    let place = join(address, port);
    let failed =
        |error: String| ProbeOutcome::Failure(format!("error: failed to connect service {place:?}: {error}"));
    let stream = match TcpStream::connect((address, port)).await {
        Ok(stream) => stream,
        Err(error) => return failed(error.to_string()),
    };
    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
    let (mut sender, connection) = match handshake {
        Ok(pair) => pair,
        Err(error) => return failed(error.to_string()),
    };
    let request = hyper::Request::post(format!("http://{place}/grpc.health.v1.Health/Check"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("user-agent", "kube-probe/1.35")
        .body(Full::new(message(service)));
    let request = match request {
        Ok(request) => request,
        Err(error) => return ProbeOutcome::Unknown(error.to_string()),
    };
    let exchange = async {
        let answer = sender.send_request(request).await.map_err(|error| error.to_string())?;
        let status = |headers: &hyper::HeaderMap| {
            headers.get("grpc-status").and_then(|own| own.to_str().ok()).map(str::to_owned)
        };
        let early = status(answer.headers());
        let body = Limited::new(answer.into_body(), ANSWER_LIMIT_BYTES).collect().await;
        let body = body.map_err(|error| error.to_string())?;
        let code = body.trailers().and_then(status).or(early);
        Ok::<_, String>((code, body.to_bytes()))
    };
    let answered = tokio::select! {
        answered = exchange => answered,
        ended = connection => Err(ended.err().map_or("the connection ended".to_owned(), |error| error.to_string())),
    };
    match answered {
        Err(error) => failed(error),
        Ok((code, _)) if code.as_deref() == Some(UNIMPLEMENTED) => ProbeOutcome::Failure(
            "error: this server does not implement the grpc health protocol (grpc.health.v1.Health)"
                .to_owned(),
        ),
        Ok((code, _)) if code.as_deref().is_some_and(|code| code != "0") => {
            ProbeOutcome::Failure(format!("error: health rpc failed: status {}", code.unwrap_or_default()))
        }
        Ok((_, bytes)) => match serving_status(&bytes) {
            SERVING => ProbeOutcome::Success,
            other => {
                let name = ["UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"];
                let name = usize::try_from(other).ok().and_then(|at| name.get(at)).unwrap_or(&"UNKNOWN");
                ProbeOutcome::Failure(format!("service unhealthy (responded with {name:?})"))
            }
        },
    }
}

/// A gRPC frame with `HealthCheckRequest { service }`.
fn message(service: &str) -> Bytes {
    let mut body = BytesMut::new();
    if !service.is_empty() {
        body.extend_from_slice(&[0x0a]);
        let mut length = service.len();
        while length >= 0x80 {
            body.extend_from_slice(&[u8::try_from(length & 0x7f).expect("seven bits") | 0x80]);
            length >>= 7;
        }
        body.extend_from_slice(&[u8::try_from(length).expect("below 128")]);
        body.extend_from_slice(service.as_bytes());
    }
    let mut frame = BytesMut::new();
    frame.extend_from_slice(&[0]);
    frame.extend_from_slice(&u32::try_from(body.len()).unwrap_or(0).to_be_bytes());
    frame.extend_from_slice(&body);
    frame.freeze()
}

/// Field 1 of the framed `HealthCheckResponse`; 0 when it is not there.
fn serving_status(frame: &[u8]) -> u64 {
    match frame.get(5..) {
        Some([0x08, value, ..]) => u64::from(*value),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames() {
        assert_eq!(&message("")[..], [0, 0, 0, 0, 0]);
        assert_eq!(&message("ab")[..], [0, 0, 0, 0, 4, 0x0a, 2, b'a', b'b']);
        assert_eq!(serving_status(&[0, 0, 0, 0, 2, 8, 1]), 1);
        assert_eq!(serving_status(&[0, 0, 0, 0, 0]), 0);
    }
}
