//! `fsGroup`: a volume's files belong to a group that may read and write them.

use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown};
use std::path::Path;

/// Gives everything below `path` to `group`. With `only_if_root_differs`, a volume whose root is right is left alone.
pub(super) fn set_group(path: &Path, group: u32, only_if_root_differs: bool) -> Result<(), String> {
    let failed = |path: &Path, error: std::io::Error| format!("set the group of {}: {error}", path.display());
    let root = std::fs::symlink_metadata(path).map_err(|error| failed(path, error))?;
    let right = root.gid() == group && root.permissions().mode() & 0o2070 == 0o2070;
    if only_if_root_differs && right {
        return Ok(());
    }
    let mut open = vec![path.to_owned()];
    while let Some(next) = open.pop() {
        let metadata = match std::fs::symlink_metadata(&next) {
            Ok(metadata) => metadata,
            // It was removed meanwhile.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(failed(&next, error)),
        };
        if metadata.gid() != group {
            lchown(&next, None, Some(group)).map_err(|error| failed(&next, error))?;
        }
        if metadata.is_symlink() {
            continue;
        }
        let mode = metadata.permissions().mode() & 0o7777;
        let wanted = if metadata.is_dir() { mode | 0o2770 } else { mode | 0o660 };
        if mode != wanted {
            let permissions = std::fs::Permissions::from_mode(wanted);
            std::fs::set_permissions(&next, permissions).map_err(|error| failed(&next, error))?;
        }
        if metadata.is_dir() {
            let listed = std::fs::read_dir(&next).map_err(|error| failed(&next, error))?;
            open.extend(listed.flatten().map(|entry| entry.path()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_may_read_and_write() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("f");
        std::fs::write(&file, "x").unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        let own = std::fs::metadata(&file).unwrap().gid();
        set_group(folder.path(), own, false).unwrap();
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o660);
        assert_eq!(std::fs::metadata(folder.path()).unwrap().permissions().mode() & 0o2070, 0o2070);
    }
}
