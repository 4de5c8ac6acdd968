//! Two cores back to back, and one against bytes from nowhere.

use std::collections::BTreeMap;

use trireme_core::Rng;

use super::*;

struct Side {
    core: SpdyConnection,
    events: Vec<SpdyEffect>,
}

impl Side {
    fn new(role: SpdyRole) -> Self {
        Self { core: SpdyConnection::new(role), events: Vec::new() }
    }

    /// Steps and gives the bytes to transmit.
    fn step(&mut self, input: SpdyInput) -> Vec<u8> {
        let mut out = Vec::new();
        self.core.step(Tick::ZERO, input, &mut out);
        let mut wire = Vec::new();
        for effect in out {
            match effect {
                SpdyEffect::Transmit(bytes) => wire.extend_from_slice(&bytes),
                other => self.events.push(other),
            }
        }
        wire
    }

    fn take(&mut self) -> Vec<SpdyEffect> {
        std::mem::take(&mut self.events)
    }
}

/// Hands `bytes` over in pieces of `piece` bytes and carries answers back and forth until nobody says anything.
fn exchange(from: &mut Side, to: &mut Side, bytes: Vec<u8>, piece: usize) {
    let mut back = Vec::new();
    for part in bytes.chunks(piece) {
        back.extend(to.step(SpdyInput::Received(Bytes::copy_from_slice(part))));
    }
    if !back.is_empty() {
        exchange(to, from, back, piece);
    }
}

