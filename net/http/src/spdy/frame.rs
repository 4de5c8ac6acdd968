//! Frames: 8 bytes of header, then a payload (SPDY/3 draft, section 2.2).

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::error::SpdyError;
use super::header_block::{HeaderReader, Headers};

/// Longest control frame that is taken, in bytes.
pub const CONTROL_FRAME_LIMIT_BYTES: usize = 64 * 1024;
/// Longest data frame that is sent, in bytes. Received ones may have any length: they are handed on in pieces.
pub const DATA_FRAME_LIMIT_BYTES: usize = 16 * 1024;

const HEADER_BYTES: usize = 8;
const VERSION: u16 = 3;
const FLAG_FIN: u8 = 1;
const STREAM_MASK: u32 = 0x7fff_ffff;
const SETTING_INITIAL_WINDOW: u32 = 7;

const SYN_STREAM: u16 = 1;
const SYN_REPLY: u16 = 2;
const RST_STREAM: u16 = 3;
const SETTINGS: u16 = 4;
const PING: u16 = 6;
const GOAWAY: u16 = 7;
const HEADERS: u16 = 8;
const WINDOW_UPDATE: u16 = 9;

/// What a peer said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    SynStream {
        stream: u32,
        fin: bool,
        headers: Headers,
    },
    SynReply {
        stream: u32,
        fin: bool,
    },
    /// Also of HEADERS frames: further headers of a stream, of which only the end matters here.
    Headers {
        stream: u32,
        fin: bool,
    },
    Reset {
        stream: u32,
        status: u32,
    },
    /// The setting, when it is among them.
    Settings {
        initial_window: Option<u32>,
    },
    Ping {
        id: u32,
    },
    GoAway,
    WindowUpdate {
        stream: u32,
        delta: u32,
    },
    /// A piece of a data frame; `fin` on the last one only.
    Data {
        stream: u32,
        fin: bool,
        data: Bytes,
    },
}

/// Bytes to frames, incrementally.
pub(crate) struct Decoder {
    buffer: BytesMut,
    data: Option<DataLeft>,
    headers: HeaderReader,
}

#[derive(Clone, Copy)]
struct DataLeft {
    stream: u32,
    fin: bool,
    left: usize,
}

impl Decoder {
    pub(crate) fn new() -> Self {
        Self { buffer: BytesMut::new(), data: None, headers: HeaderReader::new() }
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next frame, or `None` until more bytes come. After an error the connection is over.
    pub(crate) fn next(&mut self) -> Result<Option<Frame>, SpdyError> {
        loop {
            if let Some(data) = self.data {
                return Ok(self.data_piece(data));
            }
            let Some(header) = self.buffer.first_chunk::<HEADER_BYTES>() else { return Ok(None) };
            let [first, second, third, fourth, flags, length @ ..] = *header;
            let word = u32::from_be_bytes([first, second, third, fourth]);
            let [high, middle, low] = length;
            let length = usize::try_from(u32::from_be_bytes([0, high, middle, low])).unwrap_or(usize::MAX);
            if word & !STREAM_MASK == 0 {
                self.buffer.advance(HEADER_BYTES);
                self.data = Some(DataLeft { stream: word, fin: flags & FLAG_FIN != 0, left: length });
                continue;
            }
            let version = u16::from_be_bytes([first & 0x7f, second]);
            if version != VERSION {
                return Err(SpdyError::Version { found: version });
            }
            if length > CONTROL_FRAME_LIMIT_BYTES {
                let limit_bytes = CONTROL_FRAME_LIMIT_BYTES;
                return Err(SpdyError::FrameTooLong { found_bytes: length, limit_bytes });
            }
            if self.buffer.len() < HEADER_BYTES + length {
                return Ok(None);
            }
            self.buffer.advance(HEADER_BYTES);
            let payload = self.buffer.split_to(length).freeze();
            let kind = u16::from_be_bytes([third, fourth]);
            if let Some(frame) = self.control(kind, flags & FLAG_FIN != 0, payload)? {
                return Ok(Some(frame));
            }
        }
    }

    fn data_piece(&mut self, data: DataLeft) -> Option<Frame> {
        if self.buffer.is_empty() && data.left > 0 {
            return None;
        }
        let piece = self.buffer.split_to(data.left.min(self.buffer.len())).freeze();
        let left = data.left - piece.len();
        self.data = (left > 0).then_some(DataLeft { left, ..data });
        Some(Frame::Data { stream: data.stream, fin: data.fin && left == 0, data: piece })
    }

    /// `None` for a control frame of an unknown type, which is to be ignored.
    fn control(&mut self, kind: u16, fin: bool, mut payload: Bytes) -> Result<Option<Frame>, SpdyError> {
        let found_bytes = payload.len();
        let need = |frame: &'static str, bytes: usize, exact: bool| match found_bytes {
            found if found == bytes || (found > bytes && !exact) => Ok(()),
            _ => Err(SpdyError::FrameMalformed { frame, found_bytes }),
        };
        let frame = match kind {
            SYN_STREAM => {
                need("SYN_STREAM", 10, false)?;
                let stream = payload.get_u32() & STREAM_MASK;
                payload.advance(6);
                Frame::SynStream { stream, fin, headers: self.headers.read(&payload)? }
            }
            SYN_REPLY | HEADERS => {
                need("SYN_REPLY or HEADERS", 4, false)?;
                let stream = payload.get_u32() & STREAM_MASK;
                // The compression context runs through every block.
                self.headers.read(&payload)?;
                match kind {
                    SYN_REPLY => Frame::SynReply { stream, fin },
                    _ => Frame::Headers { stream, fin },
                }
            }
            RST_STREAM => {
                need("RST_STREAM", 8, true)?;
                Frame::Reset { stream: payload.get_u32() & STREAM_MASK, status: payload.get_u32() }
            }
            SETTINGS => {
                settings(payload).ok_or(SpdyError::FrameMalformed { frame: "SETTINGS", found_bytes })?
            }
            PING => {
                need("PING", 4, true)?;
                Frame::Ping { id: payload.get_u32() }
            }
            GOAWAY => {
                need("GOAWAY", 8, true)?;
                Frame::GoAway
            }
            WINDOW_UPDATE => {
                need("WINDOW_UPDATE", 8, true)?;
                let stream = payload.get_u32() & STREAM_MASK;
                Frame::WindowUpdate { stream, delta: payload.get_u32() & STREAM_MASK }
            }
            _ => return Ok(None),
        };
        Ok(Some(frame))
    }
}

