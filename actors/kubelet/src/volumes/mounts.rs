//! Mounting and unmounting below a pod's folder; sub-paths that no symbolic link leads astray.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, ResolveFlags, mkdirat, openat2};
use rustix::mount::{MountFlags, UnmountFlags, mount, mount_bind, unmount};

/// Parts of a sub-path.
const PARTS_LIMIT: usize = 256;

/// Mounts a memory filesystem, unless one is there. `size_bytes` bounds it.
pub(super) fn mount_memory(path: &Path, size_bytes: Option<u64>) -> Result<(), String> {
    std::fs::create_dir_all(path).map_err(|error| format!("make {}: {error}", path.display()))?;
    if is_mounted(path)? {
        return Ok(());
    }
    let options = size_bytes.map_or_else(|| "mode=0777".to_owned(), |size| format!("mode=0777,size={size}"));
    let options = std::ffi::CString::new(options).expect("digits and letters hold no NUL");
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    mount("tmpfs", path, "tmpfs", flags, Some(options.as_c_str()))
        .map_err(|error| format!("mount a memory filesystem at {}: {error}", path.display()))
}

/// Binds `base/sub` to `target` and gives the target. Missing folders of `sub` are made. The way is walked inside `base`:
/// links that leave it are refused.
pub(super) fn bind_sub_path(base: &Path, sub: &str, target: &Path) -> Result<PathBuf, String> {
    let failed = |what: &str, error: &dyn std::fmt::Display| {
        format!("failed to prepare subPath for volumeMount {sub:?} of {}: {what}: {error}", base.display())
    };
    if sub.starts_with('/') || sub.split('/').any(|part| part == "..") || sub.split('/').count() > PARTS_LIMIT
    {
        return Err(failed("check", &"it must be a relative path without \"..\""));
    }
    let opened = open_inside(base, sub).map_err(|error| failed("open", &error))?;
    let is_folder = rustix::fs::fstat(&opened)
        .map(|stat| rustix::fs::FileType::from_raw_mode(stat.st_mode).is_dir())
        .map_err(|error| failed("look", &error))?;
    if is_mounted(target)? {
        return Ok(target.to_owned());
    }
    if let Some(parent) = target.parent() {
        std::fs::create_dir_all(parent).map_err(|error| failed("make a folder", &error))?;
    }
    match is_folder {
        true => std::fs::create_dir_all(target).map_err(|error| failed("make a folder", &error))?,
        false => std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(target)
            .map(drop)
            .map_err(|error| failed("make a file", &error))?,
    }
    // The open file cannot be exchanged under us as a path could.
    let source = format!("/proc/self/fd/{}", opened.as_raw_fd());
    mount_bind(source.as_str(), target).map_err(|error| failed("bind", &error))?;
    Ok(target.to_owned())
}

/// Opens a path inside `base`, making folders that are missing.
fn open_inside(base: &Path, sub: &str) -> Result<OwnedFd, rustix::io::Errno> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let inside = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    let root = rustix::fs::open(base, flags | OFlags::DIRECTORY, Mode::empty())?;
    match openat2(&root, sub, flags, Mode::empty(), inside) {
        Err(rustix::io::Errno::NOENT) => {}
        other => return other,
    }
    let mut at: OwnedFd = root;
    for part in sub.split('/').filter(|part| !part.is_empty() && *part != ".") {
        let next = match openat2(
            at.as_fd(),
            part,
            flags | OFlags::DIRECTORY | OFlags::NOFOLLOW,
            Mode::empty(),
            inside,
        ) {
            Err(rustix::io::Errno::NOENT) => {
                mkdirat(at.as_fd(), part, Mode::from_raw_mode(0o750))?;
                let made = openat2(
                    at.as_fd(),
                    part,
                    flags | OFlags::DIRECTORY | OFlags::NOFOLLOW,
                    Mode::empty(),
                    inside,
                )?;
                // The umask must not take rights away that containers of other users need.
                rustix::fs::chmodat(
                    at.as_fd(),
                    part,
                    Mode::from_raw_mode(0o755),
                    rustix::fs::AtFlags::empty(),
                )?;
                made
            }
            other => other?,
        };
        at = next;
    }
    Ok(at)
}

/// Something is mounted exactly here.
pub(super) fn is_mounted(path: &Path) -> Result<bool, String> {
    let real = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    Ok(mount_points()?.contains(&real))
}

/// Unmounts everything below a folder, the deepest first.
pub(super) fn unmount_below(folder: &Path) -> Result<(), String> {
    let real = std::fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
    let mut points: Vec<PathBuf> =
        mount_points()?.into_iter().filter(|point| point.starts_with(&real)).collect();
    points.sort_by_key(|point| std::cmp::Reverse(point.components().count()));
    for point in points {
        match unmount(&point, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW) {
            Ok(()) | Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOENT) => {}
            Err(error) => return Err(format!("unmount {}: {error}", point.display())),
        }
    }
    Ok(())
}

/// Removes a folder in which nothing is mounted: nobody's data behind a mount is ever removed.
pub(super) fn remove_unmounted(folder: &Path) -> Result<(), String> {
    let real = match std::fs::canonicalize(folder) {
        Ok(real) => real,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(format!("look at {}: {error}", folder.display())),
    };
    if let Some(point) = mount_points()?.into_iter().find(|point| point.starts_with(&real)) {
        return Err(format!("{} is still mounted: not removed", point.display()));
    }
    match std::fs::remove_dir_all(&real) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(format!("remove {}: {error}", real.display()))
        }
        _ => Ok(()),
    }
}

fn mount_points() -> Result<Vec<PathBuf>, String> {
    let text = std::fs::read_to_string("/proc/self/mountinfo")
        .map_err(|error| format!("read /proc/self/mountinfo: {error}"))?;
    let point = |line: &str| line.split(' ').nth(4).map(|path| PathBuf::from(unescape(path)));
    Ok(text.lines().filter_map(point).collect())
}

/// `\040` and the like, as the kernel writes blanks.
fn unescape(path: &str) -> String {
    let mut out = Vec::with_capacity(path.len());
    let bytes = path.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let octal = bytes.get(at + 1..at + 4).and_then(|digits| std::str::from_utf8(digits).ok());
        match octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()).filter(|_| bytes[at] == b'\\') {
            Some(byte) => {
                out.push(byte);
                at += 4;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sub_paths_stay_inside_their_volume() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().join("v");
        std::fs::create_dir(&base).unwrap();
        std::os::unix::fs::symlink("/etc", base.join("out")).unwrap();
        std::fs::write(base.join("file"), "x").unwrap();
        assert!(open_inside(&base, "out/passwd").is_err(), "a link out of the volume is refused");
        assert!(open_inside(&base, "file").is_ok());
        assert!(open_inside(&base, "new/deep").is_ok() && base.join("new/deep").is_dir());
        assert!(open_inside(&base, "out/new").is_err() && !Path::new("/etc/new").exists());
        assert!(bind_sub_path(&base, "../x", &folder.path().join("t")).is_err());
    }

    #[test]
    fn blanks_in_mount_points() {
        assert_eq!(unescape("/a\\040b"), "/a b");
        assert!(is_mounted(Path::new("/proc")).unwrap());
    }
}
