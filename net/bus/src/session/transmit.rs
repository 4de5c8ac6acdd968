//! Sending: frames into queues, queues into streams.

use super::outbound::{Bound, Outbound, PushError};
use super::{Session, close_code};
use crate::class::{class_code, stream_priority};
use crate::frame::{Frame, Hello, PROTOCOL_VERSION, encode};
use bytes::{Bytes, BytesMut};
use std::sync::Arc;
use trireme_kernel::Class;

impl Session {
    /// Queues a frame past the fault gate; its position in the class's queue.
    pub(crate) fn send(
        self: &Arc<Self>,
        class: Class,
        bound: Bound,
        frame: &Frame,
    ) -> Result<u64, PushError> {
        if self.engine.faults.is_idle() {
            return self.queue_frame(class, bound, frame);
        }
        self.send_through_gate(class, bound, frame)
    }

    /// Queues a frame as it is.
    pub(super) fn queue_frame(
        self: &Arc<Self>,
        class: Class,
        bound: Bound,
        frame: &Frame,
    ) -> Result<u64, PushError> {
        let mut large = None;
        let body = body_of(frame);
        let head = |out: &mut BytesMut| large = encode(out, frame);
        // `encode` copies small bodies itself and hands back large ones, which `queue` must get beforehand.
        if body.len() <= crate::frame::INLINE_BODY_BYTES {
            let position = self.queue(class, bound, head, &Bytes::new());
            debug_assert!(large.is_none(), "small bodies are inlined");
            position
        } else {
            self.queue(class, bound, head, &body)
        }
    }

    /// Queues a header and its body, starting the class's writer if there is none yet.
    pub(super) fn queue(
        self: &Arc<Self>,
        class: Class,
        bound: Bound,
        head: impl FnOnce(&mut BytesMut),
        body: &Bytes,
    ) -> Result<u64, PushError> {
        let pushed = self.outbound_of(class).push(bound, head, body)?;
        if pushed.start_writer {
            self.engine.io.spawn(open_and_write(Arc::clone(self), class));
        }
        Ok(pushed.position)
    }
}

fn body_of(frame: &Frame) -> Bytes {
    match frame {
        Frame::Request(request) => request.body.clone(),
        Frame::Response { outcome: Ok(body) | Err(body), .. } | Frame::Event { body, .. } => body.clone(),
        Frame::Subscribe(subscribe) => subscribe.topic.clone(),
        _ => Bytes::new(),
    }
}

/// Opens a class's stream and says what it is for.
pub(super) async fn open_class(
    connection: &quinn::Connection,
    class: Class,
    instance: u64,
) -> Result<quinn::SendStream, quinn::WriteError> {
    let mut stream = connection.open_uni().await?;
    // Fails only when the stream is closed, which the write below tells better.
    let _ = stream.set_priority(stream_priority(class));
    stream.write_chunk(hello(class, instance)).await?;
    Ok(stream)
}

pub(super) fn hello(class: Class, instance: u64) -> Bytes {
    let hello = Hello { version: PROTOCOL_VERSION, class: class_code(class), instance };
    let mut out = BytesMut::with_capacity(16);
    let body = encode(&mut out, &Frame::Hello(hello));
    debug_assert!(body.is_none(), "a hello has no body");
    out.freeze()
}

async fn open_and_write(session: Arc<Session>, class: Class) {
    match open_class(&session.connection, class, session.engine.instance).await {
        Ok(stream) => write_opened(session, class, stream).await,
        Err(error) => tracing::debug!(peer = %session.peer, ?class, %error, "stream not opened"),
    }
}

/// The class's writer: takes whole batches until the queue closes.
pub(super) async fn write_opened(session: Arc<Session>, class: Class, mut stream: quinn::SendStream) {
    let outbound: &Outbound = session.outbound_of(class);
    while let Some(mut batch) = outbound.take().await {
        let bulk = (class == Class::Bulk).then(|| session.bulk.enter());
        let written = stream.write_all_chunks(&mut batch.chunks).await;
        drop(bulk);
        if let Err(error) = written {
            tracing::debug!(peer = %session.peer, ?class, %error, "stream broke");
            session.close(close_code::DONE, "the connection was lost");
            return;
        }
        outbound.written(&batch);
        session.subscriptions.flush_blocked(&session, class);
    }
}

impl Session {
    /// Queues an event; false when the queue is full or the session over.
    pub(crate) fn queue_event(
        self: &Arc<Self>,
        class: Class,
        head: impl FnOnce(&mut BytesMut),
        body: &Bytes,
    ) -> bool {
        self.queue(class, Bound::Soft, head, body).is_ok()
    }
}
