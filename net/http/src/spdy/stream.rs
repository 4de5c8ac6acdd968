//! Handles on one stream of a session: what the application holds, and how it reaches the connection's task.

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use thiserror::Error;
use tokio::sync::{Notify, Semaphore, mpsc, oneshot};

use super::header_block::Headers;

/// Largest piece of one send.
const SEND_PIECE_BYTES: usize = 32 * 1024;

/// The peer, or the end of the connection, ended a stream before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the stream was reset")]
pub struct StreamReset;

/// One stream.
#[derive(Debug)]
pub struct SpdyStream {
    /// The headers it was opened with.
    pub headers: Headers,
    /// What the peer sends.
    pub reader: SpdyReader,
    /// What this side sends.
    pub writer: SpdyWriter,
}

impl SpdyStream {
    /// Value of a header; names are lower-case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }
}

/// The receiving half. Dropping it discards what still comes.
#[derive(Debug)]
pub struct SpdyReader {
    pub(super) pieces: mpsc::Receiver<Result<Bytes, StreamReset>>,
    // The connection lives as long as any handle on it.
    pub(super) _alive: mpsc::Sender<Command>,
}

impl SpdyReader {
    /// The next piece; `None` at the end.
    pub async fn recv(&mut self) -> Result<Option<Bytes>, StreamReset> {
        self.pieces.recv().await.transpose()
    }
}

/// The sending half. Dropping it unfinished resets the stream.
#[derive(Debug)]
pub struct SpdyWriter {
    pub(super) stream: u32,
    pub(super) commands: mpsc::Sender<Command>,
    pub(super) credit: Arc<Semaphore>,
    pub(super) abandoned: Arc<Abandoned>,
    pub(super) finished: bool,
}

impl SpdyWriter {
    /// Sends bytes; waits while the stream has too much under way.
    pub async fn send(&mut self, mut data: Bytes) -> Result<(), StreamReset> {
        while !data.is_empty() {
            let piece = data.split_to(data.len().min(SEND_PIECE_BYTES));
            let permits = u32::try_from(piece.len()).expect("a piece is short");
            let credit = self.credit.acquire_many(permits).await.map_err(|_| StreamReset)?;
            credit.forget();
            let command = Command::Send { stream: self.stream, data: piece };
            self.commands.send(command).await.map_err(|_| StreamReset)?;
        }
        Ok(())
    }

    /// Nothing more will be sent.
    pub async fn finish(mut self) -> Result<(), StreamReset> {
        self.finished = true;
        self.commands.send(Command::Finish { stream: self.stream }).await.map_err(|_| StreamReset)
    }
}

impl Drop for SpdyWriter {
    fn drop(&mut self) {
        if !self.finished {
            self.abandoned.streams.lock().push(self.stream);
            self.abandoned.changed.notify_one();
        }
    }
}

/// Streams whose writer was dropped; at most one entry for each stream.
#[derive(Debug, Default)]
pub(super) struct Abandoned {
    pub(super) streams: Mutex<Vec<u32>>,
    pub(super) changed: Notify,
}

#[derive(Debug)]
pub(super) enum Command {
    Open { headers: Headers, answer: oneshot::Sender<SpdyStream> },
    Send { stream: u32, data: Bytes },
    Finish { stream: u32 },
}
