//! Files that change all at once: a new folder, and one link (`..data`) that is swapped to it. Readers see the old set or
//! the new one, never a mixture.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Component, Path};

use crate::clock::{moment, nanos_now};

/// The link that leads to the current set.
const DATA: &str = "..data";
/// Its successor, before it takes its place.
const DATA_NEXT: &str = "..data_tmp";

/// One file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct File {
    pub(super) bytes: Vec<u8>,
    pub(super) mode: u32,
    /// Owner, where the kubelet must give it away (tokens of pods that do not run as root).
    pub(super) owner: Option<u32>,
}

/// Files by their path below the volume.
pub(super) type Payload = BTreeMap<String, File>;

/// Writes the payload into `target`. True when something changed. `group` is given all files.
pub(super) fn write(target: &Path, payload: &Payload, group: Option<u32>) -> Result<bool, String> {
    for path in payload.keys() {
        check_path(path)?;
    }
    let failed = |what: &str, error: std::io::Error| format!("{what} below {}: {error}", target.display());
    std::fs::create_dir_all(target).map_err(|error| failed("make the folder", error))?;
    let old = std::fs::read_link(target.join(DATA)).ok();
    if let Some(old) = &old
        && same(&target.join(old), payload, group)
    {
        link_names(target, payload).map_err(|error| failed("link files", error))?;
        return Ok(false);
    }
    let now = nanos_now();
    let stamp = moment(now).to_time().replace([':', '-', 'T', 'Z'], "_");
    let name = format!("..{stamp}.{}", now % 1_000_000_000);
    let folder = target.join(&name);
    make_folder(&folder, group).map_err(|error| failed("make the folder", error))?;
    for (path, file) in payload {
        write_file(&folder, path, file, group).map_err(|error| failed(&format!("write {path}"), error))?;
    }
    let next = target.join(DATA_NEXT);
    match std::fs::remove_file(&next) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(failed("remove a link", error));
        }
        _ => {}
    }
    symlink(&name, &next).map_err(|error| failed("make a link", error))?;
    std::fs::rename(&next, target.join(DATA)).map_err(|error| failed("swap the link", error))?;
    link_names(target, payload).map_err(|error| failed("link files", error))?;
    remove_old(target, &name);
    Ok(true)
}

/// Only relative paths that stay below.
fn check_path(path: &str) -> Result<(), String> {
    let fine = !path.is_empty()
        && Path::new(path).components().all(|part| matches!(part, Component::Normal(_)))
        && !path.starts_with("..");
    if fine { Ok(()) } else { Err(format!("invalid path {path:?}: it must stay below the volume")) }
}

fn make_folder(path: &Path, group: Option<u32>) -> std::io::Result<()> {
    std::fs::DirBuilder::new().mode(0o755).create(path)?;
    std::fs::set_permissions(
        path,
        std::fs::Permissions::from_mode(if group.is_some() { 0o2755 } else { 0o755 }),
    )?;
    if group.is_some() {
        std::os::unix::fs::chown(path, None, group)?;
    }
    Ok(())
}

fn write_file(folder: &Path, path: &str, file: &File, group: Option<u32>) -> std::io::Result<()> {
    use std::io::Write;
    let full = folder.join(path);
    let mut parent = folder.to_owned();
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    for part in &parts[..parts.len().saturating_sub(1)] {
        parent.push(part);
        if !parent.is_dir() {
            make_folder(&parent, group)?;
        }
    }
    let mut opened = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&full)?;
    opened.write_all(&file.bytes)?;
    if group.is_some() || file.owner.is_some() {
        std::os::unix::fs::chown(&full, file.owner, group)?;
    }
    std::fs::set_permissions(&full, std::fs::Permissions::from_mode(effective_mode(file.mode, group)))
}

/// A group that owns the volume may read its files.
fn effective_mode(mode: u32, group: Option<u32>) -> u32 {
    if group.is_some() { mode | 0o440 } else { mode }
}

