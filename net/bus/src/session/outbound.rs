//! The queue in front of a class's stream.
//!
//! Frames are encoded straight into one growing batch; the class's writer takes the whole batch at once, so many
//! small frames become one write. The queue counts what is waiting and what the writer holds.

use crate::config::SessionLimits;
use crate::frame::INLINE_BODY_BYTES;
use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use thiserror::Error;
use tokio::sync::Notify;

/// Batch memory kept while nothing is queued.
const KEEP_BYTES: usize = 4 * 1024;

/// Why a frame was not queued.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum PushError {
    /// Above the soft bound, or above the hard bound for answers.
    #[error("queue full")]
    Full,
    /// The session is over.
    #[error("session closed")]
    Closed,
}

/// Which bound applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bound {
    /// New work: waits or is refused when the queue is full.
    Soft,
    /// Answers and credit, which must not get lost: up to the hard bound.
    Hard,
}

/// A queued frame.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pushed {
    /// Its position among all frames of the class.
    pub(crate) position: u64,
    /// The class has no writer yet; the caller starts it.
    pub(crate) start_writer: bool,
}

/// What a writer takes.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) chunks: Vec<Bytes>,
    bytes: usize,
    frames: usize,
}

#[derive(Debug)]
pub(crate) struct Outbound {
    state: Mutex<State>,
    wake: Notify,
    space: Notify,
    soft_bytes: usize,
    soft_frames: usize,
    hard_bytes: usize,
}

#[derive(Debug, Default)]
struct State {
    chunks: Vec<Bytes>,
    tail: BytesMut,
    queued_bytes: usize,
    queued_frames: usize,
    /// Taken by the writer, not yet accepted by the connection.
    writing_bytes: usize,
    writing_frames: usize,
    pushed: u64,
    taken: u64,
    writer_started: bool,
    writer_idle: bool,
    closed: bool,
    waiters: usize,
}

impl Outbound {
    pub(crate) fn new(limits: &SessionLimits) -> Self {
        Self {
            state: Mutex::default(),
            wake: Notify::new(),
            space: Notify::new(),
            soft_bytes: limits.queue_bytes,
            soft_frames: limits.queue_frames,
            hard_bytes: limits.queue_hard_bytes,
        }
    }

    /// Queues one frame: `head` writes the header, `body` follows it.
    pub(crate) fn push(
        &self,
        bound: Bound,
        head: impl FnOnce(&mut BytesMut),
        body: &Bytes,
    ) -> Result<Pushed, PushError> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(PushError::Closed);
        }
        if self.is_over(&state, bound) {
            return Err(PushError::Full);
        }
        let before = state.tail.len();
        head(&mut state.tail);
        let mut added = state.tail.len() - before;
        if body.len() <= INLINE_BODY_BYTES {
            state.tail.extend_from_slice(body);
        } else {
            let head = state.tail.split().freeze();
            state.chunks.push(head);
            state.chunks.push(body.clone());
        }
        added += body.len();
        state.queued_bytes += added;
        state.queued_frames += 1;
        state.pushed += 1;
        let pushed = Pushed { position: state.pushed, start_writer: !state.writer_started };
        state.writer_started = true;
        let wake = std::mem::take(&mut state.writer_idle);
        drop(state);
        if wake {
            self.wake.notify_one();
        }
        Ok(pushed)
    }

    fn is_over(&self, state: &State, bound: Bound) -> bool {
        let bytes = state.queued_bytes + state.writing_bytes;
        match bound {
            Bound::Soft => {
                bytes >= self.soft_bytes || state.queued_frames + state.writing_frames >= self.soft_frames
            }
            Bound::Hard => bytes >= self.hard_bytes,
        }
    }

    /// Whether new work would be turned away.
    pub(crate) fn is_full(&self) -> bool {
        self.is_over(&self.state.lock(), Bound::Soft)
    }

    /// Bytes queued and being written.
    pub(crate) fn bytes(&self) -> usize {
        let state = self.state.lock();
        state.queued_bytes + state.writing_bytes
    }

    /// Resolves when there may be room again, or the queue closed.
    pub(crate) async fn room(&self) {
        loop {
            let notified = self.space.notified();
            tokio::pin!(notified);
            notified.as_mut().enable();
            {
                let mut state = self.state.lock();
                if state.closed || !self.is_over(&state, Bound::Soft) {
                    return;
                }
                state.waiters += 1;
            }
            notified.await;
        }
    }

    /// Marks the writer as started; false when it already was.
    pub(crate) fn claim_writer(&self) -> bool {
        !std::mem::replace(&mut self.state.lock().writer_started, true)
    }

    /// Position of the last frame a writer took: later ones were certainly not sent.
    pub(crate) fn taken(&self) -> u64 {
        self.state.lock().taken
    }

    /// Everything queued, or `None` once closed. Only the class's writer calls this.
    pub(crate) async fn take(&self) -> Option<Batch> {
        loop {
            {
                let mut state = self.state.lock();
                if state.closed {
                    return None;
                }
                if state.queued_frames > 0 {
                    return Some(take_all(&mut state));
                }
                if state.tail.capacity() > KEEP_BYTES {
                    state.tail = BytesMut::new();
                    state.chunks = Vec::new();
                }
                state.writer_idle = true;
            }
            self.wake.notified().await;
        }
    }

    /// The batch was accepted by the connection.
    pub(crate) fn written(&self, batch: &Batch) {
        let mut state = self.state.lock();
        state.writing_bytes -= batch.bytes;
        state.writing_frames -= batch.frames;
        let wake = state.waiters > 0 && !self.is_over(&state, Bound::Soft);
        if wake {
            state.waiters = 0;
        }
        drop(state);
        if wake {
            self.space.notify_waiters();
        }
    }

    /// Refuses further frames and ends the writer.
    pub(crate) fn close(&self) {
        {
            let mut state = self.state.lock();
            state.closed = true;
            state.chunks = Vec::new();
            state.tail = BytesMut::new();
        }
        self.wake.notify_one();
        self.space.notify_waiters();
    }
}

