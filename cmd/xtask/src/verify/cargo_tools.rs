//! Checks that cargo's own tools make: formatting and lints.

use crate::command::{capture, cargo_in};
use crate::report::Outcome;
use crate::workspace::Workspace;
use anyhow::Result;

/// Most lines of a tool's output that are shown; the first ones name the place.
const MAX_LINES: usize = 80;

/// `cargo fmt --check`, listing the files that differ.
pub(crate) fn format(workspace: &Workspace) -> Result<Outcome> {
    judge(workspace, &["fmt", "--all", "--", "--check", "-l"], "run `cargo xtask fix`")
}

/// `cargo clippy` over every target with warnings denied.
pub(crate) fn clippy(workspace: &Workspace) -> Result<Outcome> {
    let arguments = ["clippy", "--quiet", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"];
    judge(workspace, &arguments, "correct the code; an `allow` needs a reason")
}

fn judge(workspace: &Workspace, arguments: &[&str], remedy: &str) -> Result<Outcome> {
    let captured = capture(&mut cargo_in(workspace.root(), arguments))?;
    let command = format!("cargo {}", arguments.join(" "));
    if captured.success {
        return Ok(Outcome::Ok(command));
    }
    let shown: Vec<&str> = captured.text.lines().take(MAX_LINES).collect();
    Ok(Outcome::Fail(vec![format!("{command} failed; {remedy}\n{}", shown.join("\n"))]))
}
