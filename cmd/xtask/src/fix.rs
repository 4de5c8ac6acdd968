//! `fix`: everything a tool can repair.

use crate::command::{cargo_in, stream};
use crate::report::headline;
use crate::verify;
use crate::workspace::Workspace;
use anyhow::Result;
use clap::builder::PossibleValuesParser;

/// One repair; whether it could be made.
type Repair = fn(&Workspace) -> Result<bool>;

/// In the order they run: clippy's suggestions come before the formatting they need.
const REPAIRS: [(&str, Repair); 4] =
    [("clippy", clippy), ("format", format), ("clippy-bans", clippy_bans), ("ratchet", ratchet)];

/// Names that `--only` takes.
pub(crate) fn names() -> PossibleValuesParser {
    PossibleValuesParser::new(REPAIRS.map(|(name, _)| name))
}

/// Makes the named repairs, or all of them; whether every one could be made.
pub(crate) fn run(workspace: &Workspace, only: &[String]) -> Result<bool> {
    let mut good = true;
    for (name, repair) in
        REPAIRS.iter().filter(|(name, _)| only.is_empty() || only.iter().any(|only| only == name))
    {
        headline(name);
        good &= repair(workspace)?;
    }
    Ok(good)
}

fn clippy(workspace: &Workspace) -> Result<bool> {
    let arguments =
        ["clippy", "--quiet", "--workspace", "--all-targets", "--fix", "--allow-dirty", "--allow-staged"];
    stream(&mut cargo_in(workspace.root(), &arguments))
}

fn format(workspace: &Workspace) -> Result<bool> {
    stream(&mut cargo_in(workspace.root(), &["fmt", "--all"]))
}

fn clippy_bans(workspace: &Workspace) -> Result<bool> {
    for path in verify::write_clippy_bans(workspace)? {
        println!("wrote {path}");
    }
    Ok(true)
}

fn ratchet(workspace: &Workspace) -> Result<bool> {
    if verify::tighten_ratchet(workspace)? {
        println!("lowered; commit it with the change that earned it");
    }
    Ok(true)
}
