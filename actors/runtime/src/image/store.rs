//! [`ImageStore`]: images on disk in the OCI layout, and their unpacked layers.
//!
//! ```text
//! <root>/oci-layout, index.json      names and manifests (one entry per name)
//! <root>/blobs/sha256/<hex>          content by its digest
//! <root>/ingest/                     half-written content; emptied at open
//! <root>/layers/<24 hex>/fs          one unpacked layer, shared by all images and containers
//! <root>/layers/<24 hex>/diff_id     its full digest, written last: without it the layer does not count
//! <root>/index.lock, content.lock    locks between processes (`trireme image` beside a running node)
//! ```
//!
//! Invariants: content is renamed into its place only whole, checked and synced, so whatever is in its place is right;
//! `index.json` is replaced, never rewritten. Whoever brings content holds `content.lock` shared until it is named in
//! the index; the collector takes it exclusively.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use trireme_node::Image;

use crate::fail::{OrFail, Outcome, invalid, not_found};
use crate::image::blob::BlobWriter;
use crate::image::files::{clear_folder, write_atomically};
use crate::image::reference::{Reference, is_digest, is_hex64};
use crate::image::spec::{Descriptor, INDEX, ImageConfig, Index, Manifest, REF_NAME};

/// Bytes of a manifest, index or configuration.
pub(crate) const DOCUMENT_LIMIT_BYTES: u64 = 8 * 1024 * 1024;

/// Keeps collected content from being brought, and the other way round.
#[derive(Debug)]
pub struct ContentLock {
    _file: File,
}

/// An image of the store.
#[derive(Clone, Debug)]
pub struct StoredImage {
    /// What the contract says about it.
    pub image: Image,
    /// Manifest.
    pub manifest: Descriptor,
    /// Configuration.
    pub config: ImageConfig,
    /// Layer blobs, lowest first.
    pub layers: Vec<Descriptor>,
}

/// Images on disk.
#[derive(Debug)]
pub struct ImageStore {
    pub(super) root: PathBuf,
}