fn take_all(state: &mut State) -> Batch {
    if !state.tail.is_empty() {
        let tail = state.tail.split().freeze();
        state.chunks.push(tail);
    }
    state.taken = state.pushed;
    let bytes = std::mem::take(&mut state.queued_bytes);
    let frames = std::mem::take(&mut state.queued_frames);
    state.writing_bytes += bytes;
    state.writing_frames += frames;
    Batch { chunks: std::mem::take(&mut state.chunks), bytes, frames }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::BufMut;

    fn outbound() -> Outbound {
        Outbound::new(&SessionLimits { queue_bytes: 10, queue_hard_bytes: 20, ..SessionLimits::default() })
    }

    #[tokio::test]
    async fn small_frames_become_one_chunk_and_bounds_hold() {
        let out = outbound();
        let body = Bytes::from_static(b"1234");
        for _ in 0..2 {
            out.push(Bound::Soft, |b| b.put_u8(b'h'), &body).expect("there is room");
        }
        assert_eq!(out.bytes(), 10);
        assert_eq!(out.push(Bound::Soft, |_| (), &body).err(), Some(PushError::Full));
        let last = out.push(Bound::Hard, |_| (), &body).expect("answers have more room");
        assert_eq!((last.position, out.taken()), (3, 0));
        let batch = out.take().await.expect("open");
        assert_eq!(batch.chunks, [Bytes::from_static(b"h1234h12341234")]);
        assert!(out.is_full(), "what is being written still counts");
        out.written(&batch);
        assert!(!out.is_full());
        assert_eq!(out.taken(), 3);
        out.close();
        assert!(out.take().await.is_none());
    }

    #[tokio::test]
    async fn a_large_body_is_not_copied() {
        let out = Outbound::new(&SessionLimits::default());
        let body = Bytes::from(vec![7; INLINE_BODY_BYTES + 1]);
        out.push(Bound::Soft, |b| b.put_u8(1), &body).expect("there is room");
        out.push(Bound::Soft, |b| b.put_u8(2), &Bytes::new()).expect("there is room");
        let batch = out.take().await.expect("open");
        assert_eq!(batch.chunks.len(), 3);
        assert_eq!(batch.chunks[1].as_ptr(), body.as_ptr());
    }
}
