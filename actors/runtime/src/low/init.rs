//! The way of a container's first process from fork to exec.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{self as rfs, Mode, OFlags};

use crate::low::capability;
use crate::low::rootfs::{self, Sources, Tell, Told};
use crate::low::seccomp;
use crate::low::sys;
use crate::low::terminal::{self, Note};
use crate::low::user::{self, User};
use crate::shim::spec::{ContainerSpec, ProcessSpec};

/// Environment when neither image nor pod give a path.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Files that a process may have open until it asks for more, and the most it may ask for.
const OPEN_FILES: u64 = 1_024;
const OPEN_FILES_MOST: u64 = 524_288;

/// Standard streams of a new process; none of a terminal's.
#[derive(Debug, Default)]
pub(crate) struct Standard {
    pub(crate) input: Option<OwnedFd>,
    pub(crate) output: Option<OwnedFd>,
    pub(crate) error: Option<OwnedFd>,
}

/// In the child: becomes the container's process, or says why not and ends.
pub(crate) fn run(spec: &ContainerSpec, pause: BorrowedFd<'_>, standard: Standard, parent: OwnedFd) -> ! {
    let failed = match prepare(spec, pause, &standard, &parent) {
        Ok(user) => become_process(&spec.process, &user),
        Err(failed) => failed,
    };
    // Nobody to tell when the parent is gone.
    let _ = terminal::say(&parent, &Note::Failed(failed), None);
    sys::leave(127)
}

fn prepare(spec: &ContainerSpec, pause: BorrowedFd<'_>, standard: &Standard, parent: &OwnedFd) -> Told<User> {
    begin(&spec.process, standard, &spec.group.procs)?;
    let shm = copy_shm(spec, pause)?;
    join_sandbox(spec, pause)?;
    sys::unshare(libc::CLONE_NEWNS | libc::CLONE_NEWCGROUP).tell(|| "cannot make namespaces".into())?;
    let sources = Sources::copy(&spec.mounts, shm)?;
    rootfs::enter(spec, sources, parent)?;
    let user = user::resolve(&spec.process.user, Path::new("/"))?;
    terminal::say(parent, &Note::User(user.clone()), None).tell(|| "cannot report".into())?;
    Ok(user)
}

/// Signals, session, streams and groups: what must be done while the node's files are in sight.
pub(crate) fn begin(process: &ProcessSpec, standard: &Standard, procs: &[PathBuf]) -> Told<()> {
    sys::reset_signals();
    rustix::process::setsid().tell(|| "cannot start a session".into())?;
    for file in procs {
        std::fs::write(file, "0").tell(|| format!("cannot join the cgroup {}", file.display()))?;
    }
    if let Some(score) = process.oom_score_adj {
        match std::fs::write("/proc/self/oom_score_adj", score.to_string()) {
            // Lowering needs CAP_SYS_RESOURCE: a node within a container keeps the score it was given.
            Err(error) if error.raw_os_error() == Some(libc::EACCES) => {}
            other => other.tell(|| format!("cannot set oom_score_adj to {score}"))?,
        }
    }
    limit()?;
    if process.terminal {
        return Ok(());
    }
    let null = rfs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty());
    let null = null.tell(|| "cannot open /dev/null".into())?;
    for (stream, number) in [(&standard.input, 0), (&standard.output, 1), (&standard.error, 2)] {
        sys::duplicate_to(stream.as_ref().unwrap_or(&null).as_fd(), number)
            .tell(|| "cannot place the standard streams".into())?;
    }
    Ok(())
}

/// What systemd gives services, and containerd with them to its containers: few open files at first and many for those who
/// ask, no bound on processes (the cgroup has one) and on dumps. Not what this node raised for itself. A node that may
/// not raise a limit keeps to its own.
fn limit() -> Told<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let shown = || "cannot set resource limits".to_owned();
    let own = getrlimit(Resource::Nofile);
    let most = own.maximum.map_or(OPEN_FILES_MOST, |own| own.min(OPEN_FILES_MOST));
    let files = Rlimit { current: Some(OPEN_FILES.min(most)), maximum: Some(most) };
    setrlimit(Resource::Nofile, files).map_err(std::io::Error::from).tell(shown)?;
    for resource in [Resource::Nproc, Resource::Core] {
        let maximum = getrlimit(resource).maximum;
        setrlimit(resource, Rlimit { current: maximum, maximum })
            .map_err(std::io::Error::from)
            .tell(shown)?;
    }
    Ok(())
}

/// The sandbox' shared memory folder lies in the pause process' mount namespace: look in there and come back.
fn copy_shm(spec: &ContainerSpec, pause: BorrowedFd<'_>) -> Told<Option<OwnedFd>> {
    let shown = || "cannot reach the sandbox' shared memory".to_owned();
    if spec.host_ipc {
        return Ok(sys::clone_mount(Path::new("/dev/shm"), true).ok());
    }
    let own = rfs::open("/proc/self/ns/mnt", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).tell(shown)?;
    sys::setns(pause, libc::CLONE_NEWNS).tell(shown)?;
    let shm = sys::clone_mount(Path::new("/dev/shm"), false);
    sys::setns(&own, libc::CLONE_NEWNS).tell(shown)?;
    shm.map(Some).tell(shown)
}

