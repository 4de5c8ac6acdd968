//! [`Children`]: the processes a shim forked, and how they ended. What else is reaped (orphans of containers) is nobody's.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;

use tokio::sync::watch;

use crate::low::sys::{self, Forked};
use crate::shim::spec::now_nanos;

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) signal: i32,
    /// Nanoseconds since the epoch.
    pub(crate) at: u64,
}

/// A forked process.
#[derive(Debug)]
pub(crate) struct Child {
    pub(crate) pid: libc::pid_t,
    pub(crate) handle: OwnedFd,
    ended: watch::Receiver<Option<Ended>>,
}

impl Child {
    /// Waits for its end.
    pub(crate) async fn ended(&self) -> Ended {
        let mut ended = self.ended.clone();
        let found = ended.wait_for(Option::is_some).await.ok().and_then(|found| *found);
        // The table lives as long as the shim.
        found.unwrap_or(Ended { code: 255, signal: 0, at: now_nanos() })
    }

    /// Whether it has.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended.borrow().is_some()
    }

    pub(crate) fn signal(&self, signal: i32) -> io::Result<()> {
        match sys::pidfd_signal(&self.handle, signal) {
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Ok(()),
            other => other,
        }
    }
}

/// In which process namespace a child begins.
pub(crate) enum Space<'a> {
    Same,
    New,
    Of(&'a OwnedFd),
}

/// The table.
#[derive(Clone, Default)]
pub(crate) struct Children {
    waiting: Rc<RefCell<BTreeMap<libc::pid_t, watch::Sender<Option<Ended>>>>>,
}

impl Children {
    /// Forks; `run` is the child's way and never comes back.
    pub(crate) fn fork(&self, space: Space<'_>, run: impl FnOnce()) -> io::Result<Child> {
        let own = rustix::fs::open(
            "/proc/self/ns/pid",
            rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::CLOEXEC,
            rustix::fs::Mode::empty(),
        )?;
        let elsewhere = match space {
            Space::Same => false,
            Space::New => {
                sys::unshare(libc::CLONE_NEWPID)?;
                true
            }
            Space::Of(process) => {
                sys::setns(process.as_fd(), libc::CLONE_NEWPID)?;
                true
            }
        };
        let forked = sys::fork();
        if let Ok(Forked::Child) = forked {
            run();
            sys::leave(127)
        }
        // Later children belong here again.
        let back = if elsewhere { sys::setns(&own, libc::CLONE_NEWPID) } else { Ok(()) };
        let Forked::Parent(pid) = forked? else { unreachable!("the child never comes back") };
        let (tell, ended) = watch::channel(None);
        self.waiting.borrow_mut().insert(pid, tell);
        back?;
        // Not reaped before the next turn of the loop, so the id is still its own.
        Ok(Child { pid, handle: sys::pidfd_open(pid)?, ended })
    }

    /// Reaps all that ended.
    pub(crate) fn reap(&self) {
        while let Some((pid, code, signal)) = sys::reap() {
            if let Some(tell) = self.waiting.borrow_mut().remove(&pid) {
                tell.send_replace(Some(Ended { code, signal, at: now_nanos() }));
            }
        }
    }
}
