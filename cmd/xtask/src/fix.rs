//! `fix`: everything a tool can repair.

use crate::command::{cargo_in, stream};
use crate::report::headline;
use crate::verify;
use crate::workspace::Workspace;
use anyhow::Result;

/// Runs every repair; whether all of them could be made.
pub(crate) fn run(workspace: &Workspace) -> Result<bool> {
    let mut good = true;
    headline("clippy's suggestions");
    let clippy =
        ["clippy", "--quiet", "--workspace", "--all-targets", "--fix", "--allow-dirty", "--allow-staged"];
    good &= stream(&mut cargo_in(workspace.root(), &clippy))?;
    headline("formatting");
    good &= stream(&mut cargo_in(workspace.root(), &["fmt", "--all"]))?;
    headline("bans of pure crates");
    for path in verify::write_clippy_bans(workspace)? {
        println!("wrote {path}");
    }
    headline("ratchet");
    if verify::tighten_ratchet(workspace)? {
        println!("lowered; commit it with the change that earned it");
    }
    Ok(good)
}