fn settings(mut payload: Bytes) -> Option<Frame> {
    let count = usize::try_from(payload.try_get_u32().ok()?).ok()?;
    if payload.len() != count.checked_mul(8)? {
        return None;
    }
    let mut initial_window = None;
    for _ in 0..count {
        let (flags_and_id, value) = (payload.get_u32(), payload.get_u32());
        if flags_and_id & 0x00ff_ffff == SETTING_INITIAL_WINDOW {
            initial_window = Some(value & STREAM_MASK);
        }
    }
    Some(Frame::Settings { initial_window })
}

fn control_header(out: &mut BytesMut, kind: u16, fin: bool, length: usize) {
    out.put_u16(0x8000 | VERSION);
    out.put_u16(kind);
    put_flags_and_length(out, fin, length);
}

fn put_flags_and_length(out: &mut BytesMut, fin: bool, length: usize) {
    let length = u32::try_from(length).expect("own frames are short");
    out.put_u32(u32::from(if fin { FLAG_FIN } else { 0 }) << 24 | length);
}

pub(crate) fn put_syn_stream(out: &mut BytesMut, stream: u32, block: &[u8]) {
    control_header(out, SYN_STREAM, false, 10 + block.len());
    out.put_u32(stream);
    out.put_u32(0);
    out.put_u16(0);
    out.put_slice(block);
}

pub(crate) fn put_syn_reply(out: &mut BytesMut, stream: u32, block: &[u8]) {
    control_header(out, SYN_REPLY, false, 4 + block.len());
    out.put_u32(stream);
    out.put_slice(block);
}

pub(crate) fn put_reset(out: &mut BytesMut, stream: u32, status: u32) {
    control_header(out, RST_STREAM, false, 8);
    out.put_u32(stream);
    out.put_u32(status);
}

pub(crate) fn put_ping(out: &mut BytesMut, id: u32) {
    control_header(out, PING, false, 4);
    out.put_u32(id);
}

pub(crate) fn put_goaway(out: &mut BytesMut, last: u32) {
    control_header(out, GOAWAY, false, 8);
    out.put_u32(last);
    out.put_u32(0);
}

pub(crate) fn put_window_update(out: &mut BytesMut, stream: u32, delta: u32) {
    control_header(out, WINDOW_UPDATE, false, 8);
    out.put_u32(stream);
    out.put_u32(delta);
}

pub(crate) fn put_data(out: &mut BytesMut, stream: u32, fin: bool, data: &[u8]) {
    out.put_u32(stream);
    put_flags_and_length(out, fin, data.len());
    out.put_slice(data);
}
