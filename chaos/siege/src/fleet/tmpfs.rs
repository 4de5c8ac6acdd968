//! A small file system in memory for one member, so that it can be filled without harm to anybody else.

use std::fs::File;
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use super::FleetError;

/// Its size: room for the store's reserve, its first segments and a while of writing.
const SIZE: &str = "size=768m,mode=0700";
/// Taken at a time while filling, in bytes: ever smaller pieces until not even a page fits.
const PIECES: [u64; 3] = [64 * 1024 * 1024, 1024 * 1024, 4096];
/// Most pieces of one size; above the size of the file system, or of the larger piece, in any case.
const PIECES_MAX: usize = 1024;

pub(super) struct Tmpfs {
    root: PathBuf,
}

impl Tmpfs {
    pub(super) fn mount(root: &Path) -> Result<Self, FleetError> {
        let options = std::ffi::CString::new(SIZE).expect("no zero byte inside");
        mount("tmpfs", root, "tmpfs", MountFlags::empty(), options.as_c_str()).map_err(|error| {
            FleetError::io(format!(
                "cannot mount a tmpfs on {} (the full-disk fault needs root)",
                root.display()
            ))(error.into())
        })?;
        Ok(Self { root: root.to_owned() })
    }

    /// Takes room until nothing more fits.
    pub(super) fn fill(&self) -> Result<(), FleetError> {
        let path = self.filler();
        let failed = || FleetError::io(format!("{}", path.display()));
        let file = File::create(&path).map_err(failed())?;
        let mut taken = 0;
        for piece in PIECES {
            for _ in 0..PIECES_MAX {
                match fallocate(&file, FallocateFlags::empty(), taken, piece) {
                    Ok(()) => taken += piece,
                    Err(Errno::NOSPC) => break,
                    Err(error) => return Err(failed()(error.into())),
                }
            }
        }
        Ok(())
    }

    pub(super) fn empty(&self) {
        // Not there: it is empty already.
        let _absent = std::fs::remove_file(self.filler());
    }

    /// Takes it away, content and all; once more does nothing.
    pub(super) fn unmount(&self) {
        // EINVAL says that it is gone already.
        let _gone = unmount(&self.root, UnmountFlags::DETACH);
    }

    fn filler(&self) -> PathBuf {
        self.root.join("filler")
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        // A siege that failed early leaves no mount behind.
        self.unmount();
    }
}
