//! Unpacking one layer into a folder that overlayfs can use as it is.
//!
//! Layers come from strangers. Every path is resolved by the kernel below the layer's own root
//! (`openat2(RESOLVE_IN_ROOT)`), so neither `..` nor a symbolic link of an earlier entry leads outside; extended
//! attributes that overlayfs itself obeys are dropped. Whiteouts become what overlayfs understands: a character device
//! 0:0 for a removed name, an attribute for an opaque folder.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use rustix::fs::{self as rfs, AtFlags, FileType, Mode, OFlags, ResolveFlags, XattrFlags};
use rustix::io::Errno;
use sha2::{Digest, Sha256};
use tar::EntryType;

use crate::fail::{OrFail, Outcome, invalid};
use crate::image::blob::hex;
use crate::image::decompress::decompress;

/// Entries in a layer.
const ENTRIES_LIMIT: u64 = 4_000_000;
/// Unpacked bytes of a layer.
const UNPACKED_LIMIT_BYTES: u64 = 256 * 1024 * 1024 * 1024;
const WHITEOUT: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";

/// Hashes what passes.
struct Hashed<R> {
    inner: R,
    hash: Sha256,
    bytes: u64,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(into)?;
        self.hash.update(&into[..count]);
        self.bytes += count as u64;
        if self.bytes > UNPACKED_LIMIT_BYTES {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("the layer is longer than {UNPACKED_LIMIT_BYTES} bytes"),
            ));
        }
        Ok(count)
    }
}

/// Unpacks a layer below `root`; gives the digest of the unpacked stream.
///
/// # Errors
/// `Invalid` for a damaged or hostile layer, the disk's otherwise.
pub(crate) fn unpack(layer: File, root: &Path) -> Outcome<String> {
    let mut stream = Hashed { inner: decompress(layer)?, hash: Sha256::new(), bytes: 0 };
    let mut tree = Tree::open(root)?;
    let mut archive = tar::Archive::new(&mut stream);
    let entries = archive.entries().or_fail(|| "this is no tar archive".into())?;
    for (count, entry) in entries.enumerate() {
        let mut entry = entry.or_fail(|| "the tar archive is damaged".into())?;
        if count as u64 >= ENTRIES_LIMIT {
            return Err(invalid(format!("the layer has more than {ENTRIES_LIMIT} entries")));
        }
        tree.add(&mut entry)?;
    }
    io::copy(&mut stream, &mut io::sink()).or_fail(|| "the tar archive is damaged".into())?;
    tree.finish()?;
    Ok(format!("sha256:{}", hex(&stream.hash.finalize())))
}

/// Owner, mode, time and further attributes of an entry.
struct Attributes {
    uid: u32,
    gid: u32,
    mode: u32,
    mtime: i64,
    extended: Vec<(CString, Vec<u8>)>,
}

struct Tree {
    root: OwnedFd,
    /// The folder of the last entry: neighbours mostly share it.
    last: Option<(Vec<u8>, OwnedFd)>,
    /// Folders' times, set at the end, because their content changes them.
    folder_times: BTreeMap<Vec<u8>, i64>,
}

