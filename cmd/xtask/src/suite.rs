//! `test`: the suite that the README names.

mod skipped;

use crate::command::{cargo_in, has_cargo_tool, stream};
use crate::mutants;
use crate::report::headline;
use crate::workspace::Workspace;
use anyhow::Result;
use std::process::Command;
use std::time::Duration;

/// How long the suite plants bugs: a cold build, the tests and this stay below an hour on two cores.
const PLANTING_LIMIT: Duration = Duration::from_secs(10 * 60);

/// Runs the tests, the documentation tests and, when asked, the planted bugs; whether all passed.
pub(crate) fn run(workspace: &Workspace, with_mutants: bool) -> Result<bool> {
    let nextest = has_cargo_tool(workspace.root(), "nextest");
    let step = |title: &str, arguments: &[&str]| {
        headline(title);
        stream(&mut cargo_in(workspace.root(), arguments))
    };
    let tests = if nextest {
        step("tests (cargo nextest)", &["nextest", "run", "--workspace", "--locked", "--no-fail-fast"])?
    } else {
        let targets = ["--lib", "--bins", "--tests", "--examples"];
        let arguments = [&["test", "--workspace", "--locked", "--no-fail-fast"], targets.as_slice()].concat();
        step("tests (cargo test; cargo nextest is not installed)", &arguments)?
    };
    if nextest {
        skipped::report(&workspace.root().join(skipped::RESULTS));
    }
    let docs = step("documentation tests", &["test", "--workspace", "--locked", "--no-fail-fast", "--doc"])?;
    if !with_mutants {
        return Ok(tests && docs);
    }
    if !tests {
        headline("planted bugs: left out, because the tests fail without them already");
        return Ok(false);
    }
    let budget = mutants::Budget { limit: PLANTING_LIMIT, first: commit_number(workspace) };
    Ok(mutants::run(workspace, mutants::SPEC_FILE, &[], Some(budget))? && docs)
}

/// A number that differs from commit to commit; 0 outside of a repository.
fn commit_number(workspace: &Workspace) -> usize {
    let head = Command::new("git").args(["rev-parse", "HEAD"]).current_dir(workspace.root()).output();
    let text = head.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.get(..8).and_then(|start| usize::from_str_radix(start, 16).ok()).unwrap_or(0)
}
