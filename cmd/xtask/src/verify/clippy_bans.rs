//! The `.clippy.toml` of each pure crate, generated from `.layers.toml`.
//!
//! clippy reads the nearest file above a crate's manifest and nothing else, so a pure crate's file repeats the
//! workspace's settings before its own bans. clippy sees through aliases and type inference where the scan of
//! `purity` cannot, but it also binds test code, so only bans that tests keep as well are handed to it.

use super::policy::{ClippyKind, LAYERS_FILE, Layers};
use crate::report::Outcome;
use crate::workspace::Workspace;
use anyhow::{Context, Result};
use std::collections::BTreeMap;

const CLIPPY_FILE: &str = ".clippy.toml";
const HEADER: &str =
    "# Written by `cargo xtask fix` from the root's .clippy.toml and the bans of .layers.toml.\n";

/// The check.
pub(crate) fn run(workspace: &Workspace) -> Result<Outcome> {
    let mut findings = Vec::new();
    let wanted = wanted_files(workspace)?;
    for (path, text) in &wanted {
        if workspace.read(path).ok().as_ref() != Some(text) {
            findings
                .push(format!("{path} is not as {LAYERS_FILE} asks: run `cargo xtask fix` and commit it"));
        }
    }
    Ok(Outcome::from_findings(findings, format!("{} files", wanted.len())))
}

/// Writes the files that differ; the paths written.
pub(crate) fn write(workspace: &Workspace) -> Result<Vec<String>> {
    let mut written = Vec::new();
    for (path, text) in wanted_files(workspace)? {
        if workspace.read(&path).ok().as_ref() != Some(&text) {
            std::fs::write(workspace.root().join(&path), text)
                .with_context(|| format!("cannot write {path}"))?;
            written.push(path);
        }
    }
    Ok(written)
}

fn wanted_files(workspace: &Workspace) -> Result<BTreeMap<String, String>> {
    let layers: Layers = workspace.read_toml(LAYERS_FILE)?;
    let text = render(&workspace.read(CLIPPY_FILE)?, &layers)?;
    let pure = layers.crates.values().filter(|rule| rule.pure);
    Ok(pure.map(|rule| (format!("{}/{CLIPPY_FILE}", rule.folder), text.clone())).collect())
}

/// The workspace's settings with the pure bans added to its lists.
fn render(workspace_file: &str, layers: &Layers) -> Result<String> {
    let mut settings: toml::Table =
        workspace_file.parse().with_context(|| format!("{CLIPPY_FILE} is not TOML"))?;
    for (key, kind) in [("disallowed-methods", ClippyKind::Method), ("disallowed-types", ClippyKind::Type)] {
        let list = settings.entry(key).or_insert_with(|| toml::Value::Array(Vec::new()));
        let list = list.as_array_mut().with_context(|| format!("{CLIPPY_FILE}: {key} is not a list"))?;
        for ban in layers.pure_ban.iter().filter(|ban| ban.clippy == Some(kind)) {
            let mut entry = toml::Table::new();
            entry.insert("path".to_owned(), ban.path.clone().into());
            entry.insert("reason".to_owned(), format!("use {}: {}", ban.instead, ban.reason).into());
            list.push(entry.into());
        }
    }
    Ok(format!("{HEADER}{}", toml::to_string(&settings)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bans_are_added_to_the_workspace_settings() {
        let layers: Layers = toml::from_str(
            "[crates.core]\nfolder = 'actors/core'\npure = true\n\
             [[pure-ban]]\npath = 'std::time::Instant::now'\ninstead = 'Tick'\nreason = 'no clock'\nclippy = 'method'\n\
             [[pure-ban]]\npath = 'std::fs'\ninstead = 'an effect'\nreason = 'no I/O'",
        )
        .unwrap();
        let base = "allow-unwrap-in-tests = true\ndisallowed-methods = [{ path = 'a::b', reason = 'c' }]";
        let text = render(base, &layers).unwrap();
        let settings: toml::Table = text.parse().unwrap();
        assert_eq!(settings["allow-unwrap-in-tests"].as_bool(), Some(true));
        let methods = settings["disallowed-methods"].as_array().unwrap();
        let paths: Vec<&str> = methods.iter().map(|entry| entry["path"].as_str().unwrap()).collect();
        assert_eq!(paths, ["a::b", "std::time::Instant::now"]);
        assert!(!text.contains("std::fs"));
    }

    #[test]
    fn a_stale_file_is_found_and_rewritten() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("core")).unwrap();
        std::fs::write(folder.path().join(".clippy.toml"), "").unwrap();
        std::fs::write(folder.path().join(LAYERS_FILE), "[crates.core]\nfolder = 'core'\npure = true")
            .unwrap();
        let workspace = Workspace::at(folder.path());
        assert!(matches!(run(&workspace).unwrap(), Outcome::Fail(findings) if findings.len() == 1));
        assert_eq!(write(&workspace).unwrap(), ["core/.clippy.toml"]);
        assert!(matches!(run(&workspace).unwrap(), Outcome::Ok(_)));
        assert!(write(&workspace).unwrap().is_empty());
    }
}
