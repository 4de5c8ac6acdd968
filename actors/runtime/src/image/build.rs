//! Packing programs of this machine into an image, so that a machine without a registry runs something real.
//!
//! One layer, the same bytes for the same input: entries in order of their paths, owner 0, time 0.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::fail::{OrFail, Outcome, invalid};
use crate::image::elf;
use crate::image::reference::Reference;
use crate::image::spec::{
    CONFIG, Descriptor, ImageConfig, LAYER, MANIFEST, Manifest, ProcessConfig, RootFs, architecture,
};
use crate::image::store::{ImageStore, StoredImage};

/// Files in an image that is built.
const FILES_LIMIT: usize = 200_000;

/// Environment of a built image.
pub(crate) const DEFAULT_PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What to build.
#[derive(Clone, Debug, Default)]
pub struct BuildImage {
    /// Its names.
    pub tags: Vec<String>,
    /// Files and folders of this machine, each with its path in the image (the same when `None`; into it when it ends
    /// with `/`).
    pub add: Vec<(PathBuf, Option<String>)>,
    /// Entry point; empty: the first added program.
    pub entrypoint: Vec<String>,
    /// Arguments.
    pub cmd: Vec<String>,
    /// `NAME=value`.
    pub env: Vec<String>,
    /// Folder the process starts in.
    pub working_dir: String,
    /// `user[:group]`.
    pub user: String,
}

enum Source {
    File(PathBuf, u32),
    Bytes(Vec<u8>, u32),
    Folder(u32),
    Link(PathBuf),
}

/// Builds an image into a store.
///
/// # Errors
/// `Invalid` for bad names, missing files or libraries; the disk's otherwise.
pub fn build(store: &ImageStore, request: &BuildImage) -> Outcome<StoredImage> {
    let tags = request.tags.iter().map(|tag| full_tag(tag)).collect::<Outcome<Vec<_>>>()?;
    if tags.is_empty() {
        return Err(invalid("an image needs a name: give --tag"));
    }
    let mut content = base();
    let mut folders = std::collections::BTreeSet::new();
    let mut programs = Vec::new();
    for (from, to) in &request.add {
        add(&mut content, from, to.as_deref(), &mut folders, &mut programs)?;
    }
    let _bringing = store.bring()?;
    let layer = write_layer(store, &content)?;
    let mut env = vec![DEFAULT_PATH.to_owned()];
    if !folders.is_empty() {
        let folders: Vec<String> =
            folders.iter().map(|folder: &PathBuf| folder.display().to_string()).collect();
        env.push(format!("LD_LIBRARY_PATH={}", folders.join(":")));
    }
    for setting in &request.env {
        let name =
            setting.split_once('=').ok_or_else(|| invalid(format!("\"{setting}\" is no NAME=value")))?.0;
        env.retain(|known| known.split('=').next() != Some(name));
        env.push(setting.clone());
    }
    let entrypoint = match (request.entrypoint.is_empty(), programs.first()) {
        (false, _) => Some(request.entrypoint.clone()),
        (true, Some(program)) => Some(vec![program.clone()]),
        (true, None) => None,
    };
    let some = |text: &String| (!text.is_empty()).then(|| text.clone());
    let process = ProcessConfig {
        user: some(&request.user),
        env: Some(env),
        entrypoint,
        cmd: (!request.cmd.is_empty()).then(|| request.cmd.clone()),
        working_dir: some(&request.working_dir),
        ..ProcessConfig::default()
    };
    let rootfs = RootFs { kind: "layers".to_owned(), diff_ids: vec![layer.digest.clone()] };
    let os = "linux".to_owned();
    let config = ImageConfig { architecture: architecture().to_owned(), os, config: Some(process), rootfs };
    commit(store, &config, vec![layer], &tags)
}

