//! Images as a runtime holds them.

/// Asks for an image by reference.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PullImage {
    /// As in the pod: `busybox`, `registry:5000/a/b:tag`, `name@sha256:...`.
    pub image: String,
    /// Tried in order; none means anonymous.
    pub credentials: Vec<PullCredentials>,
}

/// What a `kubernetes.io/dockerconfigjson` entry says for one registry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PullCredentials {
    /// The registry (host, optional port and path prefix) they are for.
    pub registry: String,
    /// User.
    pub username: String,
    /// Password.
    pub password: String,
    /// An identity token, instead of user and password.
    pub identity_token: String,
}

/// An image that is present.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image {
    /// `sha256:...` of the image's configuration.
    pub id: String,
    /// `name:tag` references, normalised (`docker.io/library/busybox:latest`).
    pub tags: Vec<String>,
    /// `name@sha256:...` references.
    pub digests: Vec<String>,
    /// Bytes on disk.
    pub size: u64,
    /// Numeric user of the image's configuration, if it names one.
    pub uid: Option<u32>,
    /// User name of the image's configuration, if it is no number.
    pub username: String,
    /// Never collected as garbage.
    pub pinned: bool,
}

/// The filesystem that images and writable layers live on. Bytes and inodes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageFilesystem {
    /// Where it is mounted, or a folder on it.
    pub path: String,
    /// Bytes that images use.
    pub used_bytes: u64,
    /// Inodes that images use.
    pub used_inodes: u64,
    /// Free bytes on the filesystem.
    pub available_bytes: u64,
    /// Size of the filesystem.
    pub capacity_bytes: u64,
}
