//! Incremental decoding over received chunks.

use super::{
    Frame, FrameError, Hello, KEY_LIMIT_BYTES, LENGTH_BYTES, PATH_LIMIT_BYTES, Request, SubEndReason,
    Subscribe, Text, kind,
};
use bytes::{Buf, Bytes, BytesMut};

/// Growth step while a large frame trickles in: a peer that only promises bytes costs nothing.
const GROWTH_BYTES: usize = 16 * 1024;

/// Cuts a stream of chunks into frames.
///
/// Push a chunk, then call [`Decoder::next_frame`] until it gives `None`. Frames inside one chunk are slices of
/// it; only a frame that straddles chunks is assembled in a buffer of its own, which grows with what arrived and
/// never beyond the frame.
#[derive(Debug)]
pub struct Decoder {
    limit_bytes: u32,
    chunk: Bytes,
    partial: BytesMut,
}

impl Decoder {
    /// `limit_bytes`: largest length field accepted.
    pub fn new(limit_bytes: u32) -> Self {
        Self { limit_bytes, chunk: Bytes::new(), partial: BytesMut::new() }
    }

    /// Changes the largest length field accepted, from the next frame on.
    pub fn set_limit(&mut self, limit_bytes: u32) {
        self.limit_bytes = limit_bytes;
    }

    /// Adds received bytes.
    pub fn push(&mut self, chunk: Bytes) {
        if self.chunk.is_empty() {
            self.chunk = chunk;
        } else {
            let mut joined = BytesMut::with_capacity(self.chunk.len() + chunk.len());
            joined.extend_from_slice(&self.chunk);
            joined.extend_from_slice(&chunk);
            self.chunk = joined.freeze();
        }
    }

    /// The next whole frame, or `None` when more bytes are needed.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, FrameError> {
        if self.partial.is_empty() {
            if let Some(total) = self.total_of(&self.chunk)?
                && self.chunk.len() >= total
            {
                return parse(self.chunk.split_to(total)).map(Some);
            }
            if self.chunk.is_empty() {
                return Ok(None);
            }
        }
        self.assemble()
    }

    /// Call at the end of the stream: an error if it ended inside a frame.
    pub fn finish(&self) -> Result<(), FrameError> {
        let have_bytes = self.partial.len() + self.chunk.len();
        if have_bytes == 0 {
            return Ok(());
        }
        let need_bytes = self.total_of(&self.partial).ok().flatten().unwrap_or(LENGTH_BYTES);
        Err(FrameError::Truncated { have_bytes, need_bytes })
    }

    /// What was received behind the last whole frame, when bytes follow frames on the same stream.
    pub fn into_rest(self) -> Bytes {
        debug_assert!(self.partial.is_empty(), "asked for after a whole frame");
        self.chunk
    }

    /// Bytes of memory held for an unfinished frame.
    pub fn held_bytes(&self) -> usize {
        self.partial.capacity()
    }

    fn assemble(&mut self) -> Result<Option<Frame>, FrameError> {
        loop {
            let total = self.total_of(&self.partial)?;
            let want = total.unwrap_or(LENGTH_BYTES) - self.partial.len();
            let take = want.min(self.chunk.len());
            let room = self.partial.capacity() - self.partial.len();
            if room < take {
                // Room for what arrived and a step more, so that small chunks do not each cost a copy.
                self.partial.reserve(want.min(take.max(GROWTH_BYTES)));
            }
            self.partial.extend_from_slice(&self.chunk.split_to(take));
            if take < want {
                return Ok(None);
            }
            if total.is_some() {
                let frame = std::mem::take(&mut self.partial).freeze();
                return parse(frame).map(Some);
            }
        }
    }

    /// Length of the whole frame that starts in `bytes`, when its length field is there.
    fn total_of(&self, bytes: &[u8]) -> Result<Option<usize>, FrameError> {
        let Some(field) = bytes.first_chunk::<LENGTH_BYTES>() else { return Ok(None) };
        let length = u32::from_be_bytes(*field);
        if length > self.limit_bytes {
            return Err(FrameError::TooLarge { limit_bytes: self.limit_bytes, got_bytes: length });
        }
        if length == 0 {
            return Err(FrameError::Empty);
        }
        Ok(Some(
            LENGTH_BYTES + usize::try_from(length).expect("32 bits fit a usize on every supported target"),
        ))
    }
}

/// A cursor over one frame's bytes whose every read is checked.
struct Fields {
    kind: u8,
    rest: Bytes,
}

impl Fields {
    fn need(&self, bytes: usize) -> Result<(), FrameError> {
        if self.rest.len() < bytes { Err(FrameError::ShortHeader { kind: self.kind }) } else { Ok(()) }
    }

