//! Fetching an image: its manifest from the first endpoint that has it, its content in parallel, each part verified.

use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::try_join_all;
use http::{Method, StatusCode, header};
use http_body_util::BodyExt;
use parking_lot::Mutex;
use rustix::fs::{FlockOperation, flock};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tokio::time::timeout;
use trireme_node::{PullCredentials, RuntimeError, RuntimeErrorKind};

use crate::builtin::blocking;
use crate::fail::{OrFail, Outcome, invalid, unavailable};
use crate::image::blob::{BlobWriter, hex};
use crate::image::build::name_and_unpack;
use crate::image::spec::{DOCKER_INDEX, DOCKER_MANIFEST, Descriptor, INDEX, Index, MANIFEST, Manifest};
use crate::image::{ImageStore, Reference, StoredImage};
use crate::registry::client::{ANSWER_LIMIT, Ask, Client, document};
use crate::registry::config::Registries;

/// Tries of one blob.
const TRIES_LIMIT: u32 = 4;
/// Before the second try; doubles.
const RETRY_PAUSE: Duration = Duration::from_millis(300);
/// Layers of an image: what overlayfs can stack.
const LAYERS_LIMIT: usize = 127;
/// Bytes of one blob.
const BLOB_LIMIT_BYTES: u64 = 64 * 1024 * 1024 * 1024;
/// Chunks on their way to disk.
const CHUNKS_LIMIT: usize = 16;

impl Registries {
    /// Fetches an image into a store and unpacks it. What is there already is not fetched again; a blob that broke
    /// off goes on where it stopped.
    ///
    /// # Errors
    /// `ImageUnavailable`, `Unauthorized`, `Invalid` for a bad name or forged content, `Exhausted` for a full disk.
    pub async fn pull(
        &self,
        store: &Arc<ImageStore>,
        image: &str,
        credentials: &[PullCredentials],
    ) -> Result<StoredImage, RuntimeError> {
        let reference = Reference::parse(image)?;
        if reference.digest.is_some() {
            let (store, name) = (store.clone(), reference.to_string());
            if let Some(known) = blocking(move || store.find(&name)).await? {
                return Ok(known);
            }
        }
        let bringing = store.clone();
        let _bringing = blocking(move || bringing.bring()).await?;
        let mut last = None;
        for endpoint in self.endpoints(&reference) {
            for credentials in self.credentials(&reference, &endpoint, credentials) {
                let client = Client {
                    registries: self,
                    endpoint: endpoint.clone(),
                    credentials,
                    actions: "pull",
                    authorization: Mutex::new(None),
                };
                match client.fetch(store, &reference).await {
                    Ok((manifest, names)) => {
                        let store = store.clone();
                        return blocking(move || name_and_unpack(&store, &manifest, &names)).await;
                    }
                    Err(error) => {
                        let refused = error.kind == RuntimeErrorKind::Unauthorized;
                        // Wrong credentials say more than none would.
                        if !refused || last.is_none() {
                            last = Some(error);
                        }
                        if !refused {
                            break;
                        }
                    }
                }
            }
        }
        let error = last.unwrap_or_else(|| unavailable("no endpoint is configured"));
        let text = format!("failed to pull and unpack image \"{reference}\": {}", error.message);
        Err(RuntimeError::new(error.kind, text))
    }
}

