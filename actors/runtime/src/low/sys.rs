//! Thin wrappers of system calls that no safe crate offers, or offers only with another meaning.

use std::ffi::{CStr, CString, OsStr};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use tokio::io::unix::AsyncFd;

/// What `fork` gives: the child's id in the parent, nothing in the child.
pub(crate) enum Forked {
    Parent(libc::pid_t),
    Child,
}

/// Forks. Only for single-threaded processes: the child runs ordinary code.
pub(crate) fn fork() -> io::Result<Forked> {
    // SAFETY: the caller has no other thread, so no lock is held by someone who is not copied.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(Forked::Child),
        pid => Ok(Forked::Parent(pid)),
    }
}

/// Ends this process at once, without destructors: the only way out of a forked child but exec.
pub(crate) fn leave(code: i32) -> ! {
    // SAFETY: takes no memory.
    unsafe { libc::_exit(code) }
}

fn check(result: libc::c_long) -> io::Result<libc::c_long> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

fn text(bytes: impl AsRef<OsStr>) -> io::Result<CString> {
    CString::new(bytes.as_ref().as_bytes()).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))
}

pub(crate) fn unshare(flags: libc::c_int) -> io::Result<()> {
    // SAFETY: takes no memory; no other thread shares what is unshared.
    check(unsafe { libc::unshare(flags) }.into()).map(drop)
}

/// Joins the namespaces of a process (pidfd with flags) or one namespace (its file, flags 0 or its kind).
pub(crate) fn setns(fd: impl AsFd, flags: libc::c_int) -> io::Result<()> {
    // SAFETY: takes no memory.
    check(unsafe { libc::setns(fd.as_fd().as_raw_fd(), flags) }.into()).map(drop)
}

pub(crate) fn pidfd_open(pid: libc::pid_t) -> io::Result<OwnedFd> {
    // SAFETY: gives a new descriptor that nobody else owns.
    unsafe { owned(libc::syscall(libc::SYS_pidfd_open, pid, 0)) }
}

pub(crate) fn pidfd_signal(pidfd: impl AsFd, signal: i32) -> io::Result<()> {
    let no_info = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: a null info is allowed.
    let done =
        unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_fd().as_raw_fd(), signal, no_info, 0) };
    check(done).map(drop)
}

pub(crate) fn kill(pid: libc::pid_t, signal: i32) -> io::Result<()> {
    // SAFETY: takes no memory.
    check(unsafe { libc::kill(pid, signal) }.into()).map(drop)
}

/// Reaps one ended child: its id, its exit code, the signal that ended it.
pub(crate) fn reap() -> Option<(libc::pid_t, i32, i32)> {
    let mut status = 0;
    // SAFETY: the status lives across the call.
    let pid = unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG) };
    if pid <= 0 {
        return None;
    }
    let signal = if libc::WIFSIGNALED(status) { libc::WTERMSIG(status) } else { 0 };
    let code = if signal == 0 { libc::WEXITSTATUS(status) } else { 128 + signal };
    Some((pid, code, signal))
}

// ---- mounts ----

pub(crate) fn mount(
    source: &str,
    target: &Path,
    kind: &str,
    flags: libc::c_ulong,
    options: &str,
) -> io::Result<()> {
    let (source, target, kind, options) = (text(source)?, text(target)?, text(kind)?, text(options)?);
    // SAFETY: all strings live across the call.
    let done = unsafe {
        libc::mount(source.as_ptr(), target.as_ptr(), kind.as_ptr(), flags, options.as_ptr().cast())
    };
    check(done.into()).map(drop)
}

pub(crate) fn detach(target: &Path) -> io::Result<()> {
    let target = text(target)?;
    // SAFETY: the string lives across the call.
    check(unsafe { libc::umount2(target.as_ptr(), libc::MNT_DETACH) }.into()).map(drop)
}

/// `pivot_root(".", ".")`: the old root ends up on top of the new one and can be detached.
pub(crate) fn pivot_here() -> io::Result<()> {
    // SAFETY: constant strings.
    check(unsafe { libc::syscall(libc::SYS_pivot_root, c".".as_ptr(), c".".as_ptr()) }).map(drop)
}

/// A copy of a mount (with what is mounted below it, if `recursive`) that hangs nowhere yet.
pub(crate) fn clone_mount(path: &Path, recursive: bool) -> io::Result<OwnedFd> {
    let path = text(path)?;
    let mut flags = libc::OPEN_TREE_CLONE | libc::OPEN_TREE_CLOEXEC;
    if recursive {
        flags |= libc::AT_RECURSIVE as libc::c_uint;
    }
    // SAFETY: the string lives across the call; the new descriptor is ours.
    unsafe { owned(libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, path.as_ptr(), flags)) }
}

