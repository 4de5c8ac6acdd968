use super::*;
use bytes::BytesMut;

fn wire(frame: &Frame) -> Bytes {
    let mut out = BytesMut::new();
    if let Some(body) = encode(&mut out, frame) {
        out.extend_from_slice(&body);
    }
    out.freeze()
}

fn request(body: usize) -> Frame {
    Frame::Request(Request {
        id: 7,
        deadline_ms: 1500,
        path: "/server/s1/raft".into(),
        name: "append".into(),
        key: Some(Bytes::from_static(b"k")),
        body: Bytes::from(vec![9; body]),
    })
}

#[test]
fn every_kind_comes_back_as_it_was() {
    let frames = [
        Frame::Hello(Hello { version: 1, class: 2, instance: 3 }),
        request(10),
        request(100_000),
        Frame::Response { id: 1, outcome: Ok(Bytes::from_static(b"yes")) },
        Frame::Response { id: 1, outcome: Err(Bytes::new()) },
        Frame::Cancel { id: 4 },
        Frame::Subscribe(Subscribe { id: 1, path: "/a".into(), credit: 5, topic: Bytes::from_static(b"t") }),
        Frame::Event { id: 1, seq: 2, body: Bytes::from_static(b"e") },
        Frame::Credit { id: 1, more: 10 },
        Frame::Unsubscribe { id: 1 },
        Frame::SubEnd { id: 1, reason: SubEndReason::Lagged, message: "slow".into() },
        Frame::Drain,
    ];
    let mut decoder = Decoder::new(1 << 20);
    for frame in &frames {
        decoder.push(wire(frame));
        assert_eq!(decoder.next_frame(), Ok(Some(frame.clone())));
        assert_eq!(decoder.next_frame(), Ok(None));
    }
    assert_eq!(decoder.finish(), Ok(()));
}

#[test]
fn a_frame_above_the_limit_is_refused_by_its_length_alone() {
    let mut decoder = Decoder::new(1000);
    decoder.push(Bytes::from_static(&[0, 0, 3, 0xe9]));
    assert_eq!(decoder.next_frame(), Err(FrameError::TooLarge { limit_bytes: 1000, got_bytes: 1001 }));
    assert_eq!(decoder.held_bytes(), 0);
}

#[test]
fn a_stream_that_ends_inside_a_frame_is_truncated() {
    let bytes = wire(&request(50));
    let mut decoder = Decoder::new(1000);
    decoder.push(bytes.slice(..20));
    assert_eq!(decoder.next_frame(), Ok(None));
    assert_eq!(decoder.finish(), Err(FrameError::Truncated { have_bytes: 20, need_bytes: bytes.len() }));
}

#[test]
fn a_promise_of_bytes_allocates_little() {
    let mut decoder = Decoder::new(u32::MAX);
    decoder.push(Bytes::from_static(&[0x7f, 0, 0, 0, 2]));
    assert_eq!(decoder.next_frame(), Ok(None));
    assert!(decoder.held_bytes() <= 2 * GROWTH, "{} bytes held", decoder.held_bytes());
}
const GROWTH: usize = 16 * 1024;

#[test]
fn bodies_are_slices_of_the_chunk() {
    let bytes = wire(&request(600));
    let range = bytes.as_ptr_range();
    let mut decoder = Decoder::new(1 << 20);
    decoder.push(bytes.clone());
    let Ok(Some(Frame::Request(r))) = decoder.next_frame() else { panic!("a request went in") };
    assert!(range.contains(&r.body.as_ptr()));
}

#[test]
fn nonsense_is_named() {
    let cases: [(&[u8], FrameError); 6] = [
        (&[0, 0, 0, 0], FrameError::Empty),
        (&[0, 0, 0, 1, 99], FrameError::UnknownKind(99)),
        (&[0, 0, 0, 2, kind::CANCEL, 1], FrameError::ShortHeader { kind: kind::CANCEL }),
        (&[0, 0, 0, 2, kind::DRAIN, 1], FrameError::TrailingBytes { kind: kind::DRAIN, extra_bytes: 1 }),
        (
            &[0, 0, 0, 11, kind::SUB_END, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0xff],
            FrameError::BadUtf8 { kind: kind::SUB_END, field: "message" },
        ),
        (
            &[0, 0, 0, 10, kind::SUB_END, 0, 0, 0, 0, 0, 0, 0, 1, 77],
            FrameError::BadValue { kind: kind::SUB_END, field: "reason", value: 77 },
        ),
    ];
    for (bytes, error) in cases {
        let mut decoder = Decoder::new(1000);
        decoder.push(Bytes::copy_from_slice(bytes));
        assert_eq!(decoder.next_frame(), Err(error));
    }
}
