//! The protocol's state machine: pure.

use std::collections::{BTreeMap, VecDeque};

use bytes::{Bytes, BytesMut};
use trireme_core::{Core, Tick};

use super::error::SpdyError;
use super::frame::{self, DATA_FRAME_LIMIT_BYTES, Decoder, Frame};
use super::header_block::{HeaderWriter, Headers};
use super::message::{SpdyEffect, SpdyInput};

/// Most streams of one connection at a time; further ones are refused. Port-forward uses two for each connection.
pub const STREAMS_LIMIT: usize = 1000;
/// RST_STREAM: this side refuses the stream.
pub const STATUS_REFUSED_STREAM: u32 = 3;
/// RST_STREAM: there is no such stream.
pub const STATUS_INVALID_STREAM: u32 = 2;
/// RST_STREAM: the stream is no longer wanted.
pub const STATUS_CANCEL: u32 = 5;
/// Window of a stream before anybody says otherwise, in bytes.
const INITIAL_WINDOW_BYTES: i64 = 64 * 1024;
/// Consumed bytes are announced in portions of at least this many.
const WINDOW_UPDATE_BYTES: u32 = 32 * 1024;

/// Which side this is. Clients have the odd stream numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpdyRole {
    /// Accepts the connection.
    Server,
    /// Opens the connection.
    Client,
}

#[derive(Debug, Default)]
struct Stream {
    send_window: i64,
    pending: VecDeque<Bytes>,
    finish_asked: bool,
    local_done: bool,
    remote_done: bool,
    consumed: u32,
}

/// One connection. Every error is final: after [`SpdyEffect::Failed`] inputs are ignored.
pub struct SpdyConnection {
    role: SpdyRole,
    decoder: Decoder,
    writer: HeaderWriter,
    streams: BTreeMap<u32, Stream>,
    next_own: u32,
    last_peer: u32,
    initial_window: i64,
    peer_keeps_windows: bool,
    leaving: bool,
    failed: bool,
    out: BytesMut,
}

impl SpdyConnection {
    /// A connection on a fresh transport.
    pub fn new(role: SpdyRole) -> Self {
        Self {
            role,
            decoder: Decoder::new(),
            writer: HeaderWriter::new(),
            streams: BTreeMap::new(),
            next_own: if role == SpdyRole::Client { 1 } else { 2 },
            last_peer: 0,
            initial_window: INITIAL_WINDOW_BYTES,
            peer_keeps_windows: false,
            leaving: false,
            failed: false,
            out: BytesMut::new(),
        }
    }

    /// Streams that are open in either direction.
    pub fn open_streams(&self) -> usize {
        self.streams.len()
    }

    fn receive(&mut self, bytes: &[u8], out: &mut Vec<SpdyEffect>) -> Result<(), SpdyError> {
        self.decoder.push(bytes);
        while let Some(frame) = self.decoder.next()? {
            self.handle_frame(frame, out)?;
        }
        Ok(())
    }

    fn handle_frame(&mut self, frame: Frame, out: &mut Vec<SpdyEffect>) -> Result<(), SpdyError> {
        match frame {
            Frame::SynStream { stream, fin, headers } => self.handle_syn_stream(stream, fin, headers, out)?,
            Frame::SynReply { stream, fin } => {
                if self.streams.contains_key(&stream) {
                    out.push(SpdyEffect::Accepted { stream });
                }
                self.handle_fin(stream, fin, out);
            }
            Frame::Headers { stream, fin } => self.handle_fin(stream, fin, out),
            Frame::Data { stream, fin, data } => self.handle_data(stream, fin, data, out),
            Frame::Reset { stream, status } => {
                if self.forget(stream, out) {
                    out.push(SpdyEffect::Reset { stream, status });
                }
            }
            Frame::Settings { initial_window: Some(window) } => {
                self.peer_keeps_windows = true;
                let change = i64::from(window) - self.initial_window;
                self.initial_window = i64::from(window);
                self.streams.values_mut().for_each(|stream| stream.send_window += change);
                self.flush_all(out);
            }
            Frame::Settings { initial_window: None } => {}
            Frame::Ping { id } => {
                // Answers to own pings have own parity; there are none to wait for.
                if (id % 2 == 1) == (self.role == SpdyRole::Server) {
                    frame::put_ping(&mut self.out, id);
                }
            }
            Frame::GoAway => {
                self.leaving = true;
                out.push(SpdyEffect::GoneAway);
            }
            Frame::WindowUpdate { stream, delta } => {
                self.peer_keeps_windows = true;
                if let Some(found) = self.streams.get_mut(&stream) {
                    found.send_window = (found.send_window + i64::from(delta)).min(i64::from(i32::MAX));
                    self.flush(stream, out);
                }
            }
        }
        Ok(())
    }