/// Hangs a cloned mount where `target` (an `O_PATH` descriptor) leads.
pub(crate) fn hang(mount: impl AsFd, target: impl AsFd) -> io::Result<()> {
    const MOVE_MOUNT_F_EMPTY_PATH: libc::c_uint = 0x4;
    const MOVE_MOUNT_T_EMPTY_PATH: libc::c_uint = 0x40;
    let (mount, target) = (mount.as_fd().as_raw_fd(), target.as_fd().as_raw_fd());
    let flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH;
    // SAFETY: constant strings.
    let done =
        unsafe { libc::syscall(libc::SYS_move_mount, mount, c"".as_ptr(), target, c"".as_ptr(), flags) };
    check(done).map(drop)
}

/// Attributes of a mount (`MOUNT_ATTR_*`) and its propagation (`MS_*`, 0 leaves it).
pub(crate) fn set_mount(
    mount: BorrowedFd<'_>,
    set: u64,
    clear: u64,
    propagation: u64,
    recursive: bool,
) -> io::Result<()> {
    let attributes = libc::mount_attr { attr_set: set, attr_clr: clear, propagation, userns_fd: 0 };
    let flags = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: string and attributes live across the call; the size is theirs.
    let done = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    };
    check(done).map(drop)
}

// ---- the process itself ----

/// Closes nothing now, everything from `first` on at exec.
pub(crate) fn close_on_exec_from(first: RawFd) -> io::Result<()> {
    let first = libc::c_uint::try_from(first).unwrap_or(3);
    let all = libc::c_uint::MAX;
    // SAFETY: takes no memory; marks only.
    let done = unsafe { libc::syscall(libc::SYS_close_range, first, all, libc::CLOSE_RANGE_CLOEXEC) };
    check(done).map(drop)
}

/// Closes every descriptor from `first` on. Nothing that owns one of them may be used or dropped afterwards.
pub(crate) fn close_from(first: RawFd) -> io::Result<()> {
    let first = libc::c_uint::try_from(first).unwrap_or(3);
    // SAFETY: called in forked children that go on without any of these descriptors.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, 0) }).map(drop)
}

/// Makes `fd` the descriptor `number`.
pub(crate) fn duplicate_to(fd: BorrowedFd<'_>, number: RawFd) -> io::Result<()> {
    // SAFETY: only the standard streams are replaced, which nothing here owns.
    check(unsafe { libc::dup2(fd.as_raw_fd(), number) }.into()).map(drop)
}

pub(crate) fn set_host_name(name: &str) -> io::Result<()> {
    // SAFETY: pointer and length are of one string.
    check(unsafe { libc::sethostname(name.as_ptr().cast(), name.len()) }.into()).map(drop)
}

/// Groups, group and user of this process, all three ids each.
pub(crate) fn become_user(uid: u32, gid: u32, groups: &[u32]) -> io::Result<()> {
    // SAFETY: pointer and length are of one slice; the rest takes no memory.
    unsafe {
        check(libc::setgroups(groups.len(), groups.as_ptr()).into())?;
        check(libc::setresgid(gid, gid, gid).into())?;
        check(libc::setresuid(uid, uid, uid).into()).map(drop)
    }
}

pub(crate) fn prctl(option: libc::c_int, argument: libc::c_ulong) -> io::Result<()> {
    // SAFETY: only options whose argument is a number are used here.
    check(unsafe { libc::prctl(option, argument, 0, 0, 0) }.into()).map(drop)
}

pub(crate) fn prctl2(option: libc::c_int, first: libc::c_ulong, second: libc::c_ulong) -> io::Result<()> {
    // SAFETY: only options whose arguments are numbers are used here.
    check(unsafe { libc::prctl(option, first, second, 0, 0) }.into()).map(drop)
}

/// Name that process lists show.
pub(crate) fn set_name(name: &CStr) {
    // SAFETY: the string lives across the call; the kernel copies 15 bytes at most.
    unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr()) };
}

/// Sets effective and permitted capabilities, none inheritable.
pub(crate) fn set_capabilities(mask: u64) -> io::Result<()> {
    #[repr(C)]
    struct Header {
        version: u32,
        pid: i32,
    }
    #[repr(C)]
    #[derive(Clone, Copy)]
    struct Part {
        effective: u32,
        permitted: u32,
        inheritable: u32,
    }
    const VERSION_3: u32 = 0x2008_0522;
    let header = Header { version: VERSION_3, pid: 0 };
    let part = |bits: u64| {
        let bits = u32::try_from(bits & u64::from(u32::MAX)).expect("32 bits were kept");
        Part { effective: bits, permitted: bits, inheritable: 0 }
    };
    let parts = [part(mask), part(mask >> 32)];
    // SAFETY: header and both parts have the layout of version 3 and live across the call.
    check(unsafe { libc::syscall(libc::SYS_capset, &raw const header, parts.as_ptr()) }).map(drop)
}

