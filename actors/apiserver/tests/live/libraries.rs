//! Logs and commands of client libraries in other languages, up to a kubelet in the process.
//!
//! `TRIREME_PYTHON` names a Python that has the package `kubernetes`, `TRIREME_NODE_MODULES` a folder in which
//! `@kubernetes/client-node` is installed. What is absent is said (SKIPPED) and passed over.

use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::Arc;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;
use trireme_http::remote_command::StreamTransport;

use super::fake_kubelet::FakeKubelet;
use super::kit::Api;
use super::streams::world;

/// How long one script may take.
const PATIENCE: Duration = Duration::from_secs(120);

const PYTHON: &str = r#"
from kubernetes import client, config
from kubernetes.stream import stream

config.load_kube_config()
core = client.CoreV1Api()
assert core.read_namespaced_pod_log("p", "default", tail_lines=2) == "a line\nasked tailLines=2\n"
lines = core.read_namespaced_pod_log("p", "default", follow=True, _preload_content=False)
assert b"".join(lines.stream()) == b"line 0\nline 1\nline 2\n"
flags = {"stdin": False, "stdout": True, "stderr": True, "tty": False}
run = core.connect_get_namespaced_pod_exec
text = stream(run, "p", "default", command=["ls"], **flags)
assert "no input" in text and "bye" in text, text
open_stream = stream(run, "p", "default", command=["ls"], _preload_content=False, **flags)
open_stream.run_forever(timeout=30)
assert open_stream.returncode == 0, open_stream.returncode
print("all steps passed")
"#;

const JAVASCRIPT: &str = r#"
import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import * as k8s from '@kubernetes/client-node';

const config = new k8s.KubeConfig();
config.loadFromDefault();
function collected() {
  const stream = new PassThrough();
  const pieces = [];
  stream.on('data', (piece) => pieces.push(piece));
  return { stream, text: () => Buffer.concat(pieces).toString() };
}
const log = collected();
await new Promise((resolve, reject) => {
  log.stream.on('end', resolve);
  new k8s.Log(config).log('default', 'p', 'c', log.stream, { follow: true }).catch(reject);
});
assert.equal(log.text(), 'line 0\nline 1\nline 2\n');
const [out, err] = [collected(), collected()];
const status = await new Promise((resolve, reject) => {
  const exec = new k8s.Exec(config);
  exec.exec('default', 'p', 'c', ['ls'], out.stream, err.stream, null, false, resolve).catch(reject);
});
assert.equal(status.status, 'Success');
assert.equal(out.text(), 'no input\n');
assert.equal(err.text(), 'bye\n');
console.log('all steps passed');
process.exit(0);
"#;

fn judge(output: &Output) {
    let text = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    let text = String::from_utf8_lossy(&text);
    assert!(output.status.success() && text.contains("all steps passed"), "{text}");
}

fn run_script(script: &Path, program: PathBuf) {
    let script = script.to_owned();
    Api::start().run(async |api| {
        world(api).await;
        let kubelet = Arc::new(FakeKubelet::default());
        api.server().set_node_dialer(kubelet.clone());
        let mut command = Command::new(&program);
        command.arg(&script).env("KUBECONFIG", api.kubeconfig()).kill_on_drop(true);
        judge(&timeout(PATIENCE, command.output()).await.expect("the script ends").unwrap());
        let all = kubelet.transports.lock().clone();
        assert!(all.iter().any(|transport| matches!(transport, StreamTransport::WebSocket(_))), "{all:?}");
    });
}

#[test]
fn python_reads_logs_and_runs_commands() {
    let python = std::env::var_os("TRIREME_PYTHON").map_or_else(|| PathBuf::from("python3"), PathBuf::from);
    let has = std::process::Command::new(&python).args(["-c", "import kubernetes"]).output();
    if !has.is_ok_and(|output| output.status.success()) {
        println!("SKIPPED: {} has no package kubernetes (TRIREME_PYTHON names another)", python.display());
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("streams.py");
    std::fs::write(&script, PYTHON.trim_start()).unwrap();
    run_script(&script, python);
}

#[test]
fn javascript_reads_logs_and_runs_commands() {
    let modules = std::env::var_os("TRIREME_NODE_MODULES").map(PathBuf::from);
    let package = modules.filter(|folder| folder.join("node_modules/@kubernetes/client-node").is_dir());
    let Some(modules) = package else {
        println!("SKIPPED: TRIREME_NODE_MODULES names no folder with node_modules/@kubernetes/client-node");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(modules.join("node_modules"), folder.path().join("node_modules")).unwrap();
    let script = folder.path().join("streams.mjs");
    std::fs::write(&script, JAVASCRIPT).unwrap();
    let mut probe = std::process::Command::new("node");
    probe
        .args(["-e", "import('@kubernetes/client-node').catch(() => process.exit(1))"])
        .current_dir(folder.path());
    if !probe.output().is_ok_and(|output| output.status.success()) {
        println!("SKIPPED: no node on PATH that loads @kubernetes/client-node of {}", modules.display());
        return;
    }
    run_script(&script, PathBuf::from("node"));
}