impl Tree {
    fn open(root: &Path) -> Outcome<Self> {
        let root = rfs::open(root, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            .or_fail(|| format!("cannot open {}", root.display()))?;
        Ok(Self { root, last: None, folder_times: BTreeMap::new() })
    }

    fn add<R: Read>(&mut self, entry: &mut tar::Entry<'_, R>) -> Outcome<()> {
        let kind = entry.header().entry_type();
        if matches!(kind, EntryType::XGlobalHeader | EntryType::XHeader) {
            return Ok(());
        }
        let path = clean(&entry.path_bytes())?;
        let attributes = attributes(entry)?;
        let shown = || format!("cannot unpack {}", String::from_utf8_lossy(&path));
        let Some((parent_path, name)) = split(&path) else {
            // The root itself.
            let root = rfs::openat(&self.root, c".", OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
            return self.dress(&root.or_fail(shown)?, &attributes).or_fail(shown);
        };
        let parent = self.folder(parent_path)?;
        if name == OPAQUE {
            let path = format!("/proc/self/fd/{}", parent.as_raw_fd());
            return rfs::setxattr(path.as_str(), c"trusted.overlay.opaque", b"y", XattrFlags::empty())
                .or_fail(shown);
        }
        if let Some(gone) = name.strip_prefix(WHITEOUT) {
            if gone.is_empty() || gone == b"." || gone == b".." || gone.starts_with(WHITEOUT) {
                return Ok(());
            }
            remove(&parent, gone).or_fail(shown)?;
            return rfs::mknodat(&parent, gone, FileType::CharacterDevice, Mode::empty(), 0).or_fail(shown);
        }
        self.put(entry, kind, &parent, name, &attributes)?;
        if kind == EntryType::Directory {
            self.folder_times.insert(path.clone(), attributes.mtime);
        }
        Ok(())
    }

    fn put<R: Read>(
        &mut self,
        entry: &mut tar::Entry<'_, R>,
        kind: EntryType,
        parent: &OwnedFd,
        name: &[u8],
        attributes: &Attributes,
    ) -> Outcome<()> {
        let shown = || format!("cannot unpack {}", String::from_utf8_lossy(name));
        let is_folder = kind == EntryType::Directory;
        let there = rfs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW);
        match there {
            Ok(there) if is_folder && FileType::from_raw_mode(there.st_mode) == FileType::Directory => {}
            Ok(_) => remove(parent, name).or_fail(shown)?,
            Err(Errno::NOENT) => {}
            Err(error) => return Err(error).or_fail(shown),
        }
        let private = Mode::from_raw_mode(0o600);
        match kind {
            EntryType::Directory => {
                match rfs::mkdirat(parent, name, Mode::from_raw_mode(0o700)) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(error) => return Err(error).or_fail(shown),
                }
                let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let folder = rfs::openat(parent, name, flags, Mode::empty()).or_fail(shown)?;
                self.dress(&folder, attributes).or_fail(shown)
            }
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                let flags =
                    OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let mut file = File::from(rfs::openat(parent, name, flags, private).or_fail(shown)?);
                io::copy(entry, &mut file).or_fail(shown)?;
                self.dress(&file, attributes).or_fail(shown)?;
                set_time(file.as_fd(), attributes.mtime).or_fail(shown)
            }
            EntryType::Link => {
                let target = entry.link_name_bytes().ok_or_else(|| invalid("a hard link leads nowhere"))?;
                let target = clean(&target)?;
                let (folder, target_name) =
                    split(&target).ok_or_else(|| invalid("a hard link leads to the root folder"))?;
                let folder = self.folder(folder)?;
                rfs::linkat(&folder, target_name, parent, name, AtFlags::empty()).or_fail(shown)
            }
            EntryType::Symlink => {
                let target =
                    entry.link_name_bytes().ok_or_else(|| invalid("a symbolic link leads nowhere"))?;
                rfs::symlinkat(target.as_ref(), parent, name).or_fail(shown)?;
                self.dress_unopened(parent, name, attributes, false).or_fail(shown)
            }
            EntryType::Fifo | EntryType::Char | EntryType::Block => {
                let (kind, device) = device_of(entry, kind)?;
                rfs::mknodat(parent, name, kind, private, device).or_fail(shown)?;
                self.dress_unopened(parent, name, attributes, true).or_fail(shown)
            }
            other => Err(invalid(format!(
                "cannot unpack {}: entries of kind {:?} are not known",
                String::from_utf8_lossy(name),
                char::from(other.as_byte())
            ))),
        }
    }

    /// Opens a folder below the root, made with what leads to it.
    fn folder(&mut self, path: &[u8]) -> Outcome<OwnedFd> {
        let shown = || format!("cannot open the folder {}", String::from_utf8_lossy(path));
        if let Some((known, folder)) = &self.last
            && known == path
        {
            return folder.try_clone().or_fail(shown);
        }
        let folder = match open_below(&self.root, path) {
            Err(Errno::NOENT) => {
                let (above, name) = split(path).ok_or_else(|| invalid("the layer's root folder is gone"))?;
                let above = self.folder(above)?;
                match rfs::mkdirat(&above, name, Mode::from_raw_mode(0o755)) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(error) => return Err(error).or_fail(shown),
                }
                open_below(&self.root, path).or_fail(shown)?
            }
            other => other.or_fail(shown)?,
        };
        self.last = Some((path.to_owned(), folder.try_clone().or_fail(shown)?));
        Ok(folder)
    }

    /// Owner first: changing it takes set-user-id bits and capabilities away.
    fn dress(&self, file: impl AsFd, attributes: &Attributes) -> Result<(), Errno> {
        rfs::fchown(&file, Some(uid(attributes.uid)), Some(gid(attributes.gid)))?;
        rfs::fchmod(&file, Mode::from_raw_mode(attributes.mode))?;
        for (name, value) in &attributes.extended {
            tolerate(rfs::fsetxattr(&file, name.as_c_str(), value, XattrFlags::empty()))?;
        }
        Ok(())
    }

    fn dress_unopened(
        &self,
        parent: &OwnedFd,
        name: &[u8],
        attributes: &Attributes,
        with_mode: bool,
    ) -> Result<(), Errno> {
        let (user, group) = (Some(uid(attributes.uid)), Some(gid(attributes.gid)));
        rfs::chownat(parent, name, user, group, AtFlags::SYMLINK_NOFOLLOW)?;
        if with_mode {
            rfs::chmodat(parent, name, Mode::from_raw_mode(attributes.mode), AtFlags::empty())?;
        }
        let mut path = format!("/proc/self/fd/{}/", parent.as_raw_fd()).into_bytes();
        path.extend_from_slice(name);
        for (key, value) in &attributes.extended {
            tolerate(rfs::lsetxattr(path.as_slice(), key.as_c_str(), value, XattrFlags::empty()))?;
        }
        rfs::utimensat(parent, name, &times(attributes.mtime), AtFlags::SYMLINK_NOFOLLOW)
    }

    fn finish(self) -> Outcome<()> {
        for (path, mtime) in &self.folder_times {
            // A later entry may have put something else in its place.
            if let Ok(folder) = open_below(&self.root, path) {
                rfs::utimensat(&folder, c"", &times(*mtime), AtFlags::EMPTY_PATH)
                    .or_fail(|| "cannot set a folder's time".into())?;
            }
        }
        Ok(())
    }
}