    fn handle_syn_stream(
        &mut self,
        stream: u32,
        fin: bool,
        headers: Headers,
        out: &mut Vec<SpdyEffect>,
    ) -> Result<(), SpdyError> {
        let peers_parity = (stream % 2 == 1) == (self.role == SpdyRole::Server);
        if stream == 0 || !peers_parity || stream <= self.last_peer {
            return Err(SpdyError::StreamNumber { stream });
        }
        self.last_peer = stream;
        if self.leaving || self.streams.len() >= STREAMS_LIMIT {
            frame::put_reset(&mut self.out, stream, STATUS_REFUSED_STREAM);
            return Ok(());
        }
        self.streams.insert(stream, Stream { send_window: self.initial_window, ..Stream::default() });
        out.push(SpdyEffect::Incoming { stream, headers });
        self.handle_fin(stream, fin, out);
        Ok(())
    }

    fn handle_data(&mut self, stream: u32, fin: bool, data: Bytes, out: &mut Vec<SpdyEffect>) {
        match self.streams.get(&stream) {
            Some(found) if !found.remote_done => {
                if !data.is_empty() {
                    out.push(SpdyEffect::Data { stream, data });
                }
                self.handle_fin(stream, fin, out);
            }
            Some(_) => {}
            None => {
                let known = match (stream % 2 == 1) == (self.role == SpdyRole::Server) {
                    true => stream <= self.last_peer,
                    false => stream < self.next_own,
                };
                // Late data of a stream that ended here is normal; a number never used is not.
                if !known {
                    frame::put_reset(&mut self.out, stream, STATUS_INVALID_STREAM);
                }
            }
        }
    }

    fn handle_fin(&mut self, stream: u32, fin: bool, out: &mut Vec<SpdyEffect>) {
        let Some(found) = self.streams.get_mut(&stream) else { return };
        if fin && !found.remote_done {
            found.remote_done = true;
            out.push(SpdyEffect::Finished { stream });
        }
        self.forget_if_done(stream);
    }

    fn command(&mut self, input: SpdyInput, out: &mut Vec<SpdyEffect>) {
        match input {
            SpdyInput::Received(_) => unreachable!("step hands bytes to receive"),
            SpdyInput::Open { token, headers } => self.open(token, &headers, out),
            SpdyInput::Accept { stream } => {
                if self.streams.contains_key(&stream) {
                    let block = self.writer.write(&[]);
                    frame::put_syn_reply(&mut self.out, stream, &block);
                }
            }
            SpdyInput::Send { stream, data } => match self.streams.get_mut(&stream) {
                Some(found) if !found.finish_asked => {
                    found.pending.push_back(data);
                    self.flush(stream, out);
                }
                _ => out.push(SpdyEffect::Sent { stream, bytes: data.len() }),
            },
            SpdyInput::Finish { stream } => {
                if let Some(found) = self.streams.get_mut(&stream) {
                    found.finish_asked = true;
                    self.flush(stream, out);
                }
            }
            SpdyInput::Reset { stream, status } => {
                if self.forget(stream, out) {
                    frame::put_reset(&mut self.out, stream, status);
                }
            }
            SpdyInput::Consumed { stream, bytes } => self.consumed(stream, bytes),
            SpdyInput::GoAway => {
                self.leaving = true;
                frame::put_goaway(&mut self.out, self.last_peer);
            }
        }
    }

