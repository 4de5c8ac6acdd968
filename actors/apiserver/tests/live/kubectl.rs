//! kubectl's streams through the API server to a kubelet in the process.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::Command;
use tokio::time::timeout;
use trireme_http::remote_command::StreamTransport;
use trireme_http::websocket::ChannelProtocol;

use super::fake_kubelet::FakeKubelet;
use super::kit::Api;
use super::streams::world;

/// How long one command may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// The kubectl on PATH, and those that `TRIREME_KUBECTL` names (paths separated by colons).
fn programs() -> Vec<PathBuf> {
    let named = std::env::var_os("TRIREME_KUBECTL").unwrap_or_default();
    let mut found: Vec<PathBuf> = std::env::split_paths(&named).filter(|p| p.is_file()).collect();
    let path = std::env::var_os("PATH").unwrap_or_default();
    found.extend(std::env::split_paths(&path).map(|folder| folder.join("kubectl")).find(|p| p.is_file()));
    found
}

fn kubectl(program: &Path, kubeconfig: &Path) -> Command {
    let mut command = Command::new(program);
    let home = kubeconfig.parent().expect("a file in a folder");
    command.env("HOME", home).env("KUBECONFIG", kubeconfig).kill_on_drop(true);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Whether a program knows WebSockets for all streams, as those since 1.31 do.
async fn knows_websockets(program: &Path, kubeconfig: &Path) -> bool {
    let (_, text) = run(kubectl(program, kubeconfig).args(["version", "--client", "-o", "json"]), "").await;
    let version: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
    let minor = version["clientVersion"]["minor"].as_str().unwrap_or_default();
    minor.trim_end_matches('+').parse::<u32>().unwrap() >= 31
}

async fn run(command: &mut Command, input: &str) -> (bool, String) {
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).await.unwrap();
    drop(stdin);
    let output = timeout(PATIENCE, child.wait_with_output()).await.expect("kubectl ends").unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

#[test]
fn kubectl_logs_exec_attach_and_forwards() {
    let programs = programs();
    if programs.is_empty() {
        println!("SKIPPED: no kubectl on PATH, and TRIREME_KUBECTL names none");
        return;
    }
    Api::start().run(async |api| {
        world(api).await;
        let kubelet = Arc::new(FakeKubelet::default());
        api.server().set_node_dialer(kubelet.clone());
        let config = api.kubeconfig();
        for program in &programs {
            streams(program, &config, &kubelet).await;
        }
    });
}

async fn streams(program: &Path, config: &Path, kubelet: &FakeKubelet) {
    kubelet.transports.lock().clear();
    let (done, text) = run(kubectl(program, config).args(["logs", "p", "-f"]), "").await;
    assert!(done && text == "line 0\nline 1\nline 2\n", "{text}");
    let (done, text) = run(kubectl(program, config).args(["logs", "two", "-c", "b"]), "").await;
    assert!(done && text.contains("a line"), "{text}");
    let new = knows_websockets(program, config).await;
    for websockets in if new { &["true", "false"][..] } else { &["false"] } {
        for verb in [&["exec", "-i", "p", "--", "cat"][..], &["attach", "-i", "p"]] {
            let mut command = kubectl(program, config);
            command.env("KUBECTL_REMOTE_COMMAND_WEBSOCKETS", websockets).args(verb);
            let (done, text) = run(&mut command, "hello there\n").await;
            assert!(done, "{verb:?}: {text}");
            assert!(text.contains("HELLO THERE\n") && text.contains("bye\n"), "{websockets}: {text}");
        }
        forward(program, config, websockets).await;
    }
    let v5 = StreamTransport::WebSocket(ChannelProtocol::V5);
    let spdy = StreamTransport::Spdy { version: 4 };
    let mut wanted = vec![spdy, spdy, StreamTransport::Spdy { version: 1 }];
    if new {
        wanted.splice(0..0, [v5, v5, StreamTransport::SpdyTunnel]);
    }
    assert_eq!(*kubelet.transports.lock(), wanted, "no fallback to another transport");
}

async fn forward(program: &Path, config: &Path, websockets: &str) {
    let mut command = kubectl(program, config);
    command.env("KUBECTL_PORT_FORWARD_WEBSOCKETS", websockets).args([
        "port-forward",
        "--address=127.0.0.1",
        "pod/p",
        ":8080",
    ]);
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap();
    let Some(line) = line else {
        let mut text = String::new();
        child.stderr.take().unwrap().read_to_string(&mut text).await.unwrap();
        panic!("websockets {websockets}: {text}");
    };
    let port = line.split("127.0.0.1:").nth(1).and_then(|rest| rest.split(' ').next()).expect("a port");
    let mut socket = tokio::net::TcpStream::connect(format!("127.0.0.1:{port}")).await.unwrap();
    socket.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    timeout(PATIENCE, socket.read_to_string(&mut answer)).await.unwrap().unwrap();
    assert!(answer.ends_with("port 8080"), "websockets {websockets}: {answer:?}");
    child.kill().await.unwrap();
}