/// Installs a filter of system calls, for this process and all it becomes.
pub(crate) fn install_filter(program: &[libc::sock_filter]) -> io::Result<()> {
    const SECCOMP_SET_MODE_FILTER: libc::c_ulong = 1;
    let len = u16::try_from(program.len()).map_err(|_| io::Error::from_raw_os_error(libc::E2BIG))?;
    let program = libc::sock_fprog { len, filter: program.as_ptr().cast_mut() };
    // SAFETY: pointer and length are of one slice, which the kernel only reads.
    check(unsafe { libc::syscall(libc::SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &raw const program) })
        .map(drop)
}

/// Default handling for every signal, nothing blocked.
pub(crate) fn reset_signals() {
    // SAFETY: an empty set is valid; signals that cannot be changed are refused harmlessly.
    unsafe {
        for signal in 1..=64 {
            libc::signal(signal, libc::SIG_DFL);
        }
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
    }
}

/// Blocks signals and waits for one of them; gives its number.
pub(crate) fn wait_for_signal(signals: &[i32]) -> i32 {
    // SAFETY: the set is initialised before use and lives across the calls.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        for signal in signals {
            libc::sigaddset(&raw mut set, *signal);
        }
        libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut());
        let mut got = 0;
        libc::sigwait(&raw const set, &raw mut got);
        got
    }
}

/// Becomes another program; comes back only with an error.
pub(crate) fn exec(program: &Path, arguments: &[String], environment: &[String]) -> io::Error {
    let strings = |list: &[String]| list.iter().map(text).collect::<io::Result<Vec<_>>>();
    let (program, arguments, environment) = match (text(program), strings(arguments), strings(environment)) {
        (Ok(program), Ok(arguments), Ok(environment)) => (program, arguments, environment),
        _ => return io::Error::from_raw_os_error(libc::EINVAL),
    };
    let pointers = |list: &[CString]| {
        list.iter().map(|text| text.as_ptr()).chain([std::ptr::null()]).collect::<Vec<_>>()
    };
    let (arguments, environment) = (pointers(&arguments), pointers(&environment));
    // SAFETY: both lists end with null and point at strings that live across the call.
    unsafe { libc::execve(program.as_ptr(), arguments.as_ptr(), environment.as_ptr()) };
    io::Error::last_os_error()
}

// ---- terminals ----

/// Unlocks the other end of a pseudo terminal, opens it, and tells its number.
pub(crate) fn open_other_end(master: impl AsFd) -> io::Result<(OwnedFd, u32)> {
    let fd = master.as_fd().as_raw_fd();
    let unlocked: libc::c_int = 0;
    let mut number: libc::c_uint = 0;
    // SAFETY: the integers live across the calls; the new descriptor is ours.
    unsafe {
        check(libc::ioctl(fd, libc::TIOCSPTLCK, &raw const unlocked).into())?;
        check(libc::ioctl(fd, libc::TIOCGPTN, &raw mut number).into())?;
        let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
        let other = owned(libc::ioctl(fd, libc::TIOCGPTPEER, flags).into())?;
        Ok((other, number))
    }
}

/// Makes a terminal the controlling one of this session.
pub(crate) fn control(terminal: impl AsFd) -> io::Result<()> {
    // SAFETY: takes a number only.
    check(unsafe { libc::ioctl(terminal.as_fd().as_raw_fd(), libc::TIOCSCTTY, 0) }.into()).map(drop)
}

pub(crate) fn resize(terminal: impl AsFd, width: u16, height: u16) -> io::Result<()> {
    let size = libc::winsize { ws_row: height, ws_col: width, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the size lives across the call.
    check(unsafe { libc::ioctl(terminal.as_fd().as_raw_fd(), libc::TIOCSWINSZ, &raw const size) }.into())
        .map(drop)
}

/// A descriptor that the loop watches; it must not block.
pub(crate) fn watched(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    rustix::io::ioctl_fionbio(&fd, true)?;
    // SAFETY: the descriptor is owned by what watches it: it stays open and the same until that is dropped.
    Ok(unsafe { AsyncFd::register(fd) }?)
}

/// # Safety
/// `raw` must be a new descriptor that nobody else owns, or negative with the error in errno.
unsafe fn owned(raw: libc::c_long) -> io::Result<OwnedFd> {
    let raw = check(raw)?;
    let raw = RawFd::try_from(raw).map_err(|_| io::Error::from_raw_os_error(libc::EBADF))?;
    // SAFETY: by this function's contract.
    Ok(unsafe { OwnedFd::from_raw_fd(raw) })
}
