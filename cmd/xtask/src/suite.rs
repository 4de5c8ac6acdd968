//! `test`: the suite that the README names.

use crate::command::{cargo_in, has_cargo_tool, stream};
use crate::mutants;
use crate::report::headline;
use crate::workspace::Workspace;
use anyhow::Result;

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
    let docs = step("documentation tests", &["test", "--workspace", "--locked", "--no-fail-fast", "--doc"])?;
    if !with_mutants {
        return Ok(tests && docs);
    }
    if !tests {
        headline("planted bugs: left out, because the tests fail without them already");
        return Ok(false);
    }
    Ok(mutants::run(workspace, mutants::SPEC_FILE, &[])? && docs)
}