fn open_below(root: &OwnedFd, path: &[u8]) -> Result<OwnedFd, Errno> {
    let path = if path.is_empty() { b".".as_slice() } else { path };
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    rfs::openat2(root, path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty(), resolve)
}

/// The path without `/` in front, `.` parts and doubled separators; `..` is refused.
pub(crate) fn clean(path: &[u8]) -> Outcome<Vec<u8>> {
    let mut parts = Vec::new();
    for part in path.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                let shown = String::from_utf8_lossy(path);
                return Err(invalid(format!("the archive's entry \"{shown}\" leads out of it")));
            }
            part if part.contains(&0) => {
                return Err(invalid("the archive has an entry with a zero byte in its name"));
            }
            part => parts.push(part),
        }
    }
    Ok(parts.join(&b'/'))
}

fn split(path: &[u8]) -> Option<(&[u8], &[u8])> {
    if path.is_empty() {
        return None;
    }
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(at) => Some((&path[..at], &path[at + 1..])),
        None => Some((b"", path)),
    }
}

/// Removes a name with all below it; a missing one is no error.
fn remove(parent: &OwnedFd, name: &[u8]) -> Result<(), Errno> {
    match rfs::unlinkat(parent, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::ISDIR | Errno::PERM) => {}
        Err(error) => return Err(error),
    }
    let mut path = format!("/proc/self/fd/{}/", parent.as_raw_fd()).into_bytes();
    path.extend_from_slice(name);
    let path = <std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(&path);
    std::fs::remove_dir_all(path).map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
}

fn attributes<R: Read>(entry: &mut tar::Entry<'_, R>) -> Outcome<Attributes> {
    let extended = match entry.pax_extensions() {
        Ok(Some(extensions)) => extensions.flatten().filter_map(|extension| {
            let key = extension.key_bytes().strip_prefix(b"SCHILY.xattr.".as_slice())?;
            // overlayfs obeys these: a layer that brings them could redirect folders.
            let obeyed = key.starts_with(b"trusted.overlay.") || key.starts_with(b"user.overlay.");
            let name = CString::new(key).ok().filter(|_| !obeyed)?;
            Some((name, extension.value_bytes().to_vec()))
        }),
        Ok(None) | Err(_) => return plain_attributes(entry, Vec::new()),
    };
    let extended = extended.collect();
    plain_attributes(entry, extended)
}

fn plain_attributes<R: Read>(
    entry: &tar::Entry<'_, R>,
    extended: Vec<(CString, Vec<u8>)>,
) -> Outcome<Attributes> {
    let header = entry.header();
    let damaged = || "the tar archive's header is damaged".to_owned();
    let id = |value: u64| u32::try_from(value).map_err(|_| invalid("the archive has an owner above 2^32"));
    Ok(Attributes {
        uid: id(header.uid().or_fail(damaged)?)?,
        gid: id(header.gid().or_fail(damaged)?)?,
        mode: header.mode().or_fail(damaged)? & 0o7777,
        mtime: i64::try_from(header.mtime().unwrap_or(0)).unwrap_or(0),
        extended,
    })
}

fn device_of<R: Read>(entry: &tar::Entry<'_, R>, kind: EntryType) -> Outcome<(FileType, u64)> {
    let kind = match kind {
        EntryType::Fifo => return Ok((FileType::Fifo, 0)),
        EntryType::Char => FileType::CharacterDevice,
        _ => FileType::BlockDevice,
    };
    let header = entry.header();
    let number = |value: io::Result<Option<u32>>| value.or_fail(|| "a device number is damaged".into());
    let major = number(header.device_major())?.unwrap_or(0);
    let minor = number(header.device_minor())?.unwrap_or(0);
    Ok((kind, rfs::makedev(major, minor)))
}

fn tolerate(result: Result<(), Errno>) -> Result<(), Errno> {
    match result {
        Err(Errno::OPNOTSUPP) => Ok(()),
        other => other,
    }
}

fn uid(raw: u32) -> rfs::Uid {
    rfs::Uid::from_raw(raw)
}

fn gid(raw: u32) -> rfs::Gid {
    rfs::Gid::from_raw(raw)
}

fn times(seconds: i64) -> rfs::Timestamps {
    let at = rfs::Timespec { tv_sec: seconds, tv_nsec: 0 };
    rfs::Timestamps { last_access: at, last_modification: at }
}

fn set_time(file: impl AsFd, seconds: i64) -> Result<(), Errno> {
    rfs::futimens(file, &times(seconds))
}
