//! The repository on disk: its root, its files and what cargo knows about it.

use anyhow::{Context, Result, bail};
use cargo_metadata::{Metadata, MetadataCommand};
use std::cell::OnceCell;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Most files a repository may have before a check refuses to walk it.
const MAX_FILES: usize = 50_000;
/// Folders that are never part of the repository, when git is not there to say so.
const NOT_OURS: [&str; 2] = [".git", "target"];

/// The workspace this tool was built in.
pub(crate) struct Workspace {
    root: PathBuf,
    metadata: OnceCell<Metadata>,
    files: OnceCell<Vec<String>>,
}

impl Workspace {
    /// The workspace that holds the current folder, as cargo sees it.
    pub(crate) fn locate() -> Result<Self> {
        let output = Command::new(crate::command::cargo())
            .args(["locate-project", "--workspace", "--message-format", "plain"])
            .output()
            .context("cannot run cargo; is it installed and on PATH?")?;
        if !output.status.success() {
            bail!("not inside the workspace: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        let manifest = PathBuf::from(String::from_utf8(output.stdout)?.trim());
        let root = manifest.parent().context("the workspace manifest has no folder")?;
        Ok(Self::at(root))
    }

    /// The workspace whose root manifest lies in `root`.
    pub(crate) fn at(root: &Path) -> Self {
        Self { root: root.to_owned(), metadata: OnceCell::new(), files: OnceCell::new() }
    }

    /// The folder of the root manifest.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The text of a file, by its path from the root.
    pub(crate) fn read(&self, path: &str) -> Result<String> {
        std::fs::read_to_string(self.root.join(path)).with_context(|| format!("cannot read {path}"))
    }

    /// A TOML file at the root as `T`.
    pub(crate) fn read_toml<T: serde::de::DeserializeOwned>(&self, path: &str) -> Result<T> {
        toml::from_str(&self.read(path)?).with_context(|| format!("{path} is not as expected"))
    }

    /// The whole dependency graph, from Cargo.lock as it stands.
    pub(crate) fn metadata(&self) -> Result<&Metadata> {
        if let Some(metadata) = self.metadata.get() {
            return Ok(metadata);
        }
        let metadata = MetadataCommand::new()
            .manifest_path(self.root.join("Cargo.toml"))
            .other_options(vec!["--locked".to_owned()])
            .exec()
            .context(
                "cargo metadata failed; if Cargo.lock is out of date, run `cargo check` and commit it",
            )?;
        Ok(self.metadata.get_or_init(|| metadata))
    }

    /// Paths from the root, sorted, of every file that is or would be committed.
    pub(crate) fn files(&self) -> Result<&[String]> {
        if let Some(files) = self.files.get() {
            return Ok(files);
        }
        let mut files = match list_by_git(&self.root) {
            Some(files) => files,
            None => list_by_walk(&self.root)?,
        };
        if files.len() > MAX_FILES {
            bail!("{} files, more than {MAX_FILES}: is a build folder not ignored?", files.len());
        }
        files.sort();
        files.dedup();
        Ok(self.files.get_or_init(|| files))
    }

    /// Paths of our own Rust files.
    pub(crate) fn rust_files(&self) -> Result<impl Iterator<Item = &str>> {
        Ok(self.files()?.iter().map(String::as_str).filter(|path| path.ends_with(".rs")))
    }
}

fn list_by_git(root: &Path) -> Option<Vec<String>> {
    let output = Command::new("git")
        .arg("-C")
        .arg(root)
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .output()
        .ok()?;
    if !output.status.success() {
        return None;
    }
    let text = String::from_utf8(output.stdout).ok()?;
    let listed = text.split('\0').filter(|path| !path.is_empty());
    // A file deleted but not yet committed is still listed.
    Some(listed.filter(|path| root.join(path).is_file()).map(str::to_owned).collect())
}

fn list_by_walk(root: &Path) -> Result<Vec<String>> {
    let mut files = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in
            std::fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))?
        {
            let entry = entry?;
            let path = entry.path();
            if entry.file_type()?.is_dir() {
                let ours = !NOT_OURS.iter().any(|name| entry.file_name() == *name);
                folders.extend(ours.then_some(path));
            } else if let Some(path) = path.strip_prefix(root).ok().and_then(Path::to_str) {
                files.push(path.to_owned());
            }
        }
        if files.len() > MAX_FILES {
            break;
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_git_the_walk_leaves_out_the_build_folder() {
        let folder = tempfile::tempdir().unwrap();
        for path in ["Cargo.toml", "a/src/lib.rs", "target/debug/junk", ".git/config"] {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let mut files = list_by_walk(folder.path()).unwrap();
        files.sort();
        assert_eq!(files, ["Cargo.toml", "a/src/lib.rs"]);
    }
}