    fn open(&mut self, token: u64, headers: &[(String, String)], out: &mut Vec<SpdyEffect>) {
        if self.leaving || self.streams.len() >= STREAMS_LIMIT || self.next_own > i32::MAX.unsigned_abs() - 2
        {
            return;
        }
        let stream = self.next_own;
        self.next_own += 2;
        self.streams.insert(stream, Stream { send_window: self.initial_window, ..Stream::default() });
        let block = self.writer.write(headers);
        frame::put_syn_stream(&mut self.out, stream, &block);
        out.push(SpdyEffect::Started { token, stream });
    }

    fn consumed(&mut self, stream: u32, bytes: usize) {
        let Some(found) = self.streams.get_mut(&stream) else { return };
        found.consumed = found.consumed.saturating_add(u32::try_from(bytes).unwrap_or(u32::MAX));
        if found.consumed >= WINDOW_UPDATE_BYTES && !found.remote_done {
            let delta = std::mem::take(&mut found.consumed).min(i32::MAX.unsigned_abs());
            frame::put_window_update(&mut self.out, stream, delta);
        }
    }

    fn flush_all(&mut self, out: &mut Vec<SpdyEffect>) {
        let numbers: Vec<u32> = self.streams.keys().copied().collect();
        numbers.into_iter().for_each(|stream| self.flush(stream, out));
    }

    /// Sends what the window allows.
    fn flush(&mut self, stream: u32, out: &mut Vec<SpdyEffect>) {
        let Some(found) = self.streams.get_mut(&stream) else { return };
        let mut sent = 0;
        while let Some(front) = found.pending.front_mut() {
            let window = match self.peer_keeps_windows {
                true => usize::try_from(found.send_window).unwrap_or(0),
                false => usize::MAX,
            };
            let length = front.len().min(window).min(DATA_FRAME_LIMIT_BYTES);
            if length == 0 && !front.is_empty() {
                break;
            }
            let piece = front.split_to(length);
            if front.is_empty() {
                found.pending.pop_front();
            }
            if !piece.is_empty() {
                frame::put_data(&mut self.out, stream, false, &piece);
            }
            found.send_window -= i64::try_from(length).unwrap_or(i64::MAX);
            sent += length;
        }
        if found.finish_asked && found.pending.is_empty() && !found.local_done {
            found.local_done = true;
            frame::put_data(&mut self.out, stream, true, &[]);
        }
        if sent > 0 {
            out.push(SpdyEffect::Sent { stream, bytes: sent });
        }
        self.forget_if_done(stream);
    }

    fn forget_if_done(&mut self, stream: u32) {
        if self.streams.get(&stream).is_some_and(|found| found.local_done && found.remote_done) {
            self.streams.remove(&stream);
        }
    }

    /// Drops a stream; what it had not sent counts as sent, so that its writer wakes up.
    fn forget(&mut self, stream: u32, out: &mut Vec<SpdyEffect>) -> bool {
        let Some(found) = self.streams.remove(&stream) else { return false };
        let bytes = found.pending.iter().map(Bytes::len).sum();
        if bytes > 0 {
            out.push(SpdyEffect::Sent { stream, bytes });
        }
        true
    }
}

impl Core for SpdyConnection {
    type Input = SpdyInput;
    type Effect = SpdyEffect;

    fn step(&mut self, _now: Tick, input: SpdyInput, out: &mut Vec<SpdyEffect>) {
        if self.failed {
            return;
        }
        let outcome = match input {
            SpdyInput::Received(bytes) => self.receive(&bytes, out),
            other => {
                self.command(other, out);
                Ok(())
            }
        };
        if !self.out.is_empty() {
            out.push(SpdyEffect::Transmit(self.out.split().freeze()));
        }
        if let Err(error) = outcome {
            self.failed = true;
            out.push(SpdyEffect::Failed(error));
        }
    }
}

#[cfg(test)]
#[path = "connection_test.rs"]
mod tests;