fn headers(pairs: &[(&str, &str)]) -> Headers {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn a_stream_opens_carries_data_both_ways_and_is_forgotten() {
    for piece in [1, 3, 7, 100_000] {
        let (mut client, mut server) = (Side::new(SpdyRole::Client), Side::new(SpdyRole::Server));
        let wanted = headers(&[("streamtype", "stdin")]);
        let syn = client.step(SpdyInput::Open { token: 9, headers: wanted.clone() });
        exchange(&mut client, &mut server, syn, piece);
        assert_eq!(client.take(), [SpdyEffect::Started { token: 9, stream: 1 }]);
        assert_eq!(server.take(), [SpdyEffect::Incoming { stream: 1, headers: wanted }]);
        let reply = server.step(SpdyInput::Accept { stream: 1 });
        exchange(&mut server, &mut client, reply, piece);
        assert_eq!(client.take(), [SpdyEffect::Accepted { stream: 1 }]);
        let payload = Bytes::from(vec![7; 40_000]);
        let data = client.step(SpdyInput::Send { stream: 1, data: payload.clone() });
        let fin = client.step(SpdyInput::Finish { stream: 1 });
        exchange(&mut client, &mut server, [data, fin].concat(), piece);
        assert_eq!(client.take(), [SpdyEffect::Sent { stream: 1, bytes: 40_000 }]);
        let mut got = Vec::new();
        let mut finished = false;
        for event in server.take() {
            match event {
                SpdyEffect::Data { stream: 1, data } => got.extend_from_slice(&data),
                SpdyEffect::Finished { stream: 1 } => finished = true,
                other => panic!("{other:?}"),
            }
        }
        assert!(finished && got == payload);
        let fin = server.step(SpdyInput::Finish { stream: 1 });
        exchange(&mut server, &mut client, fin, piece);
        assert_eq!(client.take(), [SpdyEffect::Finished { stream: 1 }]);
        assert_eq!((client.core.open_streams(), server.core.open_streams()), (0, 0));
    }
}

#[test]
fn windows_hold_only_for_a_peer_that_knows_them() {
    let mut server = Side::new(SpdyRole::Server);
    let mut writer = HeaderWriter::new();
    let mut syn = BytesMut::new();
    frame::put_syn_stream(&mut syn, 1, &writer.write(&[]));
    server.step(SpdyInput::Received(syn.freeze()));
    let big = Bytes::from(vec![1; 200_000]);
    assert!(server.step(SpdyInput::Send { stream: 1, data: big.clone() }).len() > 200_000);
    server.take();
    // SETTINGS: initial window of 100 bytes; the stream has used 200,000 of it.
    let settings = [0x80, 3, 0, 4, 0, 0, 0, 12, 0, 0, 0, 1, 0, 0, 0, 7, 0, 0, 0, 100];
    server.step(SpdyInput::Received(Bytes::copy_from_slice(&settings)));
    assert!(server.step(SpdyInput::Send { stream: 1, data: Bytes::from_static(b"abcdef") }).is_empty());
    assert_eq!(server.take(), []);
    let mut update = BytesMut::new();
    frame::put_window_update(&mut update, 1, 199_900 + 4);
    let sent = server.step(SpdyInput::Received(update.freeze()));
    assert_eq!(&sent[8..], b"abcd");
    assert_eq!(server.take(), [SpdyEffect::Sent { stream: 1, bytes: 4 }]);
    // A reset frees the writer of what is still waiting.
    let mut reset = BytesMut::new();
    frame::put_reset(&mut reset, 1, STATUS_CANCEL);
    server.step(SpdyInput::Received(reset.freeze()));
    let freed =
        [SpdyEffect::Sent { stream: 1, bytes: 2 }, SpdyEffect::Reset { stream: 1, status: STATUS_CANCEL }];
    assert_eq!(server.take(), freed);
}

#[test]
fn consumed_bytes_are_announced_in_portions() {
    let mut server = Side::new(SpdyRole::Server);
    let mut syn = BytesMut::new();
    frame::put_syn_stream(&mut syn, 1, &HeaderWriter::new().write(&[]));
    server.step(SpdyInput::Received(syn.freeze()));
    assert!(server.step(SpdyInput::Consumed { stream: 1, bytes: 32_767 }).is_empty());
    let update = server.step(SpdyInput::Consumed { stream: 1, bytes: 1 });
    assert_eq!(update, [0x80, 3, 0, 9, 0, 0, 0, 8, 0, 0, 0, 1, 0, 0, 0x80, 0]);
}

#[test]
fn pings_are_answered_streams_are_limited_and_numbers_increase() {
    let mut server = Side::new(SpdyRole::Server);
    let ping = [0x80, 3, 0, 6, 0, 0, 0, 4, 0, 0, 0, 1];
    assert_eq!(server.step(SpdyInput::Received(Bytes::copy_from_slice(&ping))), ping);
    let mut writer = HeaderWriter::new();
    let mut syn = BytesMut::new();
    let mut last = 0;
    for number in 0..=STREAMS_LIMIT {
        last = u32::try_from(number).unwrap() * 2 + 1;
        frame::put_syn_stream(&mut syn, last, &writer.write(&[]));
    }
    let answer = server.step(SpdyInput::Received(syn.split().freeze()));
    let mut refused = BytesMut::new();
    frame::put_reset(&mut refused, last, STATUS_REFUSED_STREAM);
    assert_eq!(answer, refused);
    assert_eq!(server.core.open_streams(), STREAMS_LIMIT);
    server.take();
    frame::put_syn_stream(&mut syn, last, &writer.write(&[]));
    server.step(SpdyInput::Received(syn.split().freeze()));
    assert_eq!(server.take(), [SpdyEffect::Failed(SpdyError::StreamNumber { stream: last })]);
    assert!(server.step(SpdyInput::Received(Bytes::copy_from_slice(&ping))).is_empty(), "it is over");
}

#[test]
fn data_of_a_stream_that_never_was_is_reset_and_late_data_is_not() {
    let mut server = Side::new(SpdyRole::Server);
    let mut wire = BytesMut::new();
    frame::put_data(&mut wire, 5, false, b"x");
    let answer = server.step(SpdyInput::Received(wire.split().freeze()));
    let mut reset = BytesMut::new();
    frame::put_reset(&mut reset, 5, STATUS_INVALID_STREAM);
    assert_eq!(answer, reset);
    frame::put_syn_stream(&mut wire, 1, &HeaderWriter::new().write(&[]));
    server.step(SpdyInput::Received(wire.split().freeze()));
    server.step(SpdyInput::Reset { stream: 1, status: STATUS_CANCEL });
    frame::put_data(&mut wire, 1, true, b"late");
    assert!(server.step(SpdyInput::Received(wire.split().freeze())).is_empty());
}

#[test]
fn lengths_beyond_the_limit_are_refused_before_they_are_buffered() {
    let mut server = Side::new(SpdyRole::Server);
    server.step(SpdyInput::Received(Bytes::from_static(&[0x80, 3, 0, 1, 0, 0xff, 0xff, 0xff])));
    assert!(matches!(server.take()[..], [SpdyEffect::Failed(SpdyError::FrameTooLong { .. })]));
    let mut server = Side::new(SpdyRole::Server);
    server.step(SpdyInput::Received(Bytes::from_static(&[0x80, 2, 0, 1, 0, 0, 0, 0])));
    assert_eq!(server.take(), [SpdyEffect::Failed(SpdyError::Version { found: 2 })]);
}

/// A conversation, with bits flipped, cut and doubled: never a panic, never data of a stream that is not open, never
/// more than the limits.
#[test]
fn mutated_conversations_do_no_harm() {
    const ROUNDS: u64 = 500;
    for seed in 0..ROUNDS {
        let mut rng = Rng::new(seed);
        let mut wire = conversation(&mut rng);
        for _ in 0..rng.below(6) {
            mutate(&mut rng, &mut wire);
        }
        let mut server = Side::new(SpdyRole::Server);
        let mut rest = wire.as_slice();
        while !rest.is_empty() {
            let length = usize::try_from(rng.between(1, 64)).unwrap().min(rest.len());
            let (part, tail) = rest.split_at(length);
            rest = tail;
            server.step(SpdyInput::Received(Bytes::copy_from_slice(part)));
            assert!(server.core.open_streams() <= STREAMS_LIMIT);
        }
        judge(&server.take());
    }
}

fn judge(events: &[SpdyEffect]) {
    let mut open = BTreeMap::new();
    for event in events {
        match event {
            SpdyEffect::Incoming { stream, headers } => {
                assert!(headers.len() <= super::super::HEADERS_LIMIT);
                assert_eq!(open.insert(*stream, true), None);
            }
            SpdyEffect::Data { stream, data } => {
                assert!(!data.is_empty());
                assert_eq!(open.get(stream), Some(&true), "data before the stream or after its end");
            }
            SpdyEffect::Finished { stream } | SpdyEffect::Reset { stream, .. } => {
                assert!(open.insert(*stream, false).is_some());
            }
            _ => {}
        }
    }
}

fn conversation(rng: &mut Rng) -> Vec<u8> {
    let mut writer = HeaderWriter::new();
    let mut wire = BytesMut::new();
    for number in 0..rng.between(1, 5) {
        let stream = u32::try_from(number * 2 + 1).unwrap();
        let block = writer.write(&headers(&[("streamtype", "data"), ("port", "80")]));
        frame::put_syn_stream(&mut wire, stream, &block);
        frame::put_data(&mut wire, stream, rng.chance(1, 2), &[b'x'; 20]);
        frame::put_ping(&mut wire, 1);
        frame::put_window_update(&mut wire, stream, 5);
        if rng.chance(1, 3) {
            frame::put_reset(&mut wire, stream, STATUS_CANCEL);
        }
    }
    wire.to_vec()
}

fn mutate(rng: &mut Rng, wire: &mut Vec<u8>) {
    let Some(at) = rng.index(wire.len()) else { return };
    let byte = u8::try_from(rng.below(256)).unwrap();
    match rng.below(5) {
        0 => wire[at] ^= 1 << rng.below(8),
        1 => wire[at] = byte,
        2 => wire.truncate(at),
        3 => wire.insert(at, byte),
        _ => {
            let piece = wire[at..(at + 24).min(wire.len())].to_vec();
            wire.splice(at..at, piece);
        }
    }
}