/// Writes configuration and manifest of layers that are in the store, names and unpacks the image.
pub(crate) fn commit(
    store: &ImageStore,
    config: &ImageConfig,
    layers: Vec<Descriptor>,
    names: &[String],
) -> Outcome<StoredImage> {
    let json = |error: serde_json::Error| invalid(format!("cannot write an image's documents: {error}"));
    let config = store.put_document(CONFIG, &serde_json::to_vec(config).map_err(json)?)?;
    commit_manifest(store, config, layers, names)
}

pub(crate) fn commit_manifest(
    store: &ImageStore,
    config: Descriptor,
    layers: Vec<Descriptor>,
    names: &[String],
) -> Outcome<StoredImage> {
    let json = |error: serde_json::Error| invalid(format!("cannot write an image's documents: {error}"));
    let manifest = Manifest { schema_version: 2, media_type: MANIFEST.to_owned(), config, layers };
    let manifest = store.put_document(MANIFEST, &serde_json::to_vec(&manifest).map_err(json)?)?;
    name_and_unpack(store, &manifest, names)
}

/// Names a manifest whose content is in the store, and unpacks it.
pub(crate) fn name_and_unpack(
    store: &ImageStore,
    manifest: &Descriptor,
    names: &[String],
) -> Outcome<StoredImage> {
    let mut all = names.to_vec();
    for name in names {
        let digest = Reference::parse(name)?.with_digest(&manifest.digest);
        if !all.contains(&digest) {
            all.push(digest);
        }
    }
    let image = store.load(manifest)?;
    store.unpack(&image)?;
    store.name(manifest, &all)?;
    let id = image.image.id;
    store.find(&id)?.ok_or_else(|| invalid(format!("image {id} was removed while it was brought")))
}

pub(crate) fn full_tag(tag: &str) -> Outcome<String> {
    let reference = Reference::parse(tag)?;
    reference
        .tagged()
        .filter(|_| reference.digest.is_none())
        .ok_or_else(|| invalid(format!("\"{tag}\" names content by digest; give a name and a tag")))
}

fn base() -> BTreeMap<PathBuf, Source> {
    let folder = |path: &str, mode: u32| (PathBuf::from(path), Source::Folder(mode));
    let file = |path: &str, text: &str| (PathBuf::from(path), Source::Bytes(text.as_bytes().to_vec(), 0o644));
    BTreeMap::from([
        folder("dev", 0o755),
        folder("etc", 0o755),
        folder("proc", 0o555),
        folder("root", 0o700),
        folder("sys", 0o555),
        folder("tmp", 0o1777),
        folder("var", 0o755),
        folder("var/tmp", 0o1777),
        file("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n"),
        file("etc/group", "root:x:0:\nnogroup:x:65534:\n"),
        file("etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n"),
    ])
}

fn add(
    content: &mut BTreeMap<PathBuf, Source>,
    from: &Path,
    to: Option<&str>,
    folders: &mut std::collections::BTreeSet<PathBuf>,
    programs: &mut Vec<String>,
) -> Outcome<()> {
    let missing = || format!("cannot add {}", from.display());
    let real = from.canonicalize().or_fail(missing)?;
    let name = from.file_name().map(Path::new).unwrap_or(Path::new(""));
    let to = match to {
        Some(folder) if folder.ends_with('/') => Path::new(folder).join(name),
        Some(path) => PathBuf::from(path),
        None => std::path::absolute(from).or_fail(missing)?,
    };
    let about = fs::metadata(&real).or_fail(missing)?;
    if about.is_dir() {
        return add_folder(content, &real, &to);
    }
    if !about.is_file() {
        return Err(invalid(format!("cannot add {}: it is neither a file nor a folder", from.display())));
    }
    let mode = about.permissions().mode() & 0o7777;
    if mode & 0o111 != 0 {
        programs.push(to.display().to_string());
        let needs = elf::closure(&real)?;
        for file in needs.files {
            let mode = fs::metadata(&file).or_fail(|| format!("cannot add {}", file.display()))?;
            put(content, &file, Source::File(file.clone(), mode.permissions().mode() & 0o7777))?;
        }
        folders.extend(needs.extra_folders);
    }
    put(content, &to, Source::File(real, mode))
}