impl ImageStore {
    /// Opens the store in a folder, made if it is missing.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn open(root: &Path) -> Outcome<Self> {
        for folder in ["", "blobs/sha256", "ingest", "layers"] {
            let path = root.join(folder);
            let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&path);
            made.or_fail(|| format!("cannot make the image store's folder {}", path.display()))?;
        }
        let store = Self { root: root.to_owned() };
        if !root.join("index.json").exists() {
            write_atomically(&root.join("oci-layout"), br#"{"imageLayoutVersion":"1.0.0"}"#)?;
            store.change_index(|_| ())?;
        }
        if let Some(_alone) = store.lock_content(FlockOperation::NonBlockingLockExclusive)? {
            clear_folder(&root.join("ingest"));
        }
        Ok(store)
    }

    /// The folder of layers.
    pub fn layers_dir(&self) -> PathBuf {
        self.root.join("layers")
    }

    /// The store's folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// To be held while content is brought and until it is named.
    ///
    /// # Errors
    /// The lock file cannot be opened.
    pub fn bring(&self) -> Outcome<ContentLock> {
        self.lock_content(FlockOperation::LockShared)?
            .ok_or_else(|| invalid("the image store's lock was refused"))
    }

    pub(super) fn lock_content(&self, how: FlockOperation) -> Outcome<Option<ContentLock>> {
        let path = self.root.join("content.lock");
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let file = file.or_fail(|| format!("cannot open {}", path.display()))?;
        Ok(flock(&file, how).is_ok().then_some(ContentLock { _file: file }))
    }

    // ---- blobs ----

    /// A new blob.
    ///
    /// # Errors
    /// No file can be made.
    pub fn write_blob(&self) -> Outcome<BlobWriter> {
        BlobWriter::new(&self.root.join("ingest"), &self.root.join("blobs/sha256"))
    }

    /// Where a blob is or would be.
    ///
    /// # Errors
    /// `Invalid` when it is no sha256 digest.
    pub fn blob_path(&self, digest: &str) -> Outcome<PathBuf> {
        if !is_digest(digest) {
            return Err(invalid(format!("\"{digest}\" is no digest: sha256: and 64 hexadecimal digits")));
        }
        Ok(self.root.join("blobs/sha256").join(&digest["sha256:".len()..]))
    }

    /// Where a half-fetched blob waits for its rest.
    pub(crate) fn partial_path(&self, digest: &str) -> Outcome<PathBuf> {
        self.blob_path(digest)?;
        Ok(self.root.join("ingest").join(format!("partial-{}", &digest["sha256:".len()..])))
    }

    /// Whether a blob is here.
    pub fn has_blob(&self, digest: &str) -> bool {
        self.blob_path(digest).is_ok_and(|path| path.exists())
    }

    /// A small blob.
    ///
    /// # Errors
    /// `NotFound`, or `Invalid` above [`DOCUMENT_LIMIT_BYTES`].
    pub fn read_document(&self, digest: &str) -> Outcome<Vec<u8>> {
        let path = self.blob_path(digest)?;
        let file = File::open(&path).map_err(|error| {
            not_found(format!(
                "the image store has no content {digest} ({error}); fetch or import the image again"
            ))
        })?;
        let mut bytes = Vec::new();
        let read = file.take(DOCUMENT_LIMIT_BYTES + 1).read_to_end(&mut bytes);
        read.or_fail(|| format!("cannot read {}", path.display()))?;
        if bytes.len() as u64 > DOCUMENT_LIMIT_BYTES {
            return Err(invalid(format!(
                "{digest} is longer than {DOCUMENT_LIMIT_BYTES} bytes, which no manifest is"
            )));
        }
        Ok(bytes)
    }

    /// Stores a small document; gives its descriptor.
    ///
    /// # Errors
    /// The disk's.
    pub fn put_document(&self, media_type: &str, bytes: &[u8]) -> Outcome<Descriptor> {
        let mut blob = self.write_blob()?;
        blob.write(bytes)?;
        let (digest, size) = blob.finish(None)?;
        Ok(Descriptor { media_type: media_type.to_owned(), digest, size, ..Descriptor::default() })
    }

    // ---- names ----

    /// The index as it stands.
    ///
    /// # Errors
    /// It cannot be read.
    pub(crate) fn index(&self) -> Outcome<Index> {
        let path = self.root.join("index.json");
        let bytes = fs::read(&path).or_fail(|| format!("cannot read {}", path.display()))?;
        serde_json::from_slice(&bytes).or_fail(|| format!("{} is damaged", path.display()))
    }

    /// Gives a manifest its names, taking them from others; full references as [`Reference`] writes them.
    ///
    /// # Errors
    /// The disk's.
    pub fn name(&self, manifest: &Descriptor, names: &[String]) -> Outcome<()> {
        self.change_index(|index| {
            index
                .manifests
                .retain(|entry| ref_name(entry).is_none_or(|name| !names.contains(&name.to_owned())));
            for name in names {
                let marks = BTreeMap::from([(REF_NAME.to_owned(), name.clone())]);
                index.manifests.push(Descriptor { annotations: Some(marks), ..manifest.clone() });
            }
        })
    }

    /// Takes away all names of an image, or one name of it when `reference` is a name and others are left and
    /// `only_this_name` is set. Content goes with the next [`Self::collect`].
    ///
    /// # Errors
    /// `NotFound`.
    pub fn forget(&self, reference: &str, only_this_name: bool) -> Outcome<StoredImage> {
        let found = self.find(reference)?;
        let found = found.ok_or_else(|| not_found(format!("image \"{reference}\" is not here")))?;
        let name = Reference::parse(reference).ok().map(|reference| reference.to_string());
        let others = found.image.tags.iter().any(|tag| Some(tag) != name.as_ref());
        let one =
            only_this_name && others && name.as_ref().is_some_and(|name| found.image.tags.contains(name));
        let gone: BTreeSet<&String> = if one {
            name.iter().collect()
        } else {
            found.image.tags.iter().chain(&found.image.digests).collect()
        };
        self.change_index(|index| {
            index.manifests.retain(|entry| {
                let named = ref_name(entry).is_some_and(|name| gone.contains(&name.to_owned()));
                !named && (one || entry.digest != found.manifest.digest)
            });
        })?;
        Ok(found)
    }

    fn change_index<T>(&self, change: impl FnOnce(&mut Index) -> T) -> Outcome<T> {
        let path = self.root.join("index.lock");
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let lock = lock.or_fail(|| format!("cannot open {}", path.display()))?;
        flock(&lock, FlockOperation::LockExclusive).or_fail(|| format!("cannot lock {}", path.display()))?;
        let at = self.root.join("index.json");
        let mut index =
            if at.exists() { self.index()? } else { Index { schema_version: 2, ..Index::default() } };
        index.media_type = INDEX.to_owned();
        let out = change(&mut index);
        write_atomically(
            &at,
            &serde_json::to_vec_pretty(&index).or_fail(|| "cannot write the index".into())?,
        )?;
        Ok(out)
    }

    // ---- images ----

    /// All images. One whose content is damaged is left out and logged.
    ///
    /// # Errors
    /// The index cannot be read.
    pub fn images(&self) -> Outcome<Vec<StoredImage>> {
        let mut images: BTreeMap<String, StoredImage> = BTreeMap::new();
        for entry in self.index()?.manifests {
            let loaded = match self.load(&entry) {
                Ok(loaded) => loaded,
                Err(error) => {
                    tracing::warn!(digest = %entry.digest, %error, "an image of the store cannot be read");
                    continue;
                }
            };
            let image = images.entry(loaded.image.id.clone()).or_insert(loaded);
            let Some(name) = ref_name(&entry) else { continue };
            let list = if name.contains('@') { &mut image.image.digests } else { &mut image.image.tags };
            if !list.iter().any(|known| known == name) {
                list.push(name.to_owned());
            }
        }
        Ok(images.into_values().collect())
    }

    /// An image by name, id, or manifest digest (`sha256:...`, or the id's first digits).
    ///
    /// # Errors
    /// The index cannot be read.
    pub fn find(&self, reference: &str) -> Outcome<Option<StoredImage>> {
        let images = self.images()?;
        let hex = reference.strip_prefix("sha256:").unwrap_or(reference);
        let is_id = hex.len() >= 12 && hex.bytes().all(|b| b.is_ascii_hexdigit());
        if is_id {
            let id = format!("sha256:{hex}");
            let exact = |image: &&StoredImage| image.image.id == id || image.manifest.digest == id;
            let begins = |image: &&StoredImage| !is_hex64(hex) && image.image.id.starts_with(&id);
            let found = images.iter().find(exact).or_else(|| images.iter().find(begins));
            if found.is_some() || reference.starts_with("sha256:") {
                return Ok(found.cloned());
            }
        }
        let Ok(wanted) = Reference::parse(reference) else { return Ok(None) };
        let fits = |image: &StoredImage| match &wanted.digest {
            Some(digest) => {
                image.image.digests.contains(&wanted.with_digest(digest))
                    || (image.manifest.digest == *digest
                        && image.image.tags.iter().any(|tag| tag.starts_with(&format!("{}:", wanted.name()))))
            }
            None => wanted.tagged().is_some_and(|tag| image.image.tags.contains(&tag)),
        };
        Ok(images.into_iter().find(fits))
    }

    pub(crate) fn load(&self, entry: &Descriptor) -> Outcome<StoredImage> {
        let manifest: Manifest = serde_json::from_slice(&self.read_document(&entry.digest)?)
            .or_fail(|| format!("manifest {} is damaged", entry.digest))?;
        let config: ImageConfig = serde_json::from_slice(&self.read_document(&manifest.config.digest)?)
            .or_fail(|| format!("configuration {} is damaged", manifest.config.digest))?;
        if config.rootfs.diff_ids.len() != manifest.layers.len() {
            return Err(invalid(format!(
                "manifest {} and its configuration disagree about layers",
                entry.digest
            )));
        }
        let user = config.config.as_ref().and_then(|process| process.user.clone()).unwrap_or_default();
        let user = user.split(':').next().unwrap_or_default().to_owned();
        let uid = if user.is_empty() { Some(0) } else { user.parse().ok() };
        let image = Image {
            id: manifest.config.digest.clone(),
            size: manifest.config.size + manifest.layers.iter().map(|layer| layer.size).sum::<u64>(),
            username: if uid.is_none() { user } else { String::new() },
            uid,
            ..Image::default()
        };
        let descriptor = Descriptor { annotations: None, ..entry.clone() };
        Ok(StoredImage { image, manifest: descriptor, config, layers: manifest.layers })
    }
}

/// The name of an index entry.
pub(crate) fn ref_name(entry: &Descriptor) -> Option<&str> {
    entry.annotations.as_ref()?.get(REF_NAME).map(String::as_str)
}
