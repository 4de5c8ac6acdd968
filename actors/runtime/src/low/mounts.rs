//! Places in a container's root file system, and mounting onto them.
//!
//! The root is an image's, so its symbolic links are hostile: every place is resolved by the kernel below the root and
//! held by descriptor; nothing is mounted by name.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{self as rfs, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::low::sys;

/// A root file system that is not yet the process' own.
#[derive(Debug)]
pub(crate) struct Root {
    fd: OwnedFd,
}

impl Root {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self { fd: rfs::open(path, flags, Mode::empty())? })
    }

    /// A place in it, with links followed.
    pub(crate) fn find(&self, path: &str) -> Result<OwnedFd, Errno> {
        let path = path.trim_start_matches('/');
        let path = if path.is_empty() { "." } else { path };
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        rfs::openat2(&self.fd, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), resolve)
    }

    /// A place in it, made when it is missing: a folder, or an empty file.
    pub(crate) fn make(&self, path: &str, folder: bool) -> io::Result<OwnedFd> {
        match self.find(path) {
            Err(Errno::NOENT) => {}
            other => return Ok(other?),
        }
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
        if parts.contains(&"..") {
            return Err(Errno::INVAL.into());
        }
        let mut prefix = String::new();
        let mut above = self.find("/")?;
        for (at, part) in parts.iter().enumerate() {
            prefix.push('/');
            prefix.push_str(part);
            let last = at + 1 == parts.len();
            above = match self.find(&prefix) {
                Ok(place) => place,
                Err(Errno::NOENT) if last && !folder => {
                    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                    rfs::openat(&above, *part, flags, Mode::from_raw_mode(0o644))?;
                    self.find(&prefix)?
                }
                Err(Errno::NOENT) => {
                    rfs::mkdirat(&above, *part, Mode::from_raw_mode(0o755))?;
                    self.find(&prefix)?
                }
                Err(error) => return Err(error.into()),
            };
        }
        Ok(above)
    }

    /// Makes a folder and mounts a file system on it.
    pub(crate) fn mount(
        &self,
        at: &str,
        kind: &str,
        source: &str,
        flags: libc::c_ulong,
        options: &str,
    ) -> io::Result<()> {
        let target = self.make(at, true)?;
        sys::mount(source, &path_of(&target), kind, flags, options)
    }
}

/// A path by which a held place can be named, until the root changes.
pub(crate) fn path_of(place: &impl AsFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", place.as_fd().as_raw_fd()))
}
