//! The channel behind a streaming response, such as a watch.
//!
//! The producer sees the client's pace: [`FrameSender::try_send`] says when the channel is full,
//! [`FrameSender::send`] waits. A frame that is alone in the channel goes out as it is, without a copy. Small frames
//! that pile up while the connection is busy are joined into one write: the copy of a few hundred bytes costs far less
//! than a frame, a TLS record and a system call of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use thiserror::Error;
use tokio::sync::mpsc;

/// Frames are joined up to this many bytes: one TLS record.
pub const COALESCE_LIMIT_BYTES: usize = 16 * 1024;
/// Larger frames are never copied.
const SMALL_FRAME_BYTES: usize = 4 * 1024;
/// Frames taken out of the channel at once.
const BATCH_FRAMES: usize = 128;

/// A bounded channel of `capacity` frames, at least one.
pub fn frame_channel(capacity: usize) -> (FrameSender, FrameReceiver) {
    let (sender, receiver) = mpsc::channel(capacity.max(1));
    let broken = Arc::new(AtomicBool::new(false));
    let held = Vec::new();
    (FrameSender { sender, broken: broken.clone() }, FrameReceiver { receiver, broken, held, next: 0 })
}

/// Why a frame was not taken; it is handed back.
#[derive(Debug, Error)]
pub enum FrameSendError {
    /// The client is slower than the producer. Wait with [`FrameSender::send`], or end the stream.
    #[error("the client does not keep up: the stream's channel is full")]
    Full(Bytes),
    /// The client is gone; stop producing.
    #[error("the client is gone")]
    Gone(Bytes),
}

/// The producer's end. Dropping the last clone ends the response properly.
#[derive(Clone, Debug)]
pub struct FrameSender {
    sender: mpsc::Sender<Bytes>,
    broken: Arc<AtomicBool>,
}

impl FrameSender {
    /// Takes a frame if there is room.
    pub fn try_send(&self, frame: Bytes) -> Result<(), FrameSendError> {
        self.sender.try_send(frame).map_err(|error| match error {
            mpsc::error::TrySendError::Full(frame) => FrameSendError::Full(frame),
            mpsc::error::TrySendError::Closed(frame) => FrameSendError::Gone(frame),
        })
    }

    /// Waits for room.
    pub async fn send(&self, frame: Bytes) -> Result<(), FrameSendError> {
        self.sender.send(frame).await.map_err(|error| FrameSendError::Gone(error.0))
    }

    /// Returns when the client has gone.
    pub async fn closed(&self) {
        self.sender.closed().await;
    }

    /// True when the client has gone.
    pub fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Frames that can be sent without waiting.
    pub fn room(&self) -> usize {
        self.sender.capacity()
    }

    /// Ends the response as broken, so that the client does not take what it has for the whole.
    pub fn abort(self) {
        self.broken.store(true, Ordering::Release);
    }
}

/// The response's end: goes into [`crate::ReplyBody::frames`] or a watch over WebSocket.
#[derive(Debug)]
pub struct FrameReceiver {
    receiver: mpsc::Receiver<Bytes>,
    broken: Arc<AtomicBool>,
    held: Vec<Bytes>,
    next: usize,
}

/// The producer gave up within the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the producer aborted the stream")]
pub(crate) struct Aborted;

impl FrameReceiver {
    /// The next frame as the producer made it.
    pub(crate) async fn next_frame(&mut self) -> Option<Bytes> {
        match self.take_held() {
            Some(frame) => Some(frame),
            None => self.receiver.recv().await,
        }
    }

