//! `mutants`: bugs planted on purpose, each of which a named test must catch.
//!
//! The work happens on a copy of the tree with a build folder of its own, both under `target/mutants` and both kept
//! between runs, so registry crates compile once. For each package the named tests must first pass unchanged; then
//! each bug is planted alone, the package is built, and the tests are run directly from their binaries.

mod outcome;
mod spec;
mod test_binaries;
mod tree;

use crate::report::{Paint, headline, paint};
use crate::workspace::Workspace;
use anyhow::{Context, Result, bail};
use outcome::Verdict;
use spec::Mutant;
pub(crate) use spec::{SIEGE_FILE, SPEC_FILE};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use test_binaries::{Built, TestBinaries};
use tree::Tree;

/// Prints the entries that match.
pub(crate) fn list(workspace: &Workspace, file: &str, only: &[String]) -> Result<bool> {
    for mutant in spec::read(workspace, file, only)? {
        println!("{}  ({}, {})\n    {}", mutant.name, mutant.package, mutant.file, mutant.why.trim());
    }
    Ok(true)
}

/// For how long bugs are planted, and where in the list it begins: so that runs of different commits plant all of them.
#[derive(Clone, Copy)]
pub(crate) struct Budget {
    /// After this no further bug is planted; what was left out is said.
    pub(crate) limit: Duration,
    /// Which package comes first; taken modulo their number.
    pub(crate) first: usize,
}

/// Plants every matching entry, as far as the budget goes; whether each was caught.
pub(crate) fn run(
    workspace: &Workspace,
    file: &str,
    only: &[String],
    budget: Option<Budget>,
) -> Result<bool> {
    let mutants = spec::read(workspace, file, only)?;
    headline(&format!("planted bugs ({} of {file})", mutants.len()));
    let tree = Tree::copy(workspace)?;
    let mut packages: BTreeMap<&str, Vec<&Mutant>> = BTreeMap::new();
    for mutant in &mutants {
        packages.entry(&mutant.package).or_default().push(mutant);
    }
    let mut packages: Vec<(&str, Vec<&Mutant>)> = packages.into_iter().collect();
    let first = budget.map_or(0, |budget| budget.first % packages.len().max(1));
    packages.rotate_left(first);
    let begun = Instant::now();
    let is_over = || budget.is_some_and(|budget| begun.elapsed() > budget.limit);
    let mut results = Vec::new();
    for (package, mutants) in packages {
        if is_over() {
            println!(
                "SKIPPED {package}: {} bugs; the time for planted bugs is over: cargo xtask mutants plants all",
                mutants.len()
            );
            continue;
        }
        let start = Instant::now();
        baseline(&tree, package, &mutants).with_context(|| {
            format!("{package} without a planted bug: the check needs passing tests to start from")
        })?;
        println!("baseline {package}: its tests pass ({:.1}s)", start.elapsed().as_secs_f64());
        for mutant in mutants {
            if is_over() {
                println!("SKIPPED {}: the time for planted bugs is over", mutant.name);
                continue;
            }
            let start = Instant::now();
            let verdict = plant(&tree, mutant)?;
            println!("{} {} ({:.1}s)", mark(&verdict), mutant.name, start.elapsed().as_secs_f64());
            results.push((mutant, verdict));
        }
    }
    Ok(summarize(&results))
}

/// The named tests exist and pass while nothing is planted.
fn baseline(tree: &Tree, package: &str, mutants: &[&Mutant]) -> Result<()> {
    let binaries = match TestBinaries::build(tree, package)? {
        Built::Ready(binaries) => binaries,
        Built::Broken(text) => bail!("does not compile:\n{text}"),
    };
    for mutant in mutants {
        let tests = binaries.matching(&mutant.test)?;
        if tests.is_empty() {
            bail!("{}: no test of {package} has {:?} in its name; correct `test`", mutant.name, mutant.test);
        }
        let verdict = outcome::judge(&binaries.run(&tests, mutant.time_limit())?);
        if verdict != Verdict::Survived {
            bail!("{}: its tests do not pass: {}", mutant.name, verdict.explain());
        }
    }
    Ok(())
}

/// Plants one bug, runs its tests and takes it out again.
fn plant(tree: &Tree, mutant: &Mutant) -> Result<Verdict> {
    let original = tree.read(&mutant.file)?;
    tree.write(&mutant.file, &mutant.plant(&original)?)?;
    let verdict = observe(tree, mutant);
    tree.write(&mutant.file, &original)?;
    verdict
}

fn observe(tree: &Tree, mutant: &Mutant) -> Result<Verdict> {
    let binaries = match TestBinaries::build(tree, &mutant.package)? {
        Built::Ready(binaries) => binaries,
        Built::Broken(text) => return Ok(Verdict::DoesNotCompile(text)),
    };
    let tests = binaries.matching(&mutant.test)?;
    let verdict = outcome::judge(&binaries.run(&tests, mutant.time_limit())?);
    Ok(if verdict == Verdict::TimedOut && mutant.may_hang {
        Verdict::Caught("hung".to_owned())
    } else {
        verdict
    })
}

fn mark(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Caught(_) => paint(Paint::Green, "caught  "),
        Verdict::Survived => paint(Paint::Red, "SURVIVED"),
        Verdict::TimedOut | Verdict::DoesNotCompile(_) | Verdict::Unclear(_) => paint(Paint::Red, "UNCLEAR "),
    }
}

fn summarize(results: &[(&Mutant, Verdict)]) -> bool {
    let caught = results.iter().filter(|(_, verdict)| matches!(verdict, Verdict::Caught(_))).count();
    let width = results.iter().map(|(mutant, _)| mutant.name.len()).max().unwrap_or(0);
    println!();
    for (mutant, verdict) in results {
        println!("{}  {:<width$}  {}", mark(verdict), mutant.name, verdict.explain());
    }
    println!("{caught} of {} planted bugs caught", results.len());
    caught == results.len()
}

#[cfg(test)]
#[path = "mutants_test.rs"]
mod tests;
