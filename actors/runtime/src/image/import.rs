//! Importing image archives: `docker save` archives and OCI layouts, packed or not.
//!
//! The archive is read once, front to back: every file becomes content of the store by its digest (what turns out not
//! to be needed is collected later), then the archive's own table of contents says what is an image.

use std::collections::BTreeMap;
use std::io::Read;

use serde::Deserialize;
use tar::EntryType;

use crate::fail::{OrFail, Outcome, invalid};
use crate::image::build::{commit_manifest, full_tag, name_and_unpack};
use crate::image::decompress::decompress;
use crate::image::layer::clean;
use crate::image::reference::Reference;
use crate::image::spec::{
    CONFIG, CONTAINERD_NAME, DOCKER_INDEX, Descriptor, INDEX, Index, LAYER, LAYER_GZIP, LAYER_ZSTD, REF_NAME,
};
use crate::image::store::{ImageStore, StoredImage};

/// Files in an archive.
const FILES_LIMIT: usize = 20_000;
/// Bytes of one file in an archive.
const FILE_LIMIT_BYTES: u64 = 64 * 1024 * 1024 * 1024;
/// Indexes within indexes.
const INDEX_DEPTH_LIMIT: usize = 4;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DockerImage {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

/// Files of an archive: content in the store, or a link to another one.
#[derive(Default)]
struct Files {
    content: BTreeMap<String, (String, u64)>,
    links: BTreeMap<String, String>,
}

/// Imports all images of an archive. `tag` names the only image of an archive that names none.
///
/// # Errors
/// `Invalid` when it is no image archive or damaged; the disk's otherwise.
pub fn import(store: &ImageStore, archive: impl Read, tag: Option<&str>) -> Outcome<Vec<StoredImage>> {
    let _bringing = store.bring()?;
    let files = read_archive(store, archive)?;
    let tag = tag.map(full_tag).transpose()?;
    let index: Option<Index> = files.document(store, "index.json")?;
    let named = |index: &Index| index.manifests.iter().any(|entry| !names_of(entry).is_empty());
    let images = match (index, files.document::<Vec<DockerImage>>(store, "manifest.json")?) {
        (Some(index), None) => import_layout(store, &index, tag.as_deref())?,
        (Some(index), Some(_)) if named(&index) => import_layout(store, &index, tag.as_deref())?,
        (_, Some(images)) => import_docker(store, &files, &images, tag.as_deref())?,
        (None, None) => {
            return Err(invalid(
                "this is no image archive: it has neither index.json (OCI layout) nor manifest.json (docker save)",
            ));
        }
    };
    if images.is_empty() {
        return Err(invalid(format!(
            "the archive has no image for linux/{}",
            crate::image::spec::architecture()
        )));
    }
    Ok(images)
}

fn read_archive(store: &ImageStore, archive: impl Read) -> Outcome<Files> {
    let mut files = Files::default();
    let mut tar = tar::Archive::new(decompress(archive)?);
    for entry in tar.entries().or_fail(|| "this is no tar archive".into())? {
        let mut entry = entry.or_fail(|| "the archive is damaged".into())?;
        let path = String::from_utf8_lossy(&clean(&entry.path_bytes())?).into_owned();
        if files.content.len() + files.links.len() >= FILES_LIMIT {
            return Err(invalid(format!("an image archive has at most {FILES_LIMIT} files")));
        }
        match entry.header().entry_type() {
            EntryType::Regular | EntryType::Continuous => {
                let expected = path.strip_prefix("blobs/sha256/").map(|hex| format!("sha256:{hex}"));
                let mut blob = store.write_blob()?;
                blob.copy_from(&mut entry, FILE_LIMIT_BYTES)?;
                let content = blob.finish(expected.as_deref())?;
                files.content.insert(path, content);
            }
            EntryType::Symlink | EntryType::Link => {
                let hard = entry.header().entry_type() == EntryType::Link;
                let target =
                    entry.link_name_bytes().ok_or_else(|| invalid("a link of the archive leads nowhere"))?;
                let target = String::from_utf8_lossy(&target).into_owned();
                let target = if hard { target } else { beside(&path, &target) };
                files.links.insert(path, target);
            }
            _ => {}
        }
    }
    Ok(files)
}

/// A link's target from the archive's root; `..` goes up to the root and no further.
fn beside(path: &str, target: &str) -> String {
    let mut parts: Vec<&str> = path.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

impl Files {
    fn find(&self, path: &str) -> Outcome<(String, u64)> {
        let target = self.links.get(path).map_or(path, String::as_str);
        let found = self.content.get(target).cloned();
        found.ok_or_else(|| invalid(format!("the archive names {path} but does not have it")))
    }

    fn document<T: for<'a> Deserialize<'a>>(&self, store: &ImageStore, path: &str) -> Outcome<Option<T>> {
        let Some((digest, _)) = self.content.get(path) else { return Ok(None) };
        let bytes = store.read_document(digest)?;
        serde_json::from_slice(&bytes).or_fail(|| format!("the archive's {path} is damaged")).map(Some)
    }
}

fn import_layout(store: &ImageStore, index: &Index, tag: Option<&str>) -> Outcome<Vec<StoredImage>> {
    let mut images = Vec::new();
    for entry in &index.manifests {
        let Some(manifest) = resolve(store, entry, 0)? else { continue };
        let mut names = Vec::new();
        for name in names_of(entry) {
            names.push(full_tag(&name)?);
        }
        if names.is_empty() {
            let Some(tag) = tag else {
                return Err(invalid("an image of the archive has no name: give --tag"));
            };
            names.push(tag.to_owned());
        }
        images.push(name_and_unpack(store, &manifest, &names)?);
    }
    Ok(images)
}

/// The manifest for this machine behind an entry; `None` when there is none.
pub(crate) fn resolve(store: &ImageStore, entry: &Descriptor, depth: usize) -> Outcome<Option<Descriptor>> {
    if entry.media_type != INDEX && entry.media_type != DOCKER_INDEX {
        return Ok(Some(Descriptor { annotations: None, ..entry.clone() }));
    }
    if depth >= INDEX_DEPTH_LIMIT {
        return Err(invalid(format!("indexes lie more than {INDEX_DEPTH_LIMIT} deep in each other")));
    }
    let index: Index = serde_json::from_slice(&store.read_document(&entry.digest)?)
        .or_fail(|| format!("index {} is damaged", entry.digest))?;
    match index.for_this_machine() {
        Some(entry) => resolve(store, entry, depth + 1),
        None => Ok(None),
    }
}

fn names_of(entry: &Descriptor) -> Vec<String> {
    let Some(marks) = &entry.annotations else { return Vec::new() };
    let full = marks.get(CONTAINERD_NAME).into_iter();
    // A bare tag is no name of an image.
    let given = marks.get(REF_NAME).into_iter().filter(|name| name.contains(['/', ':']));
    let mut names: Vec<String> = full.chain(given).filter(|name| !name.contains('@')).cloned().collect();
    names.dedup();
    names.truncate(1);
    names
}

fn import_docker(
    store: &ImageStore,
    files: &Files,
    images: &[DockerImage],
    tag: Option<&str>,
) -> Outcome<Vec<StoredImage>> {
    let mut done = Vec::new();
    for image in images {
        let (digest, size) = files.find(&image.config)?;
        let config = Descriptor { media_type: CONFIG.to_owned(), digest, size, ..Descriptor::default() };
        let mut layers = Vec::new();
        for path in &image.layers {
            let (digest, size) = files.find(path)?;
            let media_type = layer_type(store, &digest)?;
            layers.push(Descriptor { media_type, digest, size, ..Descriptor::default() });
        }
        let mut names = Vec::new();
        for name in image.repo_tags.iter().flatten() {
            names.push(Reference::parse(name).and_then(|_| full_tag(name))?);
        }
        if names.is_empty() {
            let tag = tag.ok_or_else(|| invalid("an image of the archive has no name: give --tag"))?;
            names.push(tag.to_owned());
        }
        done.push(commit_manifest(store, config, layers, &names)?);
    }
    Ok(done)
}

fn layer_type(store: &ImageStore, digest: &str) -> Outcome<String> {
    let path = store.blob_path(digest)?;
    let file = std::fs::File::open(&path).or_fail(|| format!("cannot open {}", path.display()))?;
    let mut head = Vec::new();
    file.take(4).read_to_end(&mut head).or_fail(|| format!("cannot read {}", path.display()))?;
    Ok(match head.as_slice() {
        [0x1f, 0x8b, ..] => LAYER_GZIP,
        [0x28, 0xb5, 0x2f, 0xfd] => LAYER_ZSTD,
        _ => LAYER,
    }
    .to_owned())
}
