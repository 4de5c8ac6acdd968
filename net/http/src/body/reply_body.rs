//! A response body in the forms that an API server has.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use thiserror::Error;

use super::frames::FrameReceiver;
use crate::front::RequestGuard;

/// A response that ends before its end; the client sees a broken body, never a short one that looks whole.
#[derive(Debug, Error)]
pub enum ReplyError {
    /// The producer called [`crate::FrameSender::abort`].
    #[error("the producer aborted the stream")]
    Aborted,
    /// The backend of a proxied request broke off.
    #[error("the backend broke off: {0}")]
    Backend(#[from] hyper::Error),
}

/// Bytes of a response.
#[derive(Debug)]
pub struct ReplyBody {
    source: Source,
    // Dropped with the body: that is when the request is over.
    guard: Option<RequestGuard>,
}

#[derive(Debug)]
enum Source {
    Full(Bytes),
    Segments { rest: std::vec::IntoIter<Bytes>, left_bytes: u64 },
    Frames(FrameReceiver),
    Backend(Incoming),
}

impl ReplyBody {
    /// No bytes.
    pub fn empty() -> Self {
        Self::full(Bytes::new())
    }

    /// One piece, of known length.
    pub fn full(bytes: Bytes) -> Self {
        Self::from_source(Source::Full(bytes))
    }

    /// Several pieces, of known length together, none of them copied: a list made of stored objects.
    pub fn segments(segments: Vec<Bytes>) -> Self {
        let left_bytes =
            segments.iter().map(|segment| u64::try_from(segment.len()).unwrap_or(u64::MAX)).sum();
        Self::from_source(Source::Segments { rest: segments.into_iter(), left_bytes })
    }

    /// A stream of unknown length: a watch.
    pub fn frames(frames: FrameReceiver) -> Self {
        Self::from_source(Source::Frames(frames))
    }

    /// The beginning of the body, up to `limit_bytes`: for the text of an error that a backend sent.
    ///
    /// # Errors
    /// The body breaks off before.
    pub async fn read_beginning(mut self, limit_bytes: usize) -> Result<Bytes, ReplyError> {
        let mut out = BytesMut::new();
        while out.len() < limit_bytes {
            let Some(data) = self.next_piece().await? else { break };
            out.extend_from_slice(&data);
        }
        out.truncate(limit_bytes);
        Ok(out.freeze())
    }

    /// The next piece; `None` at the end. Trailers are skipped.
    ///
    /// # Errors
    /// The body breaks off.
    pub async fn next_piece(&mut self) -> Result<Option<Bytes>, ReplyError> {
        loop {
            let frame = std::future::poll_fn(|cx| Pin::new(&mut *self).poll_frame(cx)).await;
            match frame.transpose()?.map(Frame::into_data) {
                None => return Ok(None),
                Some(Ok(data)) => return Ok(Some(data)),
                Some(Err(_)) => {}
            }
        }
    }

    pub(crate) fn backend(incoming: Incoming) -> Self {
        Self::from_source(Source::Backend(incoming))
    }

    pub(crate) fn with_guard(mut self, guard: RequestGuard) -> Self {
        self.guard = Some(guard);
        self
    }

    fn from_source(source: Source) -> Self {
        Self { source, guard: None }
    }

    fn finished(&mut self) {
        if let Some(guard) = self.guard.take() {
            guard.finish();
        }
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = ReplyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ReplyError>>> {
        let this = self.get_mut();
        let next = match &mut this.source {
            Source::Full(bytes) if bytes.is_empty() => None,
            Source::Full(bytes) => Some(Ok(std::mem::take(bytes))),
            Source::Segments { rest, left_bytes } => {
                rest.find(|segment| !segment.is_empty()).map(|segment| {
                    *left_bytes = left_bytes.saturating_sub(u64::try_from(segment.len()).unwrap_or(u64::MAX));
                    Ok(segment)
                })
            }
            Source::Frames(frames) => {
                let joined = std::task::ready!(frames.poll_joined(cx));
                joined.map(|joined| joined.map_err(|_| ReplyError::Aborted))
            }
            Source::Backend(incoming) => {
                let frame = std::task::ready!(Pin::new(incoming).poll_frame(cx));
                if frame.is_none() {
                    this.finished();
                }
                return Poll::Ready(frame.map(|frame| frame.map_err(ReplyError::Backend)));
            }
        };
        if next.is_none() || this.is_end_stream() {
            this.finished();
        }
        Poll::Ready(next.map(|bytes| bytes.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Full(bytes) => bytes.is_empty(),
            Source::Segments { left_bytes, .. } => *left_bytes == 0,
            Source::Frames(_) => false,
            Source::Backend(incoming) => incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Full(bytes) => SizeHint::with_exact(u64::try_from(bytes.len()).unwrap_or(u64::MAX)),
            Source::Segments { left_bytes, .. } => SizeHint::with_exact(*left_bytes),
            Source::Frames(_) => SizeHint::default(),
            Source::Backend(incoming) => incoming.size_hint(),
        }
    }
}
