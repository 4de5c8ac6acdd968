//! Crates that are in the graph in several incompatible versions: recorded, and not to become more.

use super::size::{RATCHET_FILE, Ratchet};
use crate::report::Outcome;
use crate::workspace::Workspace;
use anyhow::Result;
use cargo_metadata::semver::Version;
use std::collections::{BTreeMap, BTreeSet};

/// The check.
pub(crate) fn run(workspace: &Workspace) -> Result<Outcome> {
    let ratchet: Ratchet = workspace.read_toml(RATCHET_FILE)?;
    let counts = count(workspace)?;
    let note = format!("{} crates in more than one version, all recorded", counts.len());
    Ok(Outcome::from_findings(judge(&counts, &ratchet.duplicates), note))
}

/// Crates with more than one incompatible version, with their number of versions.
pub(crate) fn count(workspace: &Workspace) -> Result<BTreeMap<String, usize>> {
    let packages = workspace.metadata()?.packages.iter();
    Ok(count_versions(packages.map(|package| (package.name.as_str(), &package.version))))
}

fn count_versions<'a>(packages: impl Iterator<Item = (&'a str, &'a Version)>) -> BTreeMap<String, usize> {
    let mut lines: BTreeMap<&str, BTreeSet<(u64, u64, u64)>> = BTreeMap::new();
    for (name, version) in packages {
        lines.entry(name).or_default().insert(line(version));
    }
    lines.retain(|_, lines| lines.len() > 1);
    lines.into_iter().map(|(name, lines)| (name.to_owned(), lines.len())).collect()
}

/// The part of a version that cargo does not unify across.
fn line(version: &Version) -> (u64, u64, u64) {
    match (version.major, version.minor, version.patch) {
        (0, 0, patch) => (0, 0, patch),
        (0, minor, _) => (0, minor, 0),
        (major, ..) => (major, 0, 0),
    }
}

fn judge(counts: &BTreeMap<String, usize>, recorded: &BTreeMap<String, usize>) -> Vec<String> {
    let worse = counts.iter().filter(|(name, count)| **count > recorded.get(*name).copied().unwrap_or(1));
    let text = |(name, count): (&String, &usize)| {
        format!(
            "{name} is in the graph in {count} incompatible versions (`cargo tree -i {name}@VERSION` shows why): \
             align them, or set `{name} = {count}` under [duplicates] in {RATCHET_FILE} with the reason"
        )
    };
    worse.map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_incompatible_versions_count_and_only_more_than_recorded_fails() {
        let versions =
            ["1.0.0", "1.9.0", "2.0.0", "0.1.5", "0.2.0", "0.2.9"].map(|text| Version::parse(text).unwrap());
        let names = ["a", "a", "a", "b", "b", "b"];
        let counts = count_versions(names.into_iter().zip(&versions));
        assert_eq!(counts, BTreeMap::from([("a".to_owned(), 2), ("b".to_owned(), 2)]));
        let found = judge(&counts, &BTreeMap::from([("a".to_owned(), 2)]));
        assert_eq!(found.len(), 1);
        assert!(found[0].starts_with("b is in the graph in 2"), "{found:?}");
    }
}
