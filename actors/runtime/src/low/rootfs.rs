//! A container's view of files, built in its own mount namespace: overlay, system mounts, volumes, devices.
//!
//! Nothing is mounted where the node could see it, so nothing can leak: the kernel takes all of it back with the last
//! process of the container. Sources are copied (`open_tree`) before propagation is cut, because a copy keeps the
//! peer group that `HostToContainer` and `Bidirectional` need.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{self as rfs, FileType, Mode};
use trireme_node::{Mount, Propagation};

use crate::low::mounts::{Root, path_of};
use crate::low::sys;
use crate::low::terminal::{self, Note};
use crate::shim::spec::{ContainerSpec, DeviceSpec, RootSpec};

/// Size of the shared memory folder, bytes.
pub(crate) const SHM_BYTES: u64 = 64 * 1024 * 1024;

const HIDDEN: libc::c_ulong = libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;

/// A failure with what was tried, as the pod's status shows it.
pub(crate) type Told<T> = Result<T, String>;

pub(crate) trait Tell<T> {
    fn tell(self, what: impl FnOnce() -> String) -> Told<T>;
}

impl<T, E: Into<io::Error>> Tell<T> for Result<T, E> {
    fn tell(self, what: impl FnOnce() -> String) -> Told<T> {
        self.map_err(|error| format!("{}: {}", what(), error.into()))
    }
}

/// Volumes, copied while the node's propagation still holds.
pub(crate) struct Sources {
    volumes: Vec<(Mount, OwnedFd, bool)>,
    shm: Option<OwnedFd>,
}

impl Sources {
    /// Copies what `mounts` name, in a fresh mount namespace. `shm` was copied from the sandbox.
    pub(crate) fn copy(mounts: &[Mount], shm: Option<OwnedFd>) -> Told<Self> {
        let mut mounts = mounts.to_vec();
        // Outer ones first; equal depth keeps the given order.
        mounts.sort_by_key(|mount| mount.container_path.split('/').filter(|part| !part.is_empty()).count());
        let mut volumes = Vec::new();
        for mount in mounts {
            let shown = || format!("error mounting \"{}\" to \"{}\"", mount.host_path, mount.container_path);
            let path = Path::new(&mount.host_path);
            let folder = std::fs::metadata(path).tell(shown)?.is_dir();
            let copy = sys::clone_mount(path, true).tell(shown)?;
            volumes.push((mount, copy, folder));
        }
        Ok(Self { volumes, shm })
    }

    fn covers(&self, path: &str) -> bool {
        self.volumes.iter().any(|(mount, ..)| mount.container_path.trim_end_matches('/') == path)
    }
}

/// Builds the root and makes it the process' own.
pub(crate) fn enter(spec: &ContainerSpec, sources: Sources, parent: &OwnedFd) -> Told<()> {
    let slash = Path::new("/");
    sys::mount("none", slash, "", libc::MS_REC | libc::MS_PRIVATE, "")
        .tell(|| "cannot cut mounts off".into())?;
    mount_overlay(&spec.root)?;
    let root = Root::open(&spec.root.merged).tell(|| "cannot open the root file system".into())?;
    mount_system(spec, &root, &sources)?;
    for device in &spec.devices {
        make_device(&root, device)?;
    }
    if spec.process.terminal {
        give_terminal(&root, parent)?;
    }
    for (mount, copy, folder) in &sources.volumes {
        hang_volume(&root, mount, copy, *folder)?;
    }
    if !spec.process.working_dir.is_empty() {
        let shown = || format!("cannot make the working directory \"{}\"", spec.process.working_dir);
        root.make(&spec.process.working_dir, true).tell(shown)?;
    }
    std::env::set_current_dir(&spec.root.merged).tell(|| "cannot enter the root file system".into())?;
    sys::pivot_here().tell(|| "cannot make the root file system the process' own".into())?;
    sys::detach(Path::new(".")).tell(|| "cannot leave the node's file system".into())?;
    std::env::set_current_dir("/").tell(|| "cannot enter /".into())?;
    for path in &spec.read_only_paths {
        make_read_only(path)?;
    }
    for path in &spec.masked_paths {
        mask(path)?;
    }
    if spec.root.read_only {
        let root = rfs::open("/", rfs::OFlags::PATH | rfs::OFlags::CLOEXEC, Mode::empty());
        let root = root.tell(|| "cannot open /".into())?;
        sys::set_mount(root.as_fd(), libc::MOUNT_ATTR_RDONLY, 0, 0, false)
            .tell(|| "cannot make the root file system read-only".into())?;
    }
    Ok(())
}

