//! [`Netns`]: where something is done. Entering another network namespace is done by a thread of its own, which ends
//! with the work, so that no thread of a pool is ever left in the wrong place.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use rustix::mount::UnmountFlags;
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space, unshare_unsafe};

/// A network namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Netns {
    /// The one this process runs in.
    #[default]
    Current,
    /// By a file such as `/run/netns/x` or `/proc/<pid>/ns/net`.
    Path(PathBuf),
}

impl Netns {
    /// The namespace behind a file.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self::Path(path.into())
    }

    /// Makes a namespace and keeps it under a file until [`Netns::let_go`], over the end of this process. One that is
    /// kept there already is taken as it is.
    ///
    /// # Errors
    /// Without the needed privileges, or when the file cannot be made.
    pub fn keep_at(path: impl Into<PathBuf>) -> io::Result<Self> {
        let path = path.into();
        if !Self::is_kept(&path) {
            File::options().create(true).truncate(false).write(true).open(&path)?;
            make(&path)?;
        }
        Ok(Self::Path(path))
    }

    /// Whether a namespace is kept under the file: after a restart of the machine the file is there, but nothing else.
    pub fn is_kept(path: &Path) -> bool {
        /// What the kernel calls files of namespaces.
        const NSFS: u64 = 0x6e73_6673;
        rustix::fs::statfs(path).is_ok_and(|about| u64::try_from(about.f_type) == Ok(NSFS))
    }

    /// Keeps the namespace no longer; it goes with the last process in it. One that is not kept is fine.
    ///
    /// # Errors
    /// When it cannot be unmounted or the file not be removed.
    pub fn let_go(path: &Path) -> io::Result<()> {
        while Self::is_kept(path) {
            rustix::mount::unmount(path, UnmountFlags::DETACH)?;
        }
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Does `work` in the namespace and waits for it. Sockets made there stay there.
    ///
    /// # Errors
    /// When the namespace cannot be entered, or the work's own.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
        let Self::Path(path) = self else { return work() };
        let file = open(path)?;
        std::thread::scope(|scope| {
            let entering =
                std::thread::Builder::new().name("netns".to_owned()).spawn_scoped(scope, || {
                    move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))?;
                    work()
                })?;
            entering.join().unwrap_or_else(|_| Err(io::Error::other("the work in the namespace panicked")))
        })
    }

    /// Writes a kernel parameter of the namespace (`net/ipv4/ip_forward`). False when the kernel has no such
    /// parameter.
    ///
    /// # Errors
    /// When it is there and cannot be written.
    pub fn write_sysctl(&self, name: &str, value: &str) -> io::Result<bool> {
        let path = Path::new("/proc/sys").join(name);
        self.run(|| match std::fs::read_to_string(&path) {
            Ok(now) if now.trim() == value => Ok(true),
            Ok(_) => std::fs::write(&path, value).map(|()| true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        })
    }

    /// Opens the namespace's file, to hand it to the kernel.
    ///
    /// # Errors
    /// When it is gone.
    pub fn open(&self) -> io::Result<File> {
        match self {
            Self::Current => File::open("/proc/thread-self/ns/net"),
            Self::Path(path) => open(path),
        }
    }
}

#[allow(unsafe_code, reason = "a thread leaves its network namespace")]
fn make(path: &Path) -> io::Result<()> {
    std::thread::scope(|scope| {
        let making = std::thread::Builder::new().name("netns".to_owned()).spawn_scoped(scope, || {
            // SAFETY: only this thread leaves its network namespace, does nothing else and ends.
            unsafe { unshare_unsafe(UnshareFlags::NEWNET) }?;
            Ok(rustix::mount::mount_bind("/proc/thread-self/ns/net", path)?)
        })?;
        making.join().unwrap_or_else(|_| Err(io::Error::other("making a namespace panicked")))
    })
}

fn open(path: &Path) -> io::Result<File> {
    File::open(path).map_err(|error| {
        io::Error::new(error.kind(), format!("network namespace {}: {error}", path.display()))
    })
}