fn join_sandbox(spec: &ContainerSpec, pause: BorrowedFd<'_>) -> Told<()> {
    let mut flags = 0;
    if !spec.host_network {
        flags |= libc::CLONE_NEWNET | libc::CLONE_NEWUTS;
    }
    if !spec.host_ipc {
        flags |= libc::CLONE_NEWIPC;
    }
    if flags == 0 {
        return Ok(());
    }
    sys::setns(pause, flags).tell(|| "cannot join the sandbox' namespaces".into())
}

/// The last steps, inside the container: folder, identity, powers, filter, exec. Comes back with why it failed.
pub(crate) fn become_process(process: &ProcessSpec, user: &User) -> String {
    match try_become(process, user) {
        Ok(never) => match never {},
        Err(failed) => failed,
    }
}

fn try_become(process: &ProcessSpec, user: &User) -> Told<std::convert::Infallible> {
    rustix::process::umask(Mode::from_raw_mode(0o022));
    let folder = if process.working_dir.is_empty() { "/" } else { &process.working_dir };
    let entered = std::env::set_current_dir(folder);
    let _ = sys::prctl2(
        libc::PR_CAP_AMBIENT,
        libc::c_ulong::from(libc::PR_CAP_AMBIENT_CLEAR_ALL.unsigned_abs()),
        0,
    );
    for number in 0..63_u32 {
        if process.capabilities & (1 << number) == 0 {
            match sys::prctl(libc::PR_CAPBSET_DROP, libc::c_ulong::from(number)) {
                // The kernel has no power of that number.
                Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {}
                other => other.tell(|| format!("cannot give up capability {number}"))?,
            }
        }
    }
    if process.no_new_privileges {
        sys::prctl2(libc::PR_SET_NO_NEW_PRIVS, 1, 0).tell(|| "cannot set no_new_privs".into())?;
    } else {
        // Installing needs a power that goes with the user; so it comes before.
        seccomp::install(&process.filters).tell(|| "cannot install the seccomp filter".into())?;
    }
    sys::become_user(user.uid, user.gid, &user.groups)
        .tell(|| format!("cannot become user {} of group {}", user.uid, user.gid))?;
    if user.uid == 0 {
        let powers = process.capabilities & capability::all();
        sys::set_capabilities(powers).tell(|| "cannot set capabilities".into())?;
    }
    if entered.is_err() {
        std::env::set_current_dir(folder)
            .tell(|| format!("chdir to cwd (\"{folder}\") set in config.json failed"))?;
    }
    // A folder held open from outside would show as unreachable.
    let here = std::env::current_dir().tell(|| "the working directory is outside of the container".into())?;
    if !here.is_absolute() {
        return Err("the working directory is outside of the container".to_owned());
    }
    let environment = environment(process, user);
    let program = find_program(process.arguments.first().map_or("", String::as_str), &environment)?;
    if process.no_new_privileges {
        seccomp::install(&process.filters).tell(|| "cannot install the seccomp filter".into())?;
    }
    sys::close_on_exec_from(3).tell(|| "cannot mark descriptors".into())?;
    let error = sys::exec(&program, &process.arguments, &environment);
    Err(format!("exec {}: {}", program.display(), words(&error)))
}

fn environment(process: &ProcessSpec, user: &User) -> Vec<String> {
    let mut environment = process.environment.clone();
    let has =
        |list: &[String], name: &str| list.iter().any(|setting| setting.split('=').next() == Some(name));
    if !has(&environment, "PATH") {
        environment.push(format!("PATH={DEFAULT_PATH}"));
    }
    if !has(&environment, "HOME") {
        environment.push(format!("HOME={}", user.home));
    }
    if process.terminal && !has(&environment, "TERM") {
        environment.push("TERM=xterm".to_owned());
    }
    environment
}

/// Looks a program up as the shell does, with the words that every runtime uses when it is not there.
fn find_program(name: &str, environment: &[String]) -> Told<PathBuf> {
    if name.is_empty() {
        return Err("no command specified".to_owned());
    }
    let check = |path: &Path| -> io::Result<()> {
        let about = std::fs::metadata(path)?;
        if about.is_dir() {
            return Err(io::Error::from_raw_os_error(libc::EISDIR));
        }
        use std::os::unix::fs::PermissionsExt;
        if about.permissions().mode() & 0o111 == 0 {
            return Err(io::Error::from_raw_os_error(libc::EACCES));
        }
        Ok(())
    };
    if name.contains('/') {
        let path = PathBuf::from(name);
        return match check(&path) {
            Ok(()) => Ok(path),
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => {
                Err(format!("exec: \"{name}\": stat {name}: no such file or directory"))
            }
            Err(error) => Err(format!("exec: \"{name}\": {}", words(&error))),
        };
    }
    let path =
        environment.iter().rev().find_map(|setting| setting.strip_prefix("PATH=")).unwrap_or(DEFAULT_PATH);
    let candidates =
        path.split(':').map(|folder| Path::new(if folder.is_empty() { "." } else { folder }).join(name));
    let found = candidates.into_iter().find(|candidate| check(candidate).is_ok());
    found.ok_or_else(|| format!("exec: \"{name}\": executable file not found in $PATH"))
}

/// The system's words without the number that Rust adds.
fn words(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut letters = text.chars();
    letters.next().map_or(String::new(), |first| first.to_lowercase().chain(letters).collect())
}
