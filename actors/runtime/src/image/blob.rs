//! [`BlobWriter`]: content on its way into the store, hashed as it comes.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::fail::{OrFail, Outcome, invalid};
use crate::image::files::unique;

/// A blob that is not yet in its place; dropped unfinished, it is gone (a kept one stays for resuming).
#[derive(Debug)]
pub struct BlobWriter {
    file: Option<File>,
    scratch: PathBuf,
    folder: PathBuf,
    hash: Sha256,
    size: u64,
    keep: bool,
}

impl BlobWriter {
    pub(crate) fn new(ingest: &Path, folder: &Path) -> Outcome<Self> {
        let scratch = ingest.join(format!("blob-{}", unique()));
        let file = File::create_new(&scratch).or_fail(|| format!("cannot make {}", scratch.display()))?;
        Ok(Self {
            file: Some(file),
            scratch,
            folder: folder.to_owned(),
            hash: Sha256::new(),
            size: 0,
            keep: false,
        })
    }

    /// Continues a half-written blob, hashing what is there; it stays when this writer is dropped.
    /// `file` is open for writing and locked.
    pub(crate) fn resume(partial: &Path, folder: &Path, mut file: File) -> Outcome<Self> {
        let what = || format!("cannot continue {}", partial.display());
        let mut hash = Sha256::new();
        let mut size = 0;
        let mut chunk = vec![0; 1 << 16];
        loop {
            let count = file.read(&mut chunk).or_fail(what)?;
            if count == 0 {
                break;
            }
            hash.update(&chunk[..count]);
            size += count as u64;
        }
        Ok(Self {
            file: Some(file),
            scratch: partial.to_owned(),
            folder: folder.to_owned(),
            hash,
            size,
            keep: true,
        })
    }

    /// Bytes so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Throws away what came so far.
    pub(crate) fn restart(&mut self) -> Outcome<()> {
        if let Some(file) = &mut self.file {
            file.set_len(0).or_fail(|| "cannot empty a blob".into())?;
            std::io::Seek::rewind(file).or_fail(|| "cannot rewind a blob".into())?;
        }
        self.hash = Sha256::new();
        self.size = 0;
        Ok(())
    }

    /// Adds bytes.
    ///
    /// # Errors
    /// The disk's.
    pub fn write(&mut self, bytes: &[u8]) -> Outcome<()> {
        let file = self.file.as_mut().ok_or_else(|| invalid("the blob is finished"))?;
        file.write_all(bytes)
            .or_fail(|| format!("cannot write image content to {}", self.scratch.display()))?;
        self.hash.update(bytes);
        self.size += bytes.len() as u64;
        Ok(())
    }

    /// Adds everything a reader gives, up to a limit.
    ///
    /// # Errors
    /// The reader's, the disk's, or `Invalid` above the limit.
    pub fn copy_from(&mut self, mut reader: impl Read, limit_bytes: u64) -> Outcome<()> {
        let mut chunk = vec![0; 1 << 16];
        loop {
            let count = reader.read(&mut chunk).or_fail(|| "cannot read image content".into())?;
            if count == 0 {
                return Ok(());
            }
            if self.size + count as u64 > limit_bytes {
                return Err(invalid(format!("image content is longer than {limit_bytes} bytes")));
            }
            self.write(&chunk[..count])?;
        }
    }

    /// Syncs it and puts it in its place; gives digest and size.
    ///
    /// # Errors
    /// `Invalid` when it is not what was expected.
    pub fn finish(mut self, expected: Option<&str>) -> Outcome<(String, u64)> {
        let digest = format!("sha256:{}", hex(&self.hash.finalize_reset()));
        if let Some(expected) = expected
            && expected != digest
        {
            self.keep = false;
            return Err(invalid(format!(
                "image content {expected} came as {digest}: it is damaged or forged"
            )));
        }
        let file = self.file.take().ok_or_else(|| invalid("the blob is finished"))?;
        let to = self.folder.join(&digest["sha256:".len()..]);
        let place = || {
            file.sync_all()?;
            fs::rename(&self.scratch, &to)
        };
        place().or_fail(|| format!("cannot put {} in its place", to.display()))?;
        Ok((digest, self.size))
    }
}

impl Write for BlobWriter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        BlobWriter::write(self, bytes).map_err(std::io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Drop for BlobWriter {
    fn drop(&mut self) {
        if !self.keep {
            // After `finish` nothing is left under this name.
            let _ = fs::remove_file(&self.scratch);
        }
    }
}

/// Lower case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes every byte");
        text
    })
}