impl Client<'_> {
    /// Brings manifest and content; gives the manifest and the image's names.
    async fn fetch(
        &self,
        store: &Arc<ImageStore>,
        reference: &Reference,
    ) -> Outcome<(Descriptor, Vec<String>)> {
        let top = self.manifest(store, reference, reference.wanted()).await?;
        let mut names: Vec<String> = reference.tagged().into_iter().collect();
        if reference.digest.is_some() {
            names.clear();
        }
        names.push(reference.with_digest(&top.digest));
        let mut manifest = top;
        if manifest.media_type == INDEX || manifest.media_type == DOCKER_INDEX {
            let index: Index = serde_json::from_slice(&store.read_document(&manifest.digest)?)
                .or_fail(|| format!("the index {} is damaged", manifest.digest))?;
            let entry = index.for_this_machine().cloned().ok_or_else(|| {
                let text = format!(
                    "no match for platform in manifest: linux/{}: not found",
                    crate::image::spec::architecture()
                );
                RuntimeError::new(RuntimeErrorKind::ImageUnavailable, text)
            })?;
            manifest = self.manifest(store, reference, &entry.digest).await?;
        }
        let content: Manifest = serde_json::from_slice(&store.read_document(&manifest.digest)?)
            .or_fail(|| format!("the manifest {} is damaged", manifest.digest))?;
        if content.layers.len() > LAYERS_LIMIT {
            return Err(invalid(format!("the image has more than {LAYERS_LIMIT} layers")));
        }
        let all = std::iter::once(&content.config).chain(&content.layers);
        try_join_all(all.map(|blob| self.blob(store, blob))).await?;
        Ok((manifest, names))
    }

    async fn manifest(
        &self,
        store: &Arc<ImageStore>,
        reference: &Reference,
        wanted: &str,
    ) -> Outcome<Descriptor> {
        let accept = [INDEX, DOCKER_INDEX, MANIFEST, DOCKER_MANIFEST].join(", ");
        let ask =
            Ask::new(Method::GET, self.url(&format!("manifests/{wanted}"))).header(header::ACCEPT, &accept);
        let response = self.ask(ask).await?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => {
                let text = format!("failed to resolve reference \"{reference}\": {reference}: not found");
                return Err(RuntimeError::new(RuntimeErrorKind::ImageUnavailable, text));
            }
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                let text = format!(
                    "failed to resolve reference \"{reference}\": pull access denied, repository does not exist or may require authorization: {} from {}",
                    response.status(),
                    self.endpoint.host
                );
                return Err(RuntimeError::new(RuntimeErrorKind::Unauthorized, text));
            }
            status => return Err(refused(&self.url("manifests"), status)),
        }
        let kind = response.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let kind = kind.unwrap_or_default().split(';').next().unwrap_or_default().trim().to_owned();
        let bytes = document(response).await?;
        let digest = format!("sha256:{}", hex(&Sha256::digest(&bytes)));
        if wanted.starts_with("sha256:") && digest != wanted {
            return Err(invalid(format!("the registry gave {digest} for {wanted}: it is damaged or forged")));
        }
        let store = store.clone();
        blocking(move || store.put_document(&kind, &bytes)).await
    }

    async fn blob(&self, store: &Arc<ImageStore>, blob: &Descriptor) -> Outcome<()> {
        if store.has_blob(&blob.digest) {
            return Ok(());
        }
        if blob.size > BLOB_LIMIT_BYTES {
            return Err(invalid(format!("{} is longer than {BLOB_LIMIT_BYTES} bytes", blob.digest)));
        }
        let _place =
            self.registries.fetches.acquire().await.map_err(|_| unavailable("fetching was given up"))?;
        let mut tries = 1;
        loop {
            match self.try_blob(store, blob).await {
                Err(error) if tries < TRIES_LIMIT && error.kind == RuntimeErrorKind::ImageUnavailable => {
                    tracing::debug!(digest = %blob.digest, %error, tries, "fetching goes on after a pause");
                    tokio::time::sleep(RETRY_PAUSE * 2_u32.pow(tries - 1)).await;
                    tries += 1;
                }
                done => return done,
            }
        }
    }

    async fn try_blob(&self, store: &Arc<ImageStore>, blob: &Descriptor) -> Outcome<()> {
        let (partial, digest) = (store.clone(), blob.digest.clone());
        let Some(mut writer) = blocking(move || open_partial(&partial, &digest)).await? else {
            return Ok(());
        };
        if writer.size() < blob.size || blob.size == 0 {
            writer = self.receive(blob, writer).await?;
        }
        let digest = blob.digest.clone();
        blocking(move || writer.finish(Some(&digest)).map(drop)).await
    }

    /// Writes the rest of a blob.
    async fn receive(&self, blob: &Descriptor, mut writer: BlobWriter) -> Outcome<BlobWriter> {
        let url = self.url(&format!("blobs/{}", blob.digest));
        let mut ask = Ask::new(Method::GET, url.clone());
        if writer.size() > 0 {
            ask = ask.header(header::RANGE, &format!("bytes={}-", writer.size()));
        }
        let response = self.ask(ask).await?;
        match response.status() {
            StatusCode::PARTIAL_CONTENT => {}
            StatusCode::OK => writer.restart()?,
            StatusCode::RANGE_NOT_SATISFIABLE => {
                writer.restart()?;
                return Err(refused(&url, response.status()));
            }
            status => return Err(refused(&url, status)),
        }
        let (send, mut chunks) = mpsc::channel::<bytes::Bytes>(CHUNKS_LIMIT);
        let limit = blob.size;
        let writing = tokio::task::spawn_blocking(move || {
            while let Some(chunk) = chunks.blocking_recv() {
                if writer.size() + chunk.len() as u64 > limit {
                    return Err(invalid(format!(
                        "the registry gave more than the {limit} bytes it promised"
                    )));
                }
                writer.write(&chunk)?;
            }
            Ok(writer)
        });
        let mut body = response.into_body();
        let broke = |text: String| RuntimeError::new(RuntimeErrorKind::ImageUnavailable, text);
        let received = loop {
            match timeout(ANSWER_LIMIT, body.frame()).await {
                Err(_) => break Err(broke(format!("{url} stopped coming"))),
                Ok(None) => break Ok(()),
                Ok(Some(Err(error))) => break Err(broke(format!("{url} broke off: {error}"))),
                Ok(Some(Ok(frame))) => {
                    let Ok(data) = frame.into_data() else { continue };
                    if send.send(data).await.is_err() {
                        // The writer's own error is told below.
                        break Ok(());
                    }
                }
            }
        };
        drop(send);
        let writer = writing.await.map_err(|error| unavailable(format!("writing broke off: {error}")))??;
        received?;
        if writer.size() < blob.size {
            return Err(broke(format!("{url} ended after {} of {} bytes", writer.size(), blob.size)));
        }
        Ok(writer)
    }
}

