//! Deterministic fuzzing of the frame decoder: generated frames, mutated bytes, random cuts.
//!
//! The default run is short. The long one:
//! `TRIREME_FUZZ_RUNS=5000000 cargo test --release -p trireme-bus --test fuzz_frames -- --ignored`; a failure prints
//! its seed, and `TRIREME_FUZZ_SEED` starts there.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation, clippy::print_stdout)]

use bytes::{Bytes, BytesMut};
use trireme_bus::frame::{
    Decoder, Frame, FrameError, Hello, OVERHEAD_LIMIT_BYTES, Request, SubEndReason, Subscribe, encode,
};
use trireme_core::Rng;

/// Length limit of the decoders under test, in bytes.
const LIMIT: u32 = 64 * 1024;
/// Most memory a decoder may hold for a partial frame: the frame, doubled by buffer growth, and a step.
const HELD_LIMIT: usize = 2 * (LIMIT as usize + OVERHEAD_LIMIT_BYTES) + 64 * 1024;

#[test]
fn short_run() {
    run(runs(60_000));
}

#[test]
#[ignore = "takes minutes without optimisation; CI's long run"]
fn long_run() {
    run(runs(5_000_000));
}

fn runs(default: u64) -> u64 {
    std::env::var("TRIREME_FUZZ_RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(default)
}

fn run(runs: u64) {
    let first: u64 = std::env::var("TRIREME_FUZZ_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let mut decoded = 0_u64;
    let mut refused = 0_u64;
    for seed in first..first + runs {
        let outcome = std::panic::catch_unwind(|| one(seed));
        match outcome {
            Ok((good, bad)) => {
                decoded += good;
                refused += bad;
            }
            Err(panic) => {
                println!("TRIREME_FUZZ_SEED={seed} fails");
                std::panic::resume_unwind(panic);
            }
        }
    }
    println!("{runs} executions: {decoded} frames decoded, {refused} streams refused");
    assert!(decoded > runs / 2 && refused > runs / 10, "the fuzzer no longer reaches both outcomes");
}

/// One execution; frames decoded and streams refused.
fn one(seed: u64) -> (u64, u64) {
    let mut rng = Rng::new(seed);
    let mut frames = Vec::new();
    let mut bytes = BytesMut::new();
    for _ in 0..rng.between(1, 3) {
        let frame = generate(&mut rng);
        put(&mut bytes, &frame);
        frames.push(frame);
    }
    if rng.chance(1, 2) {
        // Untouched: what went in comes out, however it is cut.
        let (got, end) = decode(&cut(&mut rng, &bytes));
        assert_eq!((got.as_slice(), end), (frames.as_slice(), Ok(())));
        return (got.len() as u64, 0);
    }
    let bytes = mutate(&mut rng, bytes);
    let whole = decode(std::slice::from_ref(&bytes));
    let parts = decode(&cut(&mut rng, &bytes));
    assert_eq!(whole, parts, "the outcome depends on where the bytes were cut");
    for frame in &whole.0 {
        // Whatever was decoded encodes to something that decodes to the same.
        let mut again = BytesMut::new();
        put(&mut again, frame);
        assert_eq!(decode(&[again.freeze()]), (vec![frame.clone()], Ok(())));
    }
    (whole.0.len() as u64, u64::from(whole.1.is_err()))
}

fn decode(chunks: &[Bytes]) -> (Vec<Frame>, Result<(), FrameError>) {
    let mut decoder = Decoder::new(LIMIT + OVERHEAD_LIMIT_BYTES as u32);
    let mut frames = Vec::new();
    for chunk in chunks {
        decoder.push(chunk.clone());
        loop {
            match decoder.next_frame() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(error) => return (frames, Err(error)),
            }
            assert!(decoder.held_bytes() <= HELD_LIMIT, "{} bytes held", decoder.held_bytes());
        }
        assert!(decoder.held_bytes() <= HELD_LIMIT, "{} bytes held", decoder.held_bytes());
    }
    (frames, decoder.finish())
}

fn put(out: &mut BytesMut, frame: &Frame) {
    if let Some(body) = encode(out, frame) {
        out.extend_from_slice(&body);
    }
}

fn cut(rng: &mut Rng, bytes: &[u8]) -> Vec<Bytes> {
    let mut rest = Bytes::copy_from_slice(bytes);
    let longest = [1, 3, 16, 300, 5_000][rng.index(5).unwrap()];
    let mut chunks = Vec::new();
    while !rest.is_empty() {
        // A few one-byte cuts reach every boundary; the rest in larger parts keeps an execution short.
        let most = if chunks.len() < 200 { longest } else { 5_000 };
        let length = rng.between(1, most).min(rest.len() as u64) as usize;
        chunks.push(rest.split_to(length));
    }
    chunks
}

fn mutate(rng: &mut Rng, mut bytes: BytesMut) -> Bytes {
    for _ in 0..rng.between(1, 4) {
        let Some(at) = rng.index(bytes.len()) else { break };
        // Headers are where it hurts: half of the changes go there.
        let at = if rng.chance(1, 2) { at.min(24) } else { at };
        match rng.below(6) {
            0 => bytes[at] ^= 1 << rng.below(8),
            1 => bytes[at] = rng.next_u64() as u8,
            2 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][rng.index(5).unwrap()],
            3 => bytes.truncate(at),
            4 => {
                let tail = bytes.split_off(at);
                for _ in 0..rng.between(1, 9) {
                    bytes.extend_from_slice(&[rng.next_u64() as u8]);
                }
                bytes.unsplit(tail);
            }
            _ => {
                let end = (at + rng.between(1, 9) as usize).min(bytes.len());
                let tail = bytes.split_off(end);
                bytes.truncate(at);
                bytes.unsplit(tail);
            }
        }
    }
    bytes.freeze()
}

