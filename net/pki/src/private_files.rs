//! Files that hold keys: written whole or not at all, readable by their owner alone.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustls_pki_types::CertificateDer;
use thiserror::Error;
use zeroize::Zeroizing;

/// Largest file read, in bytes; ours are below 8 KiB.
pub const FILE_LIMIT_BYTES: u64 = 256 * 1024;
/// Most PEM blocks in one file.
const PEM_BLOCKS_LIMIT: usize = 16;

const PRIVATE_FILE_MODE: u32 = 0o600;
const PUBLIC_FILE_MODE: u32 = 0o644;
const PRIVATE_DIR_MODE: u32 = 0o700;

/// Why a key or certificate file could not be written or read.
#[derive(Debug, Error)]
pub enum FileError {
    /// Nothing is there. For loaders this means "not created yet".
    #[error("{path}: no such file")]
    Absent {
        /// The file.
        path: PathBuf,
    },
    /// The operating system refused. Retryable when its cause is (disk full, for one).
    #[error("{path}: cannot {action}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// The cause.
        source: io::Error,
    },
    /// A private file that others may read or write.
    #[error(
        "{path}: mode {mode:04o} lets others at a private key; run chmod 600 after checking who could read it"
    )]
    TooOpen {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The content is not what this crate writes. Restore the file from a backup, or remove it and join again.
    #[error("{path}: damaged: {what}; restore it from a backup or remove it and join again")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
}

impl FileError {
    /// True when there is no file, as opposed to a bad one.
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Absent { .. })
    }
}

pub(crate) fn damaged(path: &Path, what: impl Into<String>) -> FileError {
    FileError::Damaged { path: path.to_owned(), what: what.into() }
}

/// Creates the directory (mode 0700) and its missing parents.
pub(crate) fn create_private_dir(dir: &Path) -> Result<(), FileError> {
    let io = |source| FileError::Io { path: dir.to_owned(), action: "create the directory", source };
    DirBuilder::new().recursive(true).mode(PRIVATE_DIR_MODE).create(dir).map_err(io)
}

/// Replaces `path` by `content` so that a crash leaves the old or the new file, both whole, and an answered
/// write survives a power cut: temporary file, fsync, rename, fsync of the directory. Mode 0600.
pub(crate) fn write_private(path: &Path, content: &[u8]) -> Result<(), FileError> {
    write_atomically(path, content, PRIVATE_FILE_MODE)
}

/// As [`write_private`], mode 0644, for what everyone may read.
pub(crate) fn write_public(path: &Path, content: &[u8]) -> Result<(), FileError> {
    write_atomically(path, content, PUBLIC_FILE_MODE)
}

fn write_atomically(path: &Path, content: &[u8], mode: u32) -> Result<(), FileError> {
    let fail = |action| move |source| FileError::Io { path: path.to_owned(), action, source };
    let dir = match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    };
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    let temporary = PathBuf::from(temporary);
    // A leftover of a crashed write may have another mode; O_EXCL then makes ours the only one.
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(fail("remove the leftover of an earlier write")(error));
        }
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&temporary)
        .map_err(fail("create a temporary file beside it"))?;
    // The umask may have taken bits away.
    file.set_permissions(fs::Permissions::from_mode(mode)).map_err(fail("set its mode"))?;
    file.write_all(content).map_err(fail("write"))?;
    file.sync_all().map_err(fail("fsync"))?;
    fs::rename(&temporary, path).map_err(fail("put it in place"))?;
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(fail("fsync its directory"))
}

/// Reads a file that must be private (no bit for group or others).
pub(crate) fn read_private(path: &Path) -> Result<Zeroizing<Vec<u8>>, FileError> {
    let fail = |action| move |source| FileError::Io { path: path.to_owned(), action, source };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(FileError::Absent { path: path.to_owned() });
        }
        Err(error) => return Err(fail("open")(error)),
    };
    let metadata = file.metadata().map_err(fail("stat"))?;
    let mode = metadata.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(FileError::TooOpen { path: path.to_owned(), mode });
    }
    if metadata.len() > FILE_LIMIT_BYTES {
        return Err(damaged(path, format!("{} bytes, more than {FILE_LIMIT_BYTES}", metadata.len())));
    }
    let mut content = Zeroizing::new(Vec::new());
    file.take(FILE_LIMIT_BYTES).read_to_end(&mut content).map_err(fail("read"))?;
    Ok(content)
}

/// A private key and the certificates that go with it, as one PEM file holds them, so that one rename replaces
/// both and no crash pairs a new key with an old certificate.
pub(crate) struct KeyAndChain {
    pub(crate) key_pkcs8: Zeroizing<Vec<u8>>,
    pub(crate) chain: Vec<CertificateDer<'static>>,
}

const KEY_LABEL: &str = "PRIVATE KEY";
const CERTIFICATE_LABEL: &str = "CERTIFICATE";

impl KeyAndChain {
    pub(crate) fn to_pem(&self) -> Zeroizing<Vec<u8>> {
        let mut text = Zeroizing::new(String::new());
        for certificate in &self.chain {
            text.push_str(&certificate_pem(certificate));
        }
        text.push_str(&Zeroizing::new(pem::encode(&pem::Pem::new(KEY_LABEL, self.key_pkcs8.to_vec()))));
        Zeroizing::new(text.as_bytes().to_vec())
    }

    /// `what` is wrong, in words, when the text does not hold exactly one key.
    pub(crate) fn from_pem(text: &[u8]) -> Result<Self, String> {
        let blocks = pem::parse_many(text).map_err(|error| format!("not PEM ({error})"))?;
        if blocks.len() > PEM_BLOCKS_LIMIT {
            return Err(format!("{} PEM blocks, more than {PEM_BLOCKS_LIMIT}", blocks.len()));
        }
        let mut key = None;
        let mut chain = Vec::new();
        for block in blocks {
            match block.tag() {
                KEY_LABEL if key.is_none() => key = Some(Zeroizing::new(block.into_contents())),
                CERTIFICATE_LABEL => chain.push(CertificateDer::from(block.into_contents())),
                other => return Err(format!("unexpected PEM block {other:?}")),
            }
        }
        let key_pkcs8 = key.ok_or("no PRIVATE KEY block")?;
        Ok(Self { key_pkcs8, chain })
    }

    pub(crate) fn load(path: &Path) -> Result<Self, FileError> {
        Self::from_pem(&read_private(path)?).map_err(|what| damaged(path, what))
    }

    pub(crate) fn save(&self, path: &Path) -> Result<(), FileError> {
        write_private(path, &self.to_pem())
    }
}

pub(crate) fn certificate_pem(certificate: &CertificateDer<'_>) -> String {
    pem::encode(&pem::Pem::new(CERTIFICATE_LABEL, certificate.to_vec()))
}