fn same(folder: &Path, payload: &Payload, group: Option<u32>) -> bool {
    let mut found = BTreeSet::new();
    let mut open = vec![folder.to_owned()];
    while let Some(next) = open.pop() {
        let Ok(listed) = std::fs::read_dir(&next) else { return false };
        for entry in listed.flatten() {
            let path = entry.path();
            if path.is_dir() {
                open.push(path);
            } else if let Ok(relative) = path.strip_prefix(folder) {
                found.insert(relative.to_string_lossy().into_owned());
            }
        }
    }
    found.len() == payload.len()
        && payload.iter().all(|(path, file)| {
            let full = folder.join(path);
            let mode = std::fs::metadata(&full).map(|own| own.permissions().mode() & 0o7777);
            found.contains(path)
                && mode.is_ok_and(|mode| mode == effective_mode(file.mode, group))
                && std::fs::read(&full).is_ok_and(|bytes| bytes == file.bytes)
        })
}

/// What users see: one link for each first part of a path. Links of files that are gone go as well.
fn link_names(target: &Path, payload: &Payload) -> std::io::Result<()> {
    let first = |path: &String| path.split('/').next().unwrap_or(path).to_owned();
    let wanted: BTreeSet<String> = payload.keys().map(first).collect();
    for entry in std::fs::read_dir(target)?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with("..") && !wanted.contains(&name) {
            std::fs::remove_file(entry.path())?;
        }
    }
    for name in wanted {
        let link = target.join(&name);
        let leads_to = format!("{DATA}/{name}");
        if std::fs::read_link(&link).is_ok_and(|known| known == Path::new(&leads_to)) {
            continue;
        }
        symlink(leads_to, link)?;
    }
    Ok(())
}

/// Old sets are removed once nobody is led to them any more; what cannot be removed is tried again with the next change.
fn remove_old(target: &Path, current: &str) {
    for entry in std::fs::read_dir(target).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_set = name.starts_with("..") && name != DATA && name != DATA_NEXT && name != current;
        if is_set && let Err(error) = std::fs::remove_dir_all(entry.path()) {
            tracing::warn!(%error, path = %entry.path().display(), "an old set of files is still there");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> File {
        File { bytes: text.as_bytes().to_vec(), mode: 0o644, owner: None }
    }

    #[test]
    fn sets_are_swapped_as_a_whole() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("v");
        let first = Payload::from([("a".into(), file("1")), ("deep/b".into(), file("2"))]);
        assert_eq!(write(&target, &first, None), Ok(true));
        assert_eq!(write(&target, &first, None), Ok(false), "nothing changed");
        assert_eq!(std::fs::read_to_string(target.join("deep/b")).unwrap(), "2");
        assert_eq!(std::fs::read_link(target.join("a")).unwrap(), Path::new("..data/a"));
        let held = std::fs::read_link(target.join(DATA)).unwrap();
        let second = Payload::from([("a".into(), file("3"))]);
        assert_eq!(write(&target, &second, None), Ok(true));
        assert_eq!(std::fs::read_to_string(target.join("a")).unwrap(), "3");
        assert!(!target.join("deep").exists() && !target.join(held).exists());
        let names = std::fs::read_dir(&target).unwrap().count();
        assert_eq!(names, 3, "..data, one set, a");
        let wild = Payload::from([("../x".into(), file("1"))]);
        assert!(write(&target, &wild, None).unwrap_err().contains("must stay below"));
    }

    #[test]
    fn a_changed_mode_is_a_change() {
        let folder = tempfile::tempdir().unwrap();
        let set = |mode: u32| Payload::from([("a".into(), File { mode, ..file("1") })]);
        assert_eq!(write(folder.path(), &set(0o644), None), Ok(true));
        assert_eq!(write(folder.path(), &set(0o400), None), Ok(true));
        let mode = std::fs::metadata(folder.path().join("a")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o400);
    }
}
