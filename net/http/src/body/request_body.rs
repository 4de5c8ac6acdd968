//! A request body with its limits.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::Body;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::timeout;

use crate::refusal::Refusal;

/// What [`RequestBody::read_all`] reserves at most on the word of a `Content-Length`, in bytes.
const RESERVE_LIMIT_BYTES: usize = 64 * 1024;
/// What is read and thrown away of a body beyond its limit, in bytes. Many HTTP/1.1 clients only read the answer once
/// they have sent everything, and would report a broken connection instead of the refusal.
const DISCARD_LIMIT_BYTES: usize = 16 * 1024 * 1024;
/// How long that may take.
const DISCARD_LIMIT: Duration = Duration::from_secs(5);

/// The body of one request. Reading more than the limit, or waiting for too long, is a typed refusal.
#[derive(Debug)]
pub struct RequestBody {
    incoming: Option<Incoming>,
    /// A body that is there as a whole.
    whole: Option<Bytes>,
    limit_bytes: usize,
    read_bytes: usize,
    idle: Duration,
    sends_before_reading: bool,
}

impl RequestBody {
    /// `sends_before_reading`: a client that looks for the answer only after it has sent the whole body.
    pub(crate) fn new(
        incoming: Incoming,
        limit_bytes: usize,
        idle: Duration,
        sends_before_reading: bool,
    ) -> Self {
        Self { incoming: Some(incoming), whole: None, limit_bytes, read_bytes: 0, idle, sends_before_reading }
    }

    /// A body without bytes, for requests made inside the process.
    pub fn empty() -> Self {
        Self::full(Bytes::new(), 0)
    }

    /// A body that is there as a whole, for requests made inside the process.
    pub fn full(whole: Bytes, limit_bytes: usize) -> Self {
        Self {
            incoming: None,
            whole: Some(whole).filter(|whole| !whole.is_empty()),
            limit_bytes,
            read_bytes: 0,
            idle: Duration::MAX,
            sends_before_reading: false,
        }
    }

    /// Another limit, in bytes, for this request.
    pub fn set_limit(&mut self, limit_bytes: usize) {
        self.limit_bytes = limit_bytes;
    }

    /// True when the client announced no body.
    pub fn is_empty(&self) -> bool {
        self.whole.is_none() && self.incoming.as_ref().is_none_or(Body::is_end_stream)
    }

    /// The whole body in one piece; without a copy when it came in one.
    pub async fn read_all(&mut self) -> Result<Bytes, Refusal> {
        let announced = self.announced_bytes();
        if announced.is_some_and(|bytes| bytes > self.limit_bytes) {
            return Err(self.too_large().await);
        }
        let Some(first) = self.next().await? else { return Ok(Bytes::new()) };
        let Some(second) = self.next().await? else { return Ok(first) };
        let reserve = announced
            .unwrap_or_default()
            .clamp(first.len() + second.len(), RESERVE_LIMIT_BYTES.max(first.len() + second.len()));
        let mut whole = BytesMut::with_capacity(reserve);
        whole.extend_from_slice(&first);
        whole.extend_from_slice(&second);
        while let Some(piece) = self.next().await? {
            whole.extend_from_slice(&piece);
        }
        Ok(whole.freeze())
    }

    /// The next piece; `None` at the end. Trailers are skipped.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Refusal> {
        if let Some(whole) = self.whole.take() {
            return match whole.len() > self.limit_bytes {
                true => Err(self.too_large().await),
                false => Ok(Some(whole)),
            };
        }
        let Some(incoming) = self.incoming.as_mut() else { return Ok(None) };
        loop {
            let frame = match timeout(self.idle, incoming.frame()).await {
                Err(_) => return Err(Refusal::BodyTooSlow { seconds: self.idle.as_secs() }),
                Ok(None) => return Ok(None),
                Ok(Some(Err(error))) => return Err(Refusal::BodyBroken { reason: error.to_string() }),
                Ok(Some(Ok(frame))) => frame,
            };
            let Ok(data) = frame.into_data() else { continue };
            if data.is_empty() {
                continue;
            }
            self.read_bytes = self.read_bytes.saturating_add(data.len());
            return match self.read_bytes > self.limit_bytes {
                true => Err(self.too_large().await),
                false => Ok(Some(data)),
            };
        }
    }

    /// What is still to come from the client, and what is there as a whole.
    pub(crate) fn into_parts(self) -> (Option<Incoming>, Bytes) {
        (self.incoming, self.whole.unwrap_or_default())
    }

    fn announced_bytes(&self) -> Option<usize> {
        let exact = self.incoming.as_ref()?.size_hint().exact()?;
        Some(usize::try_from(exact).unwrap_or(usize::MAX))
    }

    async fn too_large(&mut self) -> Refusal {
        let left = self.announced_bytes().unwrap_or_default();
        if self.sends_before_reading && left <= DISCARD_LIMIT_BYTES {
            // Whatever comes of it, the answer is the same.
            drop(timeout(DISCARD_LIMIT, self.discard()).await);
        }
        Refusal::BodyTooLarge { limit_bytes: self.limit_bytes }
    }

    async fn discard(&mut self) {
        let mut left = DISCARD_LIMIT_BYTES;
        let Some(incoming) = self.incoming.as_mut() else { return };
        while let Some(Ok(frame)) = incoming.frame().await {
            let bytes = frame.data_ref().map_or(0, Bytes::len);
            match left.checked_sub(bytes) {
                Some(rest) => left = rest,
                None => return,
            }
        }
    }
}
