//! kubectl against a live server: `session.txt`, then every kind that the server lists.
//!
//! Uses the kubectl on PATH, and those that `TRIREME_KUBECTL` names (paths separated by colons). Without any the test
//! says SKIPPED and why, and passes.

mod runner;
mod script;
#[path = "../support/mod.rs"]
mod support;

use std::path::PathBuf;

use runner::{Kubectl, Outcome};
use script::Step;
use support::Cluster;

/// Most failing steps that are shown of one kubectl.
const SHOWN_LIMIT: usize = 20;

#[test]
fn every_kubectl_gets_through_the_session() {
    let programs = programs();
    if programs.is_empty() {
        println!("SKIPPED: no kubectl on PATH, and TRIREME_KUBECTL names none");
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let kubeconfig = folder.path().join("kubeconfig");
    let flag = format!("--kubeconfig={}", kubeconfig.display());
    let cluster = Cluster::start_at(&folder.path().join("data"), 1, 0, &["--components=api", &flag]);
    let steps = script::parse(include_str!("session.txt")).expect("the session reads");
    let mut failed = Vec::new();
    for (at, program) in programs.iter().enumerate() {
        let name = format!("session{at}");
        let home = folder.path().join(&name);
        let kubectl = Kubectl::new(program, &kubeconfig, &home, &name).expect("kubectl tells its version");
        let objects = include_str!("objects.yaml").replace("NS", &name);
        std::fs::write(home.join("objects.yaml"), objects).expect("a file");
        let before = failed.len();
        let run = session(&kubectl, &steps, &mut failed) + every_kind(&kubectl, &mut failed);
        println!("kubectl 1.{}: {} of {run} steps", kubectl.minor, run - (failed.len() - before));
    }
    drop(cluster);
    let shown: Vec<String> = failed.iter().take(SHOWN_LIMIT).cloned().collect();
    assert!(failed.is_empty(), "{} steps failed:\n{}", failed.len(), shown.join("\n"));
}

fn programs() -> Vec<PathBuf> {
    let named = std::env::var_os("TRIREME_KUBECTL").unwrap_or_default();
    let mut found: Vec<PathBuf> = std::env::split_paths(&named).filter(|p| p.is_file()).collect();
    let path = std::env::var_os("PATH").unwrap_or_default();
    found.extend(std::env::split_paths(&path).map(|folder| folder.join("kubectl")).find(|p| p.is_file()));
    found
}

/// Runs the script; gives the number of steps run.
fn session(kubectl: &Kubectl, steps: &[Step], failed: &mut Vec<String>) -> usize {
    let mut run = 0;
    for step in steps.iter().filter(|step| step.is_for(kubectl.minor)) {
        run += 1;
        let outcome = kubectl.run(&step.arguments, &step.input, &step.environment);
        if let Some(why) = judge(step, &outcome, &kubectl.name) {
            failed.push(format!("kubectl 1.{} {}: {why}", kubectl.minor, step.arguments.join(" ")));
        }
    }
    run
}

fn judge(step: &Step, outcome: &Outcome, name: &str) -> Option<String> {
    let tail = format!("\n  out: {}\n  err: {}", outcome.out.trim_end(), outcome.err.trim_end());
    if outcome.code != step.exit {
        return Some(format!("exit {} instead of {}{tail}", outcome.code, step.exit));
    }
    let named = |text: &String| text.replace("NS", name);
    if let Some(text) = step.out.iter().map(named).find(|text| !outcome.out.contains(text)) {
        return Some(format!("lacks {text:?}{tail}"));
    }
    if let Some(text) = step.not_out.iter().map(named).find(|text| outcome.out.contains(text)) {
        return Some(format!("has {text:?}{tail}"));
    }
    let lacking = step.err.iter().map(named).find(|text| !outcome.err.contains(text));
    lacking.map(|text| format!("standard error lacks {text:?}{tail}"))
}

/// Lists and explains every kind that the server names.
fn every_kind(kubectl: &Kubectl, failed: &mut Vec<String>) -> usize {
    let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let list = kubectl.run(&words("api-resources --verbs=list -o wide --no-headers"), "", &[]);
    let mut run = 0;
    for line in list.out.lines() {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let Some(version) = columns.iter().position(|c| c.ends_with("v1") || c.contains("/v")) else {
            continue;
        };
        let (plural, api_version) = (columns[0], columns[version]);
        let group = api_version.split_once('/').map_or("", |(group, _)| group);
        let full = if group.is_empty() { plural.to_owned() } else { format!("{plural}.{group}") };
        let asked = [
            (format!("get {full} -A"), String::new()),
            (format!("explain {plural} --api-version={api_version}"), "KIND:".to_owned()),
        ];
        for (command, expected) in asked {
            run += 1;
            let outcome = kubectl.run(&words(&command), "", &[]);
            if outcome.code != 0 || !outcome.out.contains(&expected) {
                failed.push(format!("kubectl 1.{} {command}: {}{}", kubectl.minor, outcome.out, outcome.err));
            }
        }
    }
    if run == 0 {
        failed.push(format!("kubectl 1.{}: no kinds listed: {}{}", kubectl.minor, list.out, list.err));
    }
    run
}
