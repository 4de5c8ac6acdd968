//! Running cargo and reading what it says.

use anyhow::{Context, Result};
use std::env;
use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, Stdio};

/// The cargo that runs this tool, or the one on PATH.
pub(crate) fn cargo() -> OsString {
    env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// What a captured command left behind.
pub(crate) struct Captured {
    /// Whether it ended with exit code 0.
    pub(crate) success: bool,
    /// Standard output, then standard error.
    pub(crate) text: String,
}

/// A cargo command in `root`, free of the variables that cargo set for this tool itself.
pub(crate) fn cargo_in(root: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(cargo());
    command.current_dir(root).args(arguments);
    for (name, _) in env::vars_os() {
        let own = name
            .to_str()
            .is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_"));
        if own {
            command.env_remove(name);
        }
    }
    command
}

/// Runs a command to its end and keeps its output.
pub(crate) fn capture(command: &mut Command) -> Result<Captured> {
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot run {command:?}"))?;
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    Ok(Captured { success: output.status.success(), text })
}

/// Runs a command to its end with its output on the terminal; whether it ended with exit code 0.
pub(crate) fn stream(command: &mut Command) -> Result<bool> {
    let status = command.stdin(Stdio::null()).status().with_context(|| format!("cannot run {command:?}"))?;
    Ok(status.success())
}

/// Whether `cargo NAME` is installed.
pub(crate) fn has_cargo_tool(root: &Path, name: &str) -> bool {
    capture(&mut cargo_in(root, &[name, "--version"])).is_ok_and(|captured| captured.success)
}
