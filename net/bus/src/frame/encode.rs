//! Writing frames into a batch.

use super::{Frame, LENGTH_BYTES, kind};
use bytes::{BufMut, Bytes, BytesMut};

/// Bodies up to this size are copied into the batch; larger ones travel as their own chunk, uncopied.
pub const INLINE_BODY_BYTES: usize = 4096;

/// Writes the header of a request whose body of `body_bytes` follows.
///
/// Texts and key must be within the limits of [`super`]; callers check them where they are made.
pub fn encode_request_head(
    out: &mut BytesMut,
    id: u64,
    deadline_ms: u32,
    path: &str,
    name: &str,
    key: Option<&[u8]>,
    body_bytes: usize,
) {
    let key_bytes = key.map_or(0, <[u8]>::len);
    let start = begin(out, kind::REQUEST, 8 + 4 + 1 + 1 + 1 + 2 + path.len() + name.len() + key_bytes);
    out.put_u64(id);
    out.put_u32(deadline_ms);
    out.put_u8(u8::from(key.is_some()));
    out.put_u8(short(key_bytes));
    out.put_u8(short(name.len()));
    out.put_u16(u16::try_from(path.len()).expect("paths are checked against PATH_LIMIT_BYTES"));
    out.put_slice(path.as_bytes());
    out.put_slice(name.as_bytes());
    out.put_slice(key.unwrap_or_default());
    end(out, start, body_bytes);
}

/// Writes the header of a response whose body of `body_bytes` follows.
pub fn encode_response_head(out: &mut BytesMut, id: u64, ok: bool, body_bytes: usize) {
    let start = begin(out, if ok { kind::RESPONSE_OK } else { kind::RESPONSE_ERROR }, 8);
    out.put_u64(id);
    end(out, start, body_bytes);
}

/// Writes the header of an event whose body of `body_bytes` follows.
pub fn encode_event_head(out: &mut BytesMut, id: u64, seq: u64, body_bytes: usize) {
    let start = begin(out, kind::EVENT, 16);
    out.put_u64(id);
    out.put_u64(seq);
    end(out, start, body_bytes);
}

/// Writes a frame; a large body is handed back to be sent right behind what was written.
#[must_use = "a returned body must be sent behind the header"]
pub fn encode(out: &mut BytesMut, frame: &Frame) -> Option<Bytes> {
    match frame {
        Frame::Hello(hello) => {
            let start = begin(out, kind::HELLO, 11);
            out.put_u16(hello.version);
            out.put_u8(hello.class);
            out.put_u64(hello.instance);
            end(out, start, 0);
            None
        }
        Frame::Request(r) => {
            encode_request_head(out, r.id, r.deadline_ms, &r.path, &r.name, r.key.as_deref(), r.body.len());
            attach(out, &r.body)
        }
        Frame::Response { id, outcome } => {
            let (ok, body) = match outcome {
                Ok(body) => (true, body),
                Err(body) => (false, body),
            };
            encode_response_head(out, *id, ok, body.len());
            attach(out, body)
        }
        Frame::Cancel { id } => bare(out, kind::CANCEL, *id),
        Frame::Subscribe(s) => {
            let start = begin(out, kind::SUBSCRIBE, 14 + s.path.len());
            out.put_u64(s.id);
            out.put_u32(s.credit);
            out.put_u16(u16::try_from(s.path.len()).expect("paths are checked against PATH_LIMIT_BYTES"));
            out.put_slice(s.path.as_bytes());
            end(out, start, s.topic.len());
            attach(out, &s.topic)
        }
        Frame::Event { id, seq, body } => {
            encode_event_head(out, *id, *seq, body.len());
            attach(out, body)
        }
        Frame::Credit { id, more } => {
            let start = begin(out, kind::CREDIT, 12);
            out.put_u64(*id);
            out.put_u32(*more);
            end(out, start, 0);
            None
        }
        Frame::Unsubscribe { id } => bare(out, kind::UNSUBSCRIBE, *id),
        Frame::SubEnd { id, reason, message } => {
            let start = begin(out, kind::SUB_END, 9 + message.len());
            out.put_u64(*id);
            out.put_u8(reason.code());
            out.put_slice(message.as_bytes());
            end(out, start, 0);
            None
        }
        Frame::Drain => {
            let start = begin(out, kind::DRAIN, 0);
            end(out, start, 0);
            None
        }
    }
}

fn bare(out: &mut BytesMut, kind: u8, id: u64) -> Option<Bytes> {
    let start = begin(out, kind, 8);
    out.put_u64(id);
    end(out, start, 0);
    None
}

fn begin(out: &mut BytesMut, kind: u8, header_bytes: usize) -> usize {
    out.reserve(LENGTH_BYTES + 1 + header_bytes);
    let start = out.len();
    out.put_u32(0);
    out.put_u8(kind);
    start
}

fn end(out: &mut BytesMut, start: usize, body_bytes: usize) {
    let length = out.len() - start - LENGTH_BYTES + body_bytes;
    let length = u32::try_from(length).expect("bodies are checked against the class limit, which is 32 bits");
    out[start..start + LENGTH_BYTES].copy_from_slice(&length.to_be_bytes());
}

fn attach(out: &mut BytesMut, body: &Bytes) -> Option<Bytes> {
    if body.len() <= INLINE_BODY_BYTES {
        out.put_slice(body);
        None
    } else {
        Some(body.clone())
    }
}

fn short(length: usize) -> u8 {
    u8::try_from(length).expect("names and keys are checked against limits below 256")
}
