//! The top level: fixed rooms, so that a newcomer finds the place for a line of code.

use crate::report::Outcome;
use crate::workspace::Workspace;
use anyhow::Result;
use std::collections::BTreeSet;

const FOLDERS: [&str; 6] = ["actors", "storage", "net", "cmd", "chaos", "docs"];
const FILES: [&str; 5] = ["Cargo.toml", "Cargo.lock", "README.md", "LICENSE", "CHANGELOG.md"];

/// The check.
pub(crate) fn run(workspace: &Workspace) -> Result<Outcome> {
    Ok(Outcome::from_findings(judge(workspace.files()?), "the top level holds the fixed rooms".to_owned()))
}

fn judge(files: &[String]) -> Vec<String> {
    let mut findings = BTreeSet::new();
    for path in files.iter().filter(|path| !path.starts_with('.')) {
        match path.split_once('/') {
            Some((folder, _)) if !FOLDERS.contains(&folder) => {
                findings.insert(format!("{folder}/ is not a room: use one of {}", FOLDERS.join(", ")));
            }
            None if !FILES.contains(&path.as_str()) => {
                findings.insert(format!(
                    "{path} does not belong at the top: move it into a room or make it a dotfile"
                ));
            }
            Some(_) | None => {}
        }
    }
    let missing = FILES.iter().filter(|file| !files.iter().any(|path| path == *file));
    findings.extend(missing.map(|file| format!("{file} is missing at the top")));
    findings.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(extra: &[&str], without: &str) -> Vec<String> {
        let files = FILES.iter().filter(|file| **file != without).chain(extra);
        judge(&files.map(|file| (*file).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn the_fixed_rooms_and_dotfiles_pass() {
        assert!(judged(&["actors/core/src/lib.rs", "docs/a.md", ".clippy.toml", ".ci/run"], "").is_empty());
    }

    #[test]
    fn a_planted_room_file_or_gap_is_found() {
        assert!(judged(&["utils/a.rs", "utils/b.rs"], "")[0].starts_with("utils/ is not a room"));
        assert!(judged(&["notes.txt"], "")[0].starts_with("notes.txt does not belong"));
        assert!(judged(&[], "LICENSE")[0].starts_with("LICENSE is missing"));
    }
}