fn mount_overlay(root: &RootSpec) -> Told<()> {
    // Names relative to their folder, and descriptors for the rest: the options of a mount share one page, and
    // neither needs escaping.
    std::env::set_current_dir(&root.layers_dir)
        .tell(|| format!("cannot enter {}", root.layers_dir.display()))?;
    let open = |path: &Path| {
        let flags = rfs::OFlags::PATH | rfs::OFlags::DIRECTORY | rfs::OFlags::CLOEXEC;
        rfs::open(path, flags, Mode::empty()).tell(|| format!("cannot open {}", path.display()))
    };
    let (upper, work) = (open(&root.upper)?, open(&root.work)?);
    // overlayfs wants the uppermost first.
    let lower: Vec<String> = root.layers.iter().rev().map(|name| format!("{name}/fs")).collect();
    let options = format!(
        "lowerdir={},upperdir={},workdir={}",
        lower.join(":"),
        path_of(&upper).display(),
        path_of(&work).display()
    );
    // A container's own layer never outlives a crash of the machine, so its writes need no sync at the end.
    let volatile = format!("{options},volatile");
    let target = &root.merged;
    sys::mount("overlay", target, "overlay", 0, &volatile)
        .or_else(|_| sys::mount("overlay", target, "overlay", 0, &options))
        .tell(|| format!("cannot mount the image's {} layers at {}", root.layers.len(), target.display()))
}

fn mount_system(spec: &ContainerSpec, root: &Root, sources: &Sources) -> Told<()> {
    let mount = |at: &str, kind: &str, flags: libc::c_ulong, options: &str| {
        if sources.covers(at) {
            return Ok(());
        }
        root.mount(at, kind, kind, flags, options).tell(|| format!("cannot mount {kind} at {at}"))
    };
    mount("/proc", "proc", HIDDEN, "")?;
    mount("/dev", "tmpfs", libc::MS_NOSUID, "mode=755,size=65536k")?;
    mount(
        "/dev/pts",
        "devpts",
        libc::MS_NOSUID | libc::MS_NOEXEC,
        "newinstance,ptmxmode=0666,mode=0620,gid=5",
    )?;
    mount("/dev/mqueue", "mqueue", HIDDEN, "")?;
    if let (Some(shm), false) = (&sources.shm, sources.covers("/dev/shm")) {
        let target = root.make("/dev/shm", true).tell(|| "cannot make /dev/shm".into())?;
        sys::hang(shm, &target).tell(|| "cannot mount /dev/shm".into())?;
    }
    let read_only = if spec.privileged { 0 } else { libc::MS_RDONLY };
    mount("/sys", "sysfs", HIDDEN | read_only, "")?;
    mount_cgroups(spec, root, sources, read_only)?;
    default_devices(root)
}

fn mount_cgroups(spec: &ContainerSpec, root: &Root, sources: &Sources, read_only: libc::c_ulong) -> Told<()> {
    const AT: &str = "/sys/fs/cgroup";
    let flags = HIDDEN | read_only;
    if sources.covers(AT) || sources.covers("/sys") {
        return Ok(());
    }
    if spec.cgroup_v1.is_empty() {
        let done = root.mount(AT, "cgroup2", "cgroup2", flags, "nsdelegate");
        return done
            .or_else(|_| root.mount(AT, "cgroup2", "cgroup2", flags, ""))
            .tell(|| format!("cannot mount cgroup2 at {AT}"));
    }
    root.mount(AT, "tmpfs", "tmpfs", HIDDEN, "mode=755").tell(|| format!("cannot mount {AT}"))?;
    for controllers in &spec.cgroup_v1 {
        let at = format!("{AT}/{controllers}");
        root.mount(&at, "cgroup", "cgroup", flags, controllers).tell(|| format!("cannot mount {at}"))?;
        let folder = root.find(AT).tell(|| format!("cannot open {AT}"))?;
        for alias in controllers.split(',').filter(|alias| alias != controllers) {
            rfs::symlinkat(controllers.as_str(), &folder, alias)
                .tell(|| format!("cannot make {AT}/{alias}"))?;
        }
    }
    let folder = root.find(AT).tell(|| format!("cannot open {AT}"))?;
    sys::mount("none", &path_of(&folder), "", libc::MS_REMOUNT | libc::MS_BIND | flags, "")
        .tell(|| format!("cannot make {AT} read-only"))
}

fn default_devices(root: &Root) -> Told<()> {
    let device = |name: &str, major, minor| DeviceSpec {
        path: format!("/dev/{name}"),
        block: false,
        major,
        minor,
        mode: 0o666,
        uid: 0,
        gid: 0,
    };
    for (name, major, minor) in
        [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)]
    {
        make_device(root, &device(name, major, minor))?;
    }
    let folder = root.make("/dev", true).tell(|| "cannot make /dev".into())?;
    for (target, name) in [
        ("/proc/self/fd", "fd"),
        ("/proc/self/fd/0", "stdin"),
        ("/proc/self/fd/1", "stdout"),
        ("/proc/self/fd/2", "stderr"),
        ("pts/ptmx", "ptmx"),
    ] {
        match rfs::symlinkat(target, &folder, name) {
            Ok(()) | Err(rustix::io::Errno::EXIST) => {}
            Err(error) => return Err(error).tell(|| format!("cannot make /dev/{name}")),
        }
    }
    Ok(())
}

