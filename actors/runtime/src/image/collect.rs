//! Layers of the [`ImageStore`]: unpacking them, and collecting what nothing needs.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::Path;

use rustix::fs::FlockOperation;

use crate::fail::{OrFail, Outcome, invalid};
use crate::image::files::{clear_and_remove, listing, prefix, unique};
use crate::image::spec::Descriptor;
use crate::image::store::{ImageStore, StoredImage};

/// Hexadecimal digits of a layer folder's name: short, because all names of an overlay's layers share one page.
const LAYER_NAME_DIGITS: usize = 24;

impl ImageStore {
    /// Folder name of an unpacked layer.
    pub fn layer_name(diff_id: &str) -> String {
        diff_id.trim_start_matches("sha256:").chars().take(LAYER_NAME_DIGITS).collect()
    }

    /// Unpacks the layers of an image that are not there yet; gives the folders' names, lowest first.
    ///
    /// # Errors
    /// A layer is damaged or the disk full; what was half unpacked is gone again.
    pub fn unpack(&self, image: &StoredImage) -> Outcome<Vec<String>> {
        let mut names = Vec::with_capacity(image.layers.len());
        for (layer, diff_id) in image.layers.iter().zip(&image.config.rootfs.diff_ids) {
            let name = Self::layer_name(diff_id);
            let at = self.layers_dir().join(&name);
            match fs::read_to_string(at.join("diff_id")) {
                Ok(known) if known == *diff_id => {}
                Ok(known) => {
                    return Err(invalid(format!("layers {known} and {diff_id} begin with the same digits")));
                }
                Err(_) => self.unpack_layer(layer, diff_id, &at)?,
            }
            names.push(name);
        }
        Ok(names)
    }

    fn unpack_layer(&self, layer: &Descriptor, diff_id: &str, at: &Path) -> Outcome<()> {
        let blob = self.blob_path(&layer.digest)?;
        let file = File::open(&blob).or_fail(|| format!("cannot open layer {}", layer.digest))?;
        let scratch = self.root.join("ingest").join(format!("layer-{}", unique()));
        let fill = || {
            fs::create_dir_all(scratch.join("fs"))
                .or_fail(|| format!("cannot make {}", scratch.display()))?;
            let found = super::layer::unpack(file, &scratch.join("fs"))
                .map_err(|error| prefix(error, &format!("cannot unpack layer {}", layer.digest)))?;
            if found != diff_id {
                return Err(invalid(format!(
                    "layer {} unpacks to {found} instead of {diff_id}: the image is damaged, fetch it again",
                    layer.digest
                )));
            }
            fs::write(scratch.join("diff_id"), diff_id).or_fail(|| "cannot mark a layer".into())?;
            let folder = File::open(&scratch).or_fail(|| "cannot open a layer".into())?;
            rustix::fs::syncfs(&folder).or_fail(|| "cannot sync a layer".into())?;
            match fs::rename(&scratch, at) {
                // Another process was faster; its layer is as good.
                Err(_) if at.join("diff_id").exists() => {
                    clear_and_remove(&scratch);
                    Ok(())
                }
                other => other.or_fail(|| format!("cannot move a layer to {}", at.display())),
            }
        };
        fill().inspect_err(|_| clear_and_remove(&scratch))
    }

    /// Removes content that no name leads to, and layers that neither an image nor `in_use` (folder names) needs.
    /// Gives the bytes that were freed; 0 while something is being brought.
    ///
    /// # Errors
    /// The index cannot be read.
    pub fn collect(&self, in_use: &BTreeSet<String>) -> Outcome<u64> {
        let Some(_alone) = self.lock_content(FlockOperation::NonBlockingLockExclusive)? else { return Ok(0) };
        let mut blobs = BTreeSet::new();
        let mut layers = in_use.clone();
        for entry in self.index()?.manifests {
            blobs.insert(entry.digest.clone());
            let image = self.load(&entry)?;
            blobs.insert(image.image.id.clone());
            blobs.extend(image.layers.iter().map(|layer| layer.digest.clone()));
            layers.extend(image.config.rootfs.diff_ids.iter().map(|id| Self::layer_name(id)));
        }
        let mut freed = 0;
        for (path, name) in listing(&self.root.join("blobs/sha256")) {
            if !blobs.contains(&format!("sha256:{name}")) {
                freed += fs::metadata(&path).map_or(0, |about| about.len());
                fs::remove_file(&path).or_fail(|| format!("cannot remove {}", path.display()))?;
            }
        }
        for (path, name) in listing(&self.layers_dir()) {
            if !layers.contains(&name) {
                freed += crate::disk::usage(&path).bytes;
                // Out of its place first, so that a crash leaves no half layer that counts.
                let away = self.root.join("ingest").join(format!("gone-{}", unique()));
                fs::rename(&path, &away).or_fail(|| format!("cannot remove {}", path.display()))?;
                clear_and_remove(&away);
            }
        }
        Ok(freed)
    }
}
