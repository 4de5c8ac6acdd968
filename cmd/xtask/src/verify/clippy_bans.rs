//! The clippy configuration of each pure crate, held against `.layers.toml`.
//!
//! clippy reads the nearest file above a crate's manifest and nothing else, so a pure crate's file must repeat the
//! workspace's settings before its own bans; it may add more. clippy sees through aliases and type inference where
//! the scan of `purity` cannot, but it also binds test code, so only bans that tests keep as well are handed to it.

use super::policy::{ClippyKind, LAYERS_FILE, Layers};
use crate::report::Outcome;
use crate::workspace::Workspace;
use anyhow::{Context, Result};

/// The names clippy looks for, in its order.
const CLIPPY_FILES: [&str; 2] = [".clippy.toml", "clippy.toml"];
const HEADER: &str = "\
# A pure crate: the workspace's .clippy.toml and the bans that .layers.toml marks for clippy. clippy reads only the
# nearest file, so nothing may be missing here; further bans are welcome.
";

/// The check.
pub(crate) fn run(workspace: &Workspace) -> Result<Outcome> {
    let layers: Layers = workspace.read_toml(LAYERS_FILE)?;
    let wanted = wanted(&workspace.read(CLIPPY_FILES[0])?, &layers)?;
    let mut findings = Vec::new();
    let pure: Vec<_> = layers.crates.values().filter(|rule| rule.pure).collect();
    for rule in &pure {
        let files = present(workspace, &rule.folder);
        match files.as_slice() {
            [] => findings
                .push(format!("{} has no .clippy.toml: run `cargo xtask fix` and commit it", rule.folder)),
            [file] => findings.extend(missing(file, &workspace.read_toml(file)?, &wanted)),
            [first, second, ..] => {
                findings.push(format!("clippy reads {first} and ignores {second}: keep one"))
            }
        }
    }
    Ok(Outcome::from_findings(findings, format!("{} pure crates", pure.len())))
}

/// Writes a file for each pure crate that has none; the paths written.
pub(crate) fn write(workspace: &Workspace) -> Result<Vec<String>> {
    let layers: Layers = workspace.read_toml(LAYERS_FILE)?;
    let wanted = wanted(&workspace.read(CLIPPY_FILES[0])?, &layers)?;
    let text = format!("{HEADER}{}", toml::to_string(&wanted)?);
    let mut written = Vec::new();
    for rule in layers.crates.values().filter(|rule| rule.pure) {
        if present(workspace, &rule.folder).is_empty() {
            let path = format!("{}/{}", rule.folder, CLIPPY_FILES[0]);
            std::fs::write(workspace.root().join(&path), &text)
                .with_context(|| format!("cannot write {path}"))?;
            written.push(path);
        }
    }
    Ok(written)
}

fn present(workspace: &Workspace, folder: &str) -> Vec<String> {
    let paths = CLIPPY_FILES.map(|name| format!("{folder}/{name}"));
    paths.into_iter().filter(|path| workspace.root().join(path).is_file()).collect()
}

/// The workspace's settings with the pure bans added to its lists.
fn wanted(workspace_file: &str, layers: &Layers) -> Result<toml::Table> {
    let mut settings: toml::Table =
        workspace_file.parse().with_context(|| format!("{} is not TOML", CLIPPY_FILES[0]))?;
    for (key, kind) in [("disallowed-methods", ClippyKind::Method), ("disallowed-types", ClippyKind::Type)] {
        let list = settings.entry(key).or_insert_with(|| toml::Value::Array(Vec::new()));
        let list =
            list.as_array_mut().with_context(|| format!("{}: {key} is not a list", CLIPPY_FILES[0]))?;
        for ban in layers.pure_ban.iter().filter(|ban| ban.clippy == Some(kind)) {
            let mut entry = toml::Table::new();
            entry.insert("path".to_owned(), ban.path.clone().into());
            entry.insert("reason".to_owned(), format!("use {}: {}", ban.instead, ban.reason).into());
            list.push(entry.into());
        }
    }
    Ok(settings)
}

/// What `wanted` asks for and `found`, the content of `file`, does not have. Lists may be longer than asked.
fn missing(file: &str, found: &toml::Table, wanted: &toml::Table) -> Vec<String> {
    let mut findings = Vec::new();
    for (key, value) in wanted {
        let Some(list) = value.as_array() else {
            if found.get(key) != Some(value) {
                findings.push(format!("{file}: the workspace sets `{key} = {value}`: repeat it here"));
            }
            continue;
        };
        let here: Vec<&str> =
            found.get(key).and_then(toml::Value::as_array).into_iter().flatten().filter_map(path).collect();
        for ban in list.iter().filter_map(path).filter(|ban| !here.contains(ban)) {
            findings.push(format!("{file}: {key} lacks {ban}: add it with its reason"));
        }
    }
    findings
}

/// The path of a ban, written as a table or as a bare string.
fn path(entry: &toml::Value) -> Option<&str> {
    entry.as_str().or_else(|| entry.get("path")?.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: &str = "
        [crates.core]
        folder = 'core'
        pure = true
        [[pure-ban]]
        path = 'std::time::SystemTime'
        instead = 'Tick'
        reason = 'no clock'
        clippy = 'type'
        [[pure-ban]]
        path = 'std::fs'
        instead = 'an effect'
        reason = 'no I/O'";
    const BASE: &str = "allow-unwrap-in-tests = true\ndisallowed-methods = [{ path = 'a::b', reason = 'c' }]";

    fn findings(crate_file: Option<(&str, &str)>) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("core")).unwrap();
        std::fs::write(folder.path().join(".clippy.toml"), BASE).unwrap();
        std::fs::write(folder.path().join(LAYERS_FILE), RULES).unwrap();
        if let Some((name, text)) = crate_file {
            std::fs::write(folder.path().join("core").join(name), text).unwrap();
        }
        let workspace = Workspace::at(folder.path());
        let found = match run(&workspace).unwrap() {
            Outcome::Fail(findings) => findings,
            Outcome::Ok(_) | Outcome::Skipped(_) => Vec::new(),
        };
        // Whatever was there, writing fills a gap and leaves a kept file alone.
        assert_eq!(write(&workspace).unwrap().len(), usize::from(crate_file.is_none()));
        if crate_file.is_none() {
            assert!(matches!(run(&workspace).unwrap(), Outcome::Ok(_)));
        }
        found
    }

    #[test]
    fn a_pure_crate_without_a_file_gets_one() {
        assert!(findings(None)[0].contains("has no .clippy.toml"));
    }

    #[test]
    fn a_kept_file_must_have_everything_and_may_have_more() {
        let full = "allow-unwrap-in-tests = true\ndisallowed-methods = ['a::b', 'x::y']\n\
                    disallowed-types = [{ path = 'std::time::SystemTime', reason = 'own words' }]";
        assert!(findings(Some(("clippy.toml", full))).is_empty());
        let found = findings(Some((".clippy.toml", "disallowed-methods = ['x::y']")));
        assert_eq!(found.len(), 3, "{found:?}");
        for text in ["allow-unwrap-in-tests", "lacks a::b", "lacks std::time::SystemTime"] {
            assert!(found.iter().any(|finding| finding.contains(text)), "{found:?}");
        }
    }
}
