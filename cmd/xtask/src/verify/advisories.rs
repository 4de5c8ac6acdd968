//! Security advisories, by cargo-deny where it and its database are at hand.

use super::policy::{AdvisoryDecision, DENY_FILE, Deny};
use crate::command::{capture, cargo_in, has_cargo_tool};
use crate::report::Outcome;
use crate::workspace::Workspace;
use anyhow::Result;
use std::collections::BTreeSet;
use std::env;
use std::path::PathBuf;

/// The check. Decisions on crates that left the graph fail even without cargo-deny.
pub(crate) fn run(workspace: &Workspace) -> Result<Outcome> {
    let deny: Deny = workspace.read_toml(DENY_FILE)?;
    let names = workspace.metadata()?.packages.iter().map(|package| package.name.to_string()).collect();
    let stale = stale(&deny.advisories.ignore, &names);
    if !stale.is_empty() {
        return Ok(Outcome::Fail(stale));
    }
    if !has_cargo_tool(workspace.root(), "deny") {
        return Ok(Outcome::Skipped(
            "cargo-deny is not installed (`cargo install cargo-deny --locked`)".to_owned(),
        ));
    }
    let database = cargo_home().join("advisory-dbs");
    if !database.is_dir() {
        let why = "cargo-deny has no advisory database here (`cargo deny fetch` gets it)";
        return Ok(Outcome::Skipped(why.to_owned()));
    }
    let arguments = ["deny", "--locked", "check", "--config", DENY_FILE, "--disable-fetch", "advisories"];
    let captured = capture(&mut cargo_in(workspace.root(), &arguments))?;
    let note = format!("cargo-deny; {} decisions in {DENY_FILE}", deny.advisories.ignore.len());
    Ok(if captured.success { Outcome::Ok(note) } else { Outcome::Fail(vec![captured.text]) })
}

fn cargo_home() -> PathBuf {
    let home = || PathBuf::from(env::var_os("HOME").unwrap_or_default()).join(".cargo");
    env::var_os("CARGO_HOME").map_or_else(home, PathBuf::from)
}

/// Decisions that no longer decide anything, or do not say what they decide.
fn stale(decisions: &[AdvisoryDecision], names: &BTreeSet<String>) -> Vec<String> {
    let mut findings = Vec::new();
    for decision in decisions {
        let id = &decision.id;
        match decision.reason.split_once(": ") {
            Some((name, _)) if names.contains(name) => {}
            Some((name, _)) => findings.push(format!("{DENY_FILE}: {name} left the graph: remove {id}")),
            None => findings.push(format!("{DENY_FILE}: the reason of {id} must read `<crate>: <why>`")),
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decision_lives_as_long_as_its_crate() {
        let decision = |reason: &str| AdvisoryDecision { id: "X-1".to_owned(), reason: reason.to_owned() };
        let names = BTreeSet::from(["bincode".to_owned()]);
        assert!(stale(&[decision("bincode: pinned")], &names).is_empty());
        assert!(stale(&[decision("gone: pinned")], &names)[0].contains("left the graph"));
        assert!(stale(&[decision("because")], &names)[0].contains("must read"));
    }
}
