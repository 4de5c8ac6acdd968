//! Pushing an image of the store.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream;
use http::{Method, StatusCode, header};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use parking_lot::Mutex;
use tokio::io::AsyncReadExt;
use trireme_node::{PullCredentials, RuntimeError, RuntimeErrorKind};

use crate::builtin::blocking;
use crate::fail::{OrFail, Outcome, not_found, unavailable};
use crate::image::spec::Descriptor;
use crate::image::{ImageStore, Reference};
use crate::registry::client::{Ask, Body, Client, absolute, empty, whole};
use crate::registry::config::Registries;

/// Bytes of a chunk on its way.
const CHUNK_BYTES: usize = 64 * 1024;

impl Registries {
    /// Pushes an image of the store under its name; content that the registry has is not sent again. Mirrors are not
    /// pushed to.
    ///
    /// # Errors
    /// `NotFound` when it is not here, `Unauthorized`, `ImageUnavailable` for everything else the registry says.
    pub async fn push(
        &self,
        store: &Arc<ImageStore>,
        image: &str,
        credentials: &[PullCredentials],
    ) -> Result<(), RuntimeError> {
        let reference = Reference::parse(image)?;
        let (finding, name) = (store.clone(), reference.to_string());
        let found = blocking(move || finding.find(&name)).await?;
        let found = found.ok_or_else(|| not_found(format!("image \"{reference}\" is not here")))?;
        let endpoint = self.endpoints(&reference).into_iter().rfind(|one| one.stands_for.is_none());
        let endpoint = endpoint.ok_or_else(|| unavailable("the registry itself is no endpoint"))?;
        let mut last = None;
        for credentials in self.credentials(&reference, &endpoint, credentials) {
            let client = Client {
                registries: self,
                endpoint: endpoint.clone(),
                credentials,
                actions: "pull,push",
                authorization: Mutex::new(None),
            };
            let sent = async {
                let config = Descriptor { digest: found.image.id.clone(), ..Descriptor::default() };
                for blob in found.layers.iter().chain(std::iter::once(&config)) {
                    client.send_blob(store, blob).await?;
                }
                client.send_manifest(store, &found.manifest, reference.wanted()).await
            };
            match sent.await {
                Err(error) if error.kind == RuntimeErrorKind::Unauthorized => {
                    last = last.or(Some(error));
                }
                done => return done,
            }
        }
        Err(last.unwrap_or_else(|| unavailable("no credentials were tried")))
    }
}

impl Client<'_> {
    async fn send_blob(&self, store: &Arc<ImageStore>, blob: &Descriptor) -> Outcome<()> {
        let url = self.url(&format!("blobs/{}", blob.digest));
        if self.ask(Ask::new(Method::HEAD, url)).await?.status() == StatusCode::OK {
            return Ok(());
        }
        let begin = self.url("blobs/uploads/");
        let response =
            self.ask(Ask::new(Method::POST, begin.clone()).header(header::CONTENT_LENGTH, "0")).await?;
        let location = response.headers().get(header::LOCATION).and_then(|text| text.to_str().ok());
        let (StatusCode::ACCEPTED, Some(location)) = (response.status(), location) else {
            return Err(refused(&begin, response.status()));
        };
        let to = absolute(&begin, location);
        let mark = if to.contains('?') { '&' } else { '?' };
        let path = store.blob_path(&blob.digest)?;
        let size = std::fs::metadata(&path).or_fail(|| format!("cannot read {}", path.display()))?.len();
        let ask = Ask::new(Method::PUT, format!("{to}{mark}digest={}", blob.digest))
            .header(header::CONTENT_TYPE, "application/octet-stream")
            .header(header::CONTENT_LENGTH, &size.to_string());
        let response = self.ask_with(ask, &move || file_body(path.clone())).await?;
        if response.status() != StatusCode::CREATED {
            return Err(refused(&to, response.status()));
        }
        Ok(())
    }

    async fn send_manifest(&self, store: &Arc<ImageStore>, manifest: &Descriptor, tag: &str) -> Outcome<()> {
        let bytes = store.read_document(&manifest.digest)?;
        let url = self.url(&format!("manifests/{tag}"));
        let ask = Ask::new(Method::PUT, url.clone())
            .header(header::CONTENT_TYPE, &manifest.media_type)
            .header(header::CONTENT_LENGTH, &bytes.len().to_string());
        let body = move || {
            let bytes = bytes.clone();
            Box::pin(async move { Ok(if bytes.is_empty() { empty() } else { whole(bytes) }) })
                as BoxFuture<'_, _>
        };
        let response = self.ask_with(ask, &body).await?;
        if response.status() != StatusCode::CREATED {
            return Err(refused(&url, response.status()));
        }
        Ok(())
    }
}

fn file_body<'a>(path: PathBuf) -> BoxFuture<'a, Outcome<Body>> {
    Box::pin(async move {
        let file =
            tokio::fs::File::open(&path).await.or_fail(|| format!("cannot open {}", path.display()))?;
        let chunks = stream::try_unfold(file, |mut file| async move {
            let mut chunk = vec![0; CHUNK_BYTES];
            let count = file.read(&mut chunk).await?;
            chunk.truncate(count);
            Ok::<_, std::io::Error>((count > 0).then(|| (Frame::data(Bytes::from(chunk)), file)))
        });
        Ok(BodyExt::boxed(StreamBody::new(SyncStream(Box::pin(chunks)))))
    })
}

/// A stream that is only ever polled by its owner, for a body type that asks for more.
struct SyncStream<S>(std::pin::Pin<Box<S>>);

impl<S: futures_util::Stream> futures_util::Stream for SyncStream<S> {
    type Item = S::Item;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        self.0.as_mut().poll_next(context)
    }
}

fn refused(url: &str, status: StatusCode) -> RuntimeError {
    let kind = match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => RuntimeErrorKind::Unauthorized,
        _ => RuntimeErrorKind::ImageUnavailable,
    };
    RuntimeError::new(kind, format!("unexpected status from push to {url}: {status}"))
}
