//! The front with programs as clients: curl, python3, kubectl. A program that is not installed is named and passed over.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod kit;

use std::process::Stdio;

use kit::{PATIENCE, Served, serve};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::Command;
use tokio::time::timeout;
use trireme_http::Limits;
use trireme_http::remote_command::StreamTransport;
use trireme_http::websocket::ChannelProtocol;

async fn run(command: &mut Command, input: &str) -> Option<(bool, String)> {
    let name = command.as_std().get_program().to_string_lossy().into_owned();
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => {
            eprintln!("passed over: {name}: {error}");
            return None;
        }
    };
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).await.unwrap();
    drop(stdin);
    let output = timeout(PATIENCE, child.wait_with_output()).await.expect("it ends").unwrap();
    let text = [output.stdout, output.stderr].concat();
    Some((output.status.success(), String::from_utf8_lossy(&text).into_owned()))
}

fn kubectl(served: &Served, home: &std::path::Path) -> Command {
    let mut command = Command::new("kubectl");
    command
        .env("HOME", home)
        .env("KUBECONFIG", home.join("none"))
        .arg(format!("--server=https://127.0.0.1:{}", served.front.address().port()))
        // Without a credential kubectl asks for a user's name.
        .arg("--token=t")
        .arg("--insecure-skip-tls-verify");
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn curl_in_both_protocols_with_a_certificate() {
    let served = serve(Limits::default()).await;
    let (_dir, [ca, cert, key]) = served.pki.files("ann");
    for protocol in [&["--http1.1"][..], &["--http2"], &["--tls-max", "1.2"]] {
        let mut curl = Command::new("curl");
        curl.arg("-sS")
            .args(protocol)
            .arg("--cacert")
            .arg(&ca)
            .arg("--cert")
            .arg(&cert)
            .arg("--key")
            .arg(&key);
        let Some((success, text)) = run(curl.arg(served.url("/who")), "").await else { return };
        assert!(success && text == "\"ann of dev\"\n", "{protocol:?}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn python_keeps_a_connection_and_reads_a_watch() {
    const SCRIPT: &str = r#"
import http.client, ssl, sys
ca, cert, key, port = sys.argv[1:]
context = ssl.create_default_context(cafile=ca)
context.load_cert_chain(cert, key)
connection = http.client.HTTPSConnection("localhost", int(port), context=context, timeout=60)
for _ in range(3):
    connection.request("GET", "/who")
    assert connection.getresponse().read() == b'"ann of dev"\n'
connection.request("POST", "/echo", body=b"x" * 1000000)
assert len(connection.getresponse().read()) == 1000000
connection.request("POST", "/echo", body=b"x" * 4000000)
assert connection.getresponse().status == 413
connection.close()
connection.request("GET", "/watch?n=50")
assert len(connection.getresponse().read().splitlines()) == 50
print("done")
"#;
    let served = serve(Limits::default()).await;
    let (_dir, paths) = served.pki.files("ann");
    let mut python = Command::new("python3");
    python.args(["-c", SCRIPT]).args(&paths).arg(served.front.address().port().to_string());
    let Some((success, text)) = run(&mut python, "").await else { return };
    assert!(success && text == "done\n", "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_gets_a_raw_path() {
    let served = serve(Limits::default()).await;
    let home = tempfile::tempdir().unwrap();
    let Some((success, text)) = run(kubectl(&served, home.path()).args(["get", "--raw", "/who"]), "").await
    else {
        return;
    };
    assert!(success && text == "\"anonymous\"\n", "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_runs_a_command_over_websocket_and_over_spdy() {
    for websockets in ["true", "false"] {
        let served = serve(Limits::default()).await;
        let home = tempfile::tempdir().unwrap();
        let mut exec = kubectl(&served, home.path());
        exec.env("KUBECTL_REMOTE_COMMAND_WEBSOCKETS", websockets).args(["exec", "-i", "p", "--", "cat"]);
        let Some((success, text)) = run(&mut exec, "hello there\n").await else { return };
        assert!(success, "{text}");
        assert!(text.contains("HELLO THERE\n") && text.contains("bye\n"), "websockets {websockets}: {text}");
        let expected = match websockets {
            "true" => StreamTransport::WebSocket(ChannelProtocol::V5),
            _ => StreamTransport::Spdy { version: 4 },
        };
        assert_eq!(*served.handler.transports.lock(), [expected], "no fallback to the other one");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_forwards_a_port_over_a_tunnel_and_over_spdy() {
    for websockets in ["true", "false"] {
        let served = serve(Limits::default()).await;
        let home = tempfile::tempdir().unwrap();
        let mut command = kubectl(&served, home.path());
        command
            .env("KUBECTL_PORT_FORWARD_WEBSOCKETS", websockets)
            .args(["port-forward", "--address=127.0.0.1", "pod/p", ":80"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let Ok(mut child) = command.spawn() else { return };
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap();
        let Some(line) = line else {
            let mut text = String::new();
            child.stderr.take().unwrap().read_to_string(&mut text).await.unwrap();
            panic!("websockets {websockets}: {text}");
        };
        let port = line.split("127.0.0.1:").nth(1).and_then(|rest| rest.split(' ').next()).expect("a port");
        for _ in 0..3 {
            let mut socket = tokio::net::TcpStream::connect(format!("127.0.0.1:{port}")).await.unwrap();
            socket.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
            let mut answer = String::new();
            timeout(PATIENCE, socket.read_to_string(&mut answer)).await.unwrap().unwrap();
            assert!(answer.ends_with("port 80"), "websockets {websockets}: {answer:?}");
        }
        child.kill().await.unwrap();
        let expected = match websockets {
            "true" => StreamTransport::SpdyTunnel,
            _ => StreamTransport::Spdy { version: 1 },
        };
        assert_eq!(*served.handler.transports.lock(), [expected], "no fallback to the other one");
        served.until("closed", |counts| counts.open == 0).await;
    }
}