fn generate(rng: &mut Rng) -> Frame {
    let id = if rng.chance(1, 8) { u64::MAX } else { rng.next_u64() };
    match rng.below(11) {
        0 => {
            Frame::Hello(Hello { version: rng.next_u64() as u16, class: rng.next_u64() as u8, instance: id })
        }
        1 | 2 => Frame::Request(Request {
            id,
            deadline_ms: rng.next_u64() as u32,
            path: text(rng, 60).as_str().into(),
            name: text(rng, 20).as_str().into(),
            key: rng.chance(1, 3).then(|| blob(rng, 128)),
            body: body(rng),
        }),
        3 => Frame::Response { id, outcome: if rng.chance(1, 2) { Ok(body(rng)) } else { Err(body(rng)) } },
        4 => Frame::Cancel { id },
        5 => Frame::Subscribe(Subscribe {
            id,
            path: text(rng, 60).as_str().into(),
            credit: rng.next_u64() as u32,
            topic: body(rng),
        }),
        6 => Frame::Event { id, seq: rng.next_u64(), body: body(rng) },
        7 => Frame::Credit { id, more: rng.next_u64() as u32 },
        8 => Frame::Unsubscribe { id },
        9 => Frame::SubEnd {
            id,
            reason: SubEndReason::from_code(rng.below(9) as u8).unwrap(),
            message: text(rng, 40).as_str().into(),
        },
        _ => Frame::Drain,
    }
}

fn text(rng: &mut Rng, most: u64) -> String {
    (0..rng.below(most)).map(|_| ['a', '/', '0', 'é', '漢', '\u{1F6F6}'][rng.index(6).unwrap()]).collect()
}

fn blob(rng: &mut Rng, most: u64) -> Bytes {
    (0..rng.below(most)).map(|_| rng.next_u64() as u8).collect()
}

fn body(rng: &mut Rng) -> Bytes {
    // Rarely large: one execution in a few hundred crosses the copying threshold.
    if rng.chance(1, 256) {
        Bytes::from(vec![rng.next_u64() as u8; rng.below(20_000) as usize])
    } else {
        blob(rng, 48)
    }
}
