//! The way of a further process into a running container: exec.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use crate::low::init::{Standard, become_process, begin};
use crate::low::rootfs::{Tell, Told, take_terminal};
use crate::low::sys;
use crate::low::terminal::{self, Note};
use crate::low::user::{self, User};
use crate::shim::spec::ProcessSpec;

/// In the child: becomes a process of the container that `target` (its first process) lives in.
pub(crate) fn run(
    process: &ProcessSpec,
    target: BorrowedFd<'_>,
    procs: &[PathBuf],
    standard: Standard,
    parent: OwnedFd,
) -> ! {
    let failed = match prepare(process, target, procs, &standard, &parent) {
        Ok(user) => become_process(process, &user),
        Err(failed) => failed,
    };
    // Nobody to tell when the parent is gone.
    let _ = terminal::say(&parent, &Note::Failed(failed), None);
    sys::leave(127)
}

fn prepare(
    process: &ProcessSpec,
    target: BorrowedFd<'_>,
    procs: &[PathBuf],
    standard: &Standard,
    parent: &OwnedFd,
) -> Told<User> {
    begin(process, standard, procs)?;
    let all = libc::CLONE_NEWNS
        | libc::CLONE_NEWNET
        | libc::CLONE_NEWIPC
        | libc::CLONE_NEWUTS
        | libc::CLONE_NEWCGROUP;
    sys::setns(target, all).tell(|| "cannot join the container's namespaces".into())?;
    std::env::set_current_dir("/").tell(|| "cannot enter /".into())?;
    if process.terminal {
        take_terminal(Path::new("/dev/pts/ptmx"), parent)?;
    }
    user::resolve(&process.user, Path::new("/"))
}
