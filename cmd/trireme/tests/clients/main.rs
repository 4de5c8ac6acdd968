//! Client libraries of other languages against a live server: `clients.py` with the Python client, `clients.mjs` with the
//! JavaScript client.
//!
//! `TRIREME_PYTHON` names a Python that has the package `kubernetes`, `TRIREME_NODE_MODULES` a folder in which
//! `@kubernetes/client-node` is installed. What is absent is said (SKIPPED) and passed over.
#![allow(clippy::print_stdout)]

#[path = "../support/mod.rs"]
mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use support::Cluster;

fn cluster(folder: &Path) -> (Cluster, PathBuf) {
    let kubeconfig = folder.join("kubeconfig");
    let flag = format!("--kubeconfig={}", kubeconfig.display());
    (Cluster::start_at(&folder.join("data"), 1, 0, &["--components=api", &flag]), kubeconfig)
}

fn judge(output: &Output) {
    let text = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    let text = String::from_utf8_lossy(&text);
    assert!(output.status.success() && text.contains("all steps passed"), "{text}");
    println!("{text}");
}

#[test]
fn the_python_client() {
    let python = std::env::var_os("TRIREME_PYTHON").unwrap_or_else(|| "python3".into());
    let has = Command::new(&python).args(["-c", "import kubernetes"]).output();
    if !has.is_ok_and(|output| output.status.success()) {
        println!("SKIPPED: {} has no package kubernetes (TRIREME_PYTHON names another)", python.display());
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let script = folder.path().join("clients.py");
    std::fs::write(&script, include_str!("clients.py")).expect("a file");
    let (cluster, kubeconfig) = cluster(folder.path());
    let output =
        Command::new(&python).arg(&script).env("KUBECONFIG", &kubeconfig).output().expect("python runs");
    drop(cluster);
    judge(&output);
}

#[test]
fn the_javascript_client() {
    let modules = std::env::var_os("TRIREME_NODE_MODULES").map(PathBuf::from);
    let package = modules.filter(|folder| folder.join("node_modules/@kubernetes/client-node").is_dir());
    let Some(modules) = package else {
        println!("SKIPPED: TRIREME_NODE_MODULES names no folder with node_modules/@kubernetes/client-node");
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    // Modules are looked for beside the script.
    std::os::unix::fs::symlink(modules.join("node_modules"), folder.path().join("node_modules"))
        .expect("a link");
    let script = folder.path().join("clients.mjs");
    std::fs::write(&script, include_str!("clients.mjs")).expect("a file");
    let mut probe = Command::new("node");
    probe
        .args(["-e", "import('@kubernetes/client-node').catch(() => process.exit(1))"])
        .current_dir(folder.path());
    if !probe.output().is_ok_and(|output| output.status.success()) {
        println!("SKIPPED: no node on PATH that loads @kubernetes/client-node of {}", modules.display());
        return;
    }
    let (cluster, kubeconfig) = cluster(folder.path());
    let output =
        Command::new("node").arg(&script).env("KUBECONFIG", &kubeconfig).output().expect("node runs");
    drop(cluster);
    judge(&output);
}