    /// The next bytes for the wire: one frame, or several small ones joined.
    pub(crate) fn poll_joined(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Aborted>>> {
        if self.next >= self.held.len() {
            self.held.clear();
            self.next = 0;
            match self.receiver.poll_recv_many(cx, &mut self.held, BATCH_FRAMES) {
                Poll::Pending => {
                    // An idle watch keeps no buffer.
                    self.held = Vec::new();
                    return Poll::Pending;
                }
                Poll::Ready(0) => {
                    let broken = self.broken.load(Ordering::Acquire);
                    return Poll::Ready(broken.then_some(Err(Aborted)));
                }
                Poll::Ready(_) => {}
            }
        }
        Poll::Ready(self.join_held().map(Ok))
    }

    fn join_held(&mut self) -> Option<Bytes> {
        let waiting = self.held.get(self.next..)?;
        let mut bytes = 0;
        let joinable = waiting
            .iter()
            .take_while(|frame| {
                bytes += frame.len();
                frame.len() <= SMALL_FRAME_BYTES && bytes <= COALESCE_LIMIT_BYTES
            })
            .count();
        if joinable < 2 {
            return self.take_held();
        }
        let batch = waiting.get(..joinable)?;
        let mut joined = BytesMut::with_capacity(batch.iter().map(Bytes::len).sum());
        batch.iter().for_each(|frame| joined.extend_from_slice(frame));
        (0..joinable).for_each(|_| drop(self.take_held()));
        Some(joined.freeze())
    }

    fn take_held(&mut self) -> Option<Bytes> {
        let frame = std::mem::take(self.held.get_mut(self.next)?);
        self.next += 1;
        Some(frame)
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    fn poll(receiver: &mut FrameReceiver) -> Poll<Option<Result<Bytes, Aborted>>> {
        receiver.poll_joined(&mut Context::from_waker(Waker::noop()))
    }

    fn frame(byte: u8, len: usize) -> Bytes {
        Bytes::from(vec![byte; len])
    }

    #[test]
    fn a_lone_frame_is_not_copied_and_small_ones_are_joined_in_order() {
        let (sender, mut receiver) = frame_channel(8);
        let lone = frame(b'a', 10);
        sender.try_send(lone.clone()).unwrap();
        let Poll::Ready(Some(Ok(out))) = poll(&mut receiver) else { panic!("a frame") };
        assert_eq!(out.as_ptr(), lone.as_ptr());
        assert!(poll(&mut receiver).is_pending());
        for byte in b"bcd" {
            sender.try_send(frame(*byte, 2)).unwrap();
        }
        assert_eq!(poll(&mut receiver), Poll::Ready(Some(Ok(Bytes::from_static(b"bbccdd")))));
    }

    #[test]
    fn large_frames_keep_their_place_and_are_not_copied() {
        let (sender, mut receiver) = frame_channel(8);
        let large = frame(b'L', SMALL_FRAME_BYTES + 1);
        for piece in [frame(b'a', 1), large.clone(), frame(b'b', 1), frame(b'c', 1)] {
            sender.try_send(piece).unwrap();
        }
        let mut out = Vec::new();
        while let Poll::Ready(Some(Ok(bytes))) = poll(&mut receiver) {
            out.push(bytes);
        }
        let lengths: Vec<usize> = out.iter().map(Bytes::len).collect();
        assert_eq!(lengths, [1, SMALL_FRAME_BYTES + 1, 2]);
        assert_eq!(out[1].as_ptr(), large.as_ptr());
    }

    #[test]
    fn a_join_stays_below_its_limit() {
        let (sender, mut receiver) = frame_channel(64);
        (0..64).for_each(|_| sender.try_send(frame(b'x', 1000)).unwrap());
        let mut total = 0;
        while let Poll::Ready(Some(Ok(bytes))) = poll(&mut receiver) {
            assert!(bytes.len() <= COALESCE_LIMIT_BYTES && bytes.len() > 4000, "{}", bytes.len());
            total += bytes.len();
        }
        assert_eq!(total, 64_000);
    }

    #[test]
    fn the_producer_sees_a_full_channel_a_gone_client_and_can_abort() {
        let (sender, mut receiver) = frame_channel(1);
        sender.try_send(frame(1, 1)).unwrap();
        assert_eq!(sender.room(), 0);
        assert!(matches!(sender.try_send(frame(2, 1)), Err(FrameSendError::Full(_))));
        assert!(poll(&mut receiver).is_ready());
        sender.clone().abort();
        drop(sender);
        assert_eq!(poll(&mut receiver), Poll::Ready(Some(Err(Aborted))));
        let (sender, receiver) = frame_channel(1);
        drop(receiver);
        assert!(sender.is_closed());
        assert!(matches!(sender.try_send(frame(2, 1)), Err(FrameSendError::Gone(_))));
    }
}