fn add_folder(content: &mut BTreeMap<PathBuf, Source>, from: &Path, to: &Path) -> Outcome<()> {
    let mut waiting = vec![(from.to_owned(), to.to_owned())];
    while let Some((from, to)) = waiting.pop() {
        let shown = || format!("cannot add {}", from.display());
        let about = fs::symlink_metadata(&from).or_fail(shown)?;
        let mode = about.permissions().mode() & 0o7777;
        if about.is_symlink() {
            put(content, &to, Source::Link(fs::read_link(&from).or_fail(shown)?))?;
        } else if about.is_dir() {
            put(content, &to, Source::Folder(mode))?;
            for entry in fs::read_dir(&from).or_fail(shown)? {
                let entry = entry.or_fail(shown)?;
                waiting.push((entry.path(), to.join(entry.file_name())));
            }
        } else if about.is_file() {
            put(content, &to, Source::File(from.clone(), mode))?;
        } else {
            return Err(invalid(format!(
                "cannot add {}: sockets, pipes and devices stay out",
                from.display()
            )));
        }
    }
    Ok(())
}

fn put(content: &mut BTreeMap<PathBuf, Source>, path: &Path, source: Source) -> Outcome<()> {
    use std::os::unix::ffi::{OsStrExt, OsStringExt};
    let clean = super::layer::clean(path.as_os_str().as_bytes())?;
    if clean.is_empty() {
        return if matches!(source, Source::Folder(_)) {
            Ok(())
        } else {
            Err(invalid("a file cannot become /"))
        };
    }
    if content.len() >= FILES_LIMIT {
        return Err(invalid(format!("an image that is built has at most {FILES_LIMIT} files")));
    }
    let path = PathBuf::from(std::ffi::OsString::from_vec(clean));
    let mut above = path.parent();
    while let Some(folder) = above.filter(|folder| !folder.as_os_str().is_empty()) {
        content.entry(folder.to_owned()).or_insert(Source::Folder(0o755));
        above = folder.parent();
    }
    content.insert(path, source);
    Ok(())
}

fn write_layer(store: &ImageStore, content: &BTreeMap<PathBuf, Source>) -> Outcome<Descriptor> {
    let mut blob = store.write_blob()?;
    let mut tar = tar::Builder::new(&mut blob as &mut dyn Write);
    for (path, source) in content {
        let shown = || format!("cannot pack {}", path.display());
        let mut header = tar::Header::new_gnu();
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        match source {
            Source::Folder(mode) => {
                header.set_entry_type(tar::EntryType::Directory);
                header.set_mode(*mode);
                header.set_size(0);
                tar.append_data(&mut header, path, io::empty()).or_fail(shown)?;
            }
            Source::Bytes(bytes, mode) => {
                header.set_mode(*mode);
                header.set_size(bytes.len() as u64);
                tar.append_data(&mut header, path, bytes.as_slice()).or_fail(shown)?;
            }
            Source::File(from, mode) => {
                let file = File::open(from).or_fail(shown)?;
                let size = file.metadata().or_fail(shown)?.len();
                header.set_mode(*mode);
                header.set_size(size);
                tar.append_data(&mut header, path, file.take(size)).or_fail(shown)?;
            }
            Source::Link(target) => {
                header.set_entry_type(tar::EntryType::Symlink);
                header.set_mode(0o777);
                header.set_size(0);
                tar.append_link(&mut header, path, target).or_fail(shown)?;
            }
        }
    }
    tar.finish().or_fail(|| "cannot pack the layer".into())?;
    drop(tar);
    let (digest, size) = blob.finish(None)?;
    Ok(Descriptor { media_type: LAYER.to_owned(), digest, size, ..Descriptor::default() })
}