/// The half-fetched file of a blob, for one at a time; `None` when someone else brought it meanwhile.
fn open_partial(store: &ImageStore, digest: &str) -> Outcome<Option<BlobWriter>> {
    const CHANGES_LIMIT: u32 = 100;
    let path = store.partial_path(digest)?;
    let folder = store.root().join("blobs/sha256");
    for _ in 0..CHANGES_LIMIT {
        let file =
            std::fs::OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&path);
        let file = file.or_fail(|| format!("cannot open {}", path.display()))?;
        flock(&file, FlockOperation::LockExclusive).or_fail(|| format!("cannot lock {}", path.display()))?;
        // Whoever held it may have moved it to its place: then this is finished content, not to be touched.
        if store.has_blob(digest) {
            return Ok(None);
        }
        let own = file.metadata().or_fail(|| format!("cannot read {}", path.display()))?.ino();
        if std::fs::metadata(&path).is_ok_and(|there| there.ino() == own) {
            return BlobWriter::resume(&path, &folder, file).map(Some);
        }
    }
    Err(unavailable(format!("{} changes all the time", path.display())))
}

fn refused(url: &str, status: StatusCode) -> RuntimeError {
    let kind = match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => RuntimeErrorKind::Unauthorized,
        _ => RuntimeErrorKind::ImageUnavailable,
    };
    RuntimeError::new(kind, format!("unexpected status from GET request to {url}: {status}"))
}
