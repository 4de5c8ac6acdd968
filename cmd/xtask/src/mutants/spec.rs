//! The lists of planted bugs: `cmd/xtask/mutants.toml`, and `cmd/xtask/mutants-siege.toml` for sieges.

use crate::workspace::Workspace;
use anyhow::{Result, bail};
use serde::Deserialize;
use std::collections::BTreeSet;
use std::time::Duration;

/// Where the list lies.
pub(crate) const SPEC_FILE: &str = "cmd/xtask/mutants.toml";
/// Where the list of those lies that a siege of real processes must catch.
pub(crate) const SIEGE_FILE: &str = "cmd/xtask/mutants-siege.toml";
/// Time the tests of one mutant get unless it says otherwise, in seconds.
const DEFAULT_LIMIT_S: u64 = 120;
/// Longest time an entry may ask for, in seconds.
const MAX_LIMIT_S: u64 = 900;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Spec {
    #[serde(default)]
    mutant: Vec<Mutant>,
}

/// One bug to plant.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Mutant {
    /// Unique name.
    pub(crate) name: String,
    /// File to change, from the root.
    pub(crate) file: String,
    /// Text that must occur in it exactly once.
    pub(crate) find: String,
    /// What stands there instead.
    pub(crate) replace: String,
    /// Package whose tests must notice.
    pub(crate) package: String,
    /// Part of the name of the tests that must notice; at least one test has it, and at least one of them fails.
    pub(crate) test: String,
    /// What the bug means.
    pub(crate) why: String,
    /// Seconds the tests may take, build not counted.
    #[serde(default = "default_limit")]
    limit_s: u64,
    /// The bug makes a test wait for ever, so running into the limit counts as caught.
    #[serde(default)]
    pub(crate) may_hang: bool,
}

fn default_limit() -> u64 {
    DEFAULT_LIMIT_S
}

impl Mutant {
    /// How long the tests may run.
    pub(crate) fn time_limit(&self) -> Duration {
        Duration::from_secs(self.limit_s)
    }

    /// The file's text with the bug in it.
    pub(crate) fn plant(&self, original: &str) -> Result<String> {
        match original.matches(&self.find).count() {
            1 => Ok(original.replacen(&self.find, &self.replace, 1)),
            0 => bail!(
                "{}: its `find` text is not in {}: the code moved, so move the entry along",
                self.name,
                self.file
            ),
            count => {
                bail!("{}: its `find` text is {count} times in {}: make it longer", self.name, self.file)
            }
        }
    }
}

/// The entries of this list whose name contains one of `only`, or all of them.
pub(crate) fn read(workspace: &Workspace, file: &str, only: &[String]) -> Result<Vec<Mutant>> {
    let spec: Spec = workspace.read_toml(file)?;
    let mut names = BTreeSet::new();
    for mutant in &spec.mutant {
        if !names.insert(&mutant.name) {
            bail!("{file} has two entries named {}", mutant.name);
        }
        if mutant.find == mutant.replace
            || mutant.test.is_empty()
            || !(1..=MAX_LIMIT_S).contains(&mutant.limit_s)
        {
            bail!(
                "{file}: {} must change something, name a test, and take at most {MAX_LIMIT_S} s",
                mutant.name
            );
        }
    }
    let wanted = |mutant: &Mutant| only.is_empty() || only.iter().any(|part| mutant.name.contains(part));
    let chosen: Vec<Mutant> = spec.mutant.into_iter().filter(wanted).collect();
    if chosen.is_empty() {
        bail!("no entry of {file} has a name with {only:?}; `cargo xtask mutants --list` shows them");
    }
    Ok(chosen)
}