fn make_device(root: &Root, device: &DeviceSpec) -> Told<()> {
    let shown = || format!("cannot make the device {}", device.path);
    let (folder, name) = device.path.rsplit_once('/').ok_or_else(shown)?;
    let folder = root.make(if folder.is_empty() { "/" } else { folder }, true).tell(shown)?;
    let kind = if device.block { FileType::BlockDevice } else { FileType::CharacterDevice };
    let number = rfs::makedev(device.major, device.minor);
    match rfs::mknodat(&folder, name, kind, Mode::from_raw_mode(device.mode), number) {
        Err(rustix::io::Errno::EXIST) => return Ok(()),
        other => other.tell(shown)?,
    }
    let (user, group) = (rfs::Uid::from_raw(device.uid), rfs::Gid::from_raw(device.gid));
    rfs::chownat(&folder, name, Some(user), Some(group), rfs::AtFlags::SYMLINK_NOFOLLOW).tell(shown)?;
    rfs::chmodat(&folder, name, Mode::from_raw_mode(device.mode), rfs::AtFlags::empty()).tell(shown)
}

/// Opens a terminal of the container, hands its near end to the shim, and makes the far end the standard streams.
fn give_terminal(root: &Root, parent: &OwnedFd) -> Told<()> {
    let shown = || "cannot make a terminal".to_owned();
    let multiplexer = root.find("/dev/pts/ptmx").tell(shown)?;
    let far = take_terminal(&path_of(&multiplexer), parent)?;
    let number = far.1;
    let source = root.find(&format!("/dev/pts/{number}")).tell(shown)?;
    let console = root.make("/dev/console", false).tell(shown)?;
    sys::mount(&path_of(&source).display().to_string(), &path_of(&console), "", libc::MS_BIND, "").tell(shown)
}

/// Opens a terminal at a multiplexer; standard streams become its far end, the near end goes to the parent.
pub(crate) fn take_terminal(multiplexer: &Path, parent: &OwnedFd) -> Told<(OwnedFd, u32)> {
    let shown = || "cannot make a terminal".to_owned();
    let flags = rfs::OFlags::RDWR | rfs::OFlags::NOCTTY | rfs::OFlags::CLOEXEC;
    let near = rfs::open(multiplexer, flags, Mode::empty()).tell(shown)?;
    let (far, number) = sys::open_other_end(&near).tell(shown)?;
    terminal::say(parent, &Note::Terminal, Some(&near)).tell(shown)?;
    sys::control(&far).tell(shown)?;
    for stream in 0..3 {
        sys::duplicate_to(far.as_fd(), stream).tell(shown)?;
    }
    Ok((far, number))
}

fn hang_volume(root: &Root, mount: &Mount, copy: &OwnedFd, folder: bool) -> Told<()> {
    let shown =
        || format!("error mounting \"{}\" to rootfs at \"{}\"", mount.host_path, mount.container_path);
    if mount.recursive_read_only {
        sys::set_mount(copy.as_fd(), libc::MOUNT_ATTR_RDONLY, 0, 0, true).tell(|| {
            format!("{}: this kernel cannot make mounts recursively read-only (needs 5.12)", shown())
        })?;
    } else if mount.read_only {
        sys::set_mount(copy.as_fd(), libc::MOUNT_ATTR_RDONLY, 0, 0, false).tell(shown)?;
    }
    let propagation = match mount.propagation {
        Propagation::Private => Some(libc::MS_PRIVATE),
        Propagation::FromHost => Some(libc::MS_SLAVE),
        Propagation::Both => None,
    };
    if let Some(propagation) = propagation {
        sys::set_mount(copy.as_fd(), 0, 0, propagation, true).tell(shown)?;
    }
    let target = root.make(&mount.container_path, folder).tell(shown)?;
    sys::hang(copy, &target).tell(shown)
}

fn make_read_only(path: &str) -> Told<()> {
    let shown = || format!("cannot make {path} read-only");
    let copy = match sys::clone_mount(Path::new(path), true) {
        Err(error) if is_missing(&error) => return Ok(()),
        other => other.tell(shown)?,
    };
    sys::set_mount(copy.as_fd(), libc::MOUNT_ATTR_RDONLY, 0, 0, true).tell(shown)?;
    let target = rfs::open(path, rfs::OFlags::PATH | rfs::OFlags::CLOEXEC, Mode::empty()).tell(shown)?;
    sys::hang(&copy, &target).tell(shown)
}

fn mask(path: &str) -> Told<()> {
    let shown = || format!("cannot mask {path}");
    let about = match std::fs::metadata(path) {
        Err(error) if is_missing(&error) => return Ok(()),
        other => other.tell(shown)?,
    };
    if about.is_dir() {
        return sys::mount("tmpfs", Path::new(path), "tmpfs", libc::MS_RDONLY, "size=0k").tell(shown);
    }
    sys::mount("/dev/null", Path::new(path), "", libc::MS_BIND, "").tell(shown)
}

fn is_missing(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR))
}