    fn u8(&mut self) -> Result<u8, FrameError> {
        self.need(1)?;
        Ok(self.rest.get_u8())
    }

    fn u16(&mut self) -> Result<u16, FrameError> {
        self.need(2)?;
        Ok(self.rest.get_u16())
    }

    fn u32(&mut self) -> Result<u32, FrameError> {
        self.need(4)?;
        Ok(self.rest.get_u32())
    }

    fn u64(&mut self) -> Result<u64, FrameError> {
        self.need(8)?;
        Ok(self.rest.get_u64())
    }

    fn bytes(&mut self, length: usize) -> Result<Bytes, FrameError> {
        self.need(length)?;
        Ok(self.rest.split_to(length))
    }

    fn text(&mut self, field: &'static str, length: usize) -> Result<Text, FrameError> {
        let bytes = self.bytes(length)?;
        Text::from_utf8(bytes).ok_or(FrameError::BadUtf8 { kind: self.kind, field })
    }

    fn path(&mut self) -> Result<Text, FrameError> {
        let got_bytes = usize::from(self.u16()?);
        self.within("path", got_bytes, PATH_LIMIT_BYTES)?;
        self.text("path", got_bytes)
    }

    fn within(&self, field: &'static str, got_bytes: usize, limit_bytes: usize) -> Result<(), FrameError> {
        if got_bytes > limit_bytes {
            return Err(FrameError::FieldTooLong { kind: self.kind, field, limit_bytes, got_bytes });
        }
        Ok(())
    }

    fn done(self, frame: Frame) -> Result<Frame, FrameError> {
        if self.rest.is_empty() {
            Ok(frame)
        } else {
            Err(FrameError::TrailingBytes { kind: self.kind, extra_bytes: self.rest.len() })
        }
    }
}

fn parse(mut frame: Bytes) -> Result<Frame, FrameError> {
    frame.advance(LENGTH_BYTES);
    let kind = frame.get_u8();
    let mut fields = Fields { kind, rest: frame };
    match kind {
        kind::HELLO => {
            let hello = Hello { version: fields.u16()?, class: fields.u8()?, instance: fields.u64()? };
            fields.done(Frame::Hello(hello))
        }
        kind::REQUEST => parse_request(fields),
        kind::RESPONSE_OK => Ok(Frame::Response { id: fields.u64()?, outcome: Ok(fields.rest) }),
        kind::RESPONSE_ERROR => Ok(Frame::Response { id: fields.u64()?, outcome: Err(fields.rest) }),
        kind::CANCEL => {
            let id = fields.u64()?;
            fields.done(Frame::Cancel { id })
        }
        kind::SUBSCRIBE => {
            let (id, credit) = (fields.u64()?, fields.u32()?);
            let path = fields.path()?;
            Ok(Frame::Subscribe(Subscribe { id, path, credit, topic: fields.rest }))
        }
        kind::EVENT => Ok(Frame::Event { id: fields.u64()?, seq: fields.u64()?, body: fields.rest }),
        kind::CREDIT => {
            let (id, more) = (fields.u64()?, fields.u32()?);
            fields.done(Frame::Credit { id, more })
        }
        kind::UNSUBSCRIBE => {
            let id = fields.u64()?;
            fields.done(Frame::Unsubscribe { id })
        }
        kind::SUB_END => {
            let (id, code) = (fields.u64()?, fields.u8()?);
            let reason = SubEndReason::from_code(code).ok_or(FrameError::BadValue {
                kind,
                field: "reason",
                value: u32::from(code),
            })?;
            let length = fields.rest.len();
            let message = fields.text("message", length)?;
            Ok(Frame::SubEnd { id, reason, message })
        }
        kind::DRAIN => fields.done(Frame::Drain),
        other => Err(FrameError::UnknownKind(other)),
    }
}

fn parse_request(mut fields: Fields) -> Result<Frame, FrameError> {
    let (id, deadline_ms) = (fields.u64()?, fields.u32()?);
    let (has_key, key_bytes, name_bytes) =
        (fields.u8()?, usize::from(fields.u8()?), usize::from(fields.u8()?));
    if has_key > 1 || (has_key == 0 && key_bytes > 0) {
        return Err(FrameError::BadValue { kind: fields.kind, field: "key flag", value: u32::from(has_key) });
    }
    fields.within("key", key_bytes, KEY_LIMIT_BYTES)?;
    let path = fields.path()?;
    let name = fields.text("name", name_bytes)?;
    let key = fields.bytes(key_bytes)?;
    let key = (has_key == 1).then_some(key);
    Ok(Frame::Request(Request { id, deadline_ms, path, name, key, body: fields.rest }))
}
