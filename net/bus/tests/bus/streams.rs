//! Streams of bytes.

use crate::kit::*;
use bytes::Bytes;
use std::sync::atomic::Ordering;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use trireme_kernel::CallError;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_go_both_ways_and_the_end_is_told() {
    let pair = pair().await;
    let target = path("/server/s1/test");
    let opened = soon("a stream", pair.peer.open(&target, "stream.echo", Bytes::new(), within(5_000))).await;
    let (mut from, mut to) = tokio::io::split(opened.unwrap());
    let sent: Vec<u8> = (0..3_000_000_u32).map(|n| n.to_le_bytes()[1]).collect();
    let write = async {
        to.write_all(&sent).await.unwrap();
        to.shutdown().await.unwrap();
    };
    let mut got = Vec::new();
    let ((), read) = soon("the echo", async { tokio::join!(write, from.read_to_end(&mut got)) }).await;
    read.unwrap();
    assert!(got.starts_with(b"hello ") && got[6..] == sent[..], "{} bytes", got.len());
    until("the taker ends", || (pair.service.running.load(Ordering::SeqCst) == 0).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_is_dropped_ends_at_the_other_end_and_streams_are_bounded() {
    let pair = pair().await;
    let target = path("/server/s1/test");
    let mut held = Vec::new();
    let refused = loop {
        match soon("a stream", pair.peer.open(&target, "stream.echo", Bytes::new(), within(5_000))).await {
            Ok(stream) => held.push(stream),
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, CallError::Unreachable { .. }), "{refused:?}");
    assert_eq!(held.len(), 128);
    // Calls have room of their own, also those with streams of their own.
    let body = Bytes::from(vec![1; 200_000]);
    assert_eq!(soon("a call", call(&pair.peer, "echo", body.clone())).await.unwrap(), body);
    held.clear();
    until("all takers end", || (pair.service.running.load(Ordering::SeqCst) == 0).then_some(())).await;
    let again = pair.peer.open(&target, "stream.echo", Bytes::new(), within(5_000)).await;
    assert!(again.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_takes_or_no_rule_allows_is_refused_by_name() {
    let pair = pair().await;
    let target = path("/server/s1/test");
    let nobody = pair.peer.open(&target, "stream.nothing", Bytes::new(), within(5_000)).await;
    assert!(matches!(nobody, Err(CallError::NoSuchActor { .. })), "{:?}", nobody.err());
    let node = dialer(&pair.cluster, &pair.cluster.node("a1"), Options::default());
    let to = pair.one.listen_address().unwrap();
    let peer = node.connect(to, trireme_pki::ExpectedPeer::AnyServer).await.unwrap();
    let not_allowed = peer.open(&target, "stream.echo", Bytes::new(), within(5_000)).await;
    assert!(matches!(not_allowed, Err(CallError::Denied { .. })), "{:?}", not_allowed.err());
    assert_eq!(pair.service.running.load(Ordering::SeqCst), 0);
}
