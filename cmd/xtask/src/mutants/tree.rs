//! The copy of the tree that bugs are planted in.

use crate::workspace::Workspace;
use anyhow::{Context, Result};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A copy of the workspace under `target/mutants`.
pub(crate) struct Tree {
    root: PathBuf,
    target: PathBuf,
}

impl Tree {
    /// Copies what differs and removes what is gone, so that cargo rebuilds only what changed.
    pub(crate) fn copy(workspace: &Workspace) -> Result<Self> {
        let home = workspace.root().join("target/mutants");
        let tree = Self { root: home.join("tree"), target: home.join("target") };
        fs::create_dir_all(&tree.root).with_context(|| format!("cannot create {}", tree.root.display()))?;
        let files: BTreeSet<&str> = workspace.files()?.iter().map(String::as_str).collect();
        for path in &files {
            let (from, to) = (workspace.root().join(path), tree.root.join(path));
            let wanted = fs::read(&from).with_context(|| format!("cannot read {path}"))?;
            if fs::read(&to).ok().as_ref() != Some(&wanted) {
                let folder = to.parent().context("a file without a folder")?;
                fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
                fs::write(&to, wanted).with_context(|| format!("cannot write {}", to.display()))?;
            }
        }
        tree.remove_strangers(&files)?;
        Ok(tree)
    }

    fn remove_strangers(&self, files: &BTreeSet<&str>) -> Result<()> {
        let mut folders = vec![self.root.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder)? {
                let path = entry?.path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let known = path.strip_prefix(&self.root).ok().and_then(Path::to_str);
                if !known.is_some_and(|path| files.contains(path)) {
                    fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
                }
            }
        }
        Ok(())
    }

    /// Its root folder.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Its build folder.
    pub(crate) fn target(&self) -> &Path {
        &self.target
    }

    /// The text of a file, by its path from the root.
    pub(crate) fn read(&self, path: &str) -> Result<String> {
        fs::read_to_string(self.root.join(path))
            .with_context(|| format!("cannot read {path} of the copied tree"))
    }

    /// Replaces a file.
    pub(crate) fn write(&self, path: &str, text: &str) -> Result<()> {
        fs::write(self.root.join(path), text)
            .with_context(|| format!("cannot write {path} of the copied tree"))
    }
}
