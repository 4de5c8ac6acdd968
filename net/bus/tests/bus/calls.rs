//! Requests and answers.

use crate::kit::*;
use bytes::Bytes;
use std::sync::atomic::Ordering;
use std::time::Duration;
use trireme_bus::{BusConfig, IdentityKind, Refusal, SessionLimits};
use trireme_kernel::{CallError, Class, IdempotencyKey};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_go_both_ways_in_every_class_and_size() {
    let pair = pair().await;
    for class in [Class::Raft, Class::Control, Class::Watch, Class::Bulk] {
        for size in [0, 1, 256, 5_000, 60_000, 70_000, 3_000_000] {
            let body = Bytes::from(vec![3; size]);
            let answer = soon("echo", call_in(&pair.peer, class, "echo", body.clone())).await;
            assert_eq!(answer.unwrap(), body, "{class:?} {size}");
        }
    }
    assert_eq!(call(&pair.peer, "who", "").await.unwrap(), "server:s2");
    let back = until("the session at s1", || pair.one.peer(IdentityKind::Server, "s2")).await;
    let answer = back.call(&path("/server/s2/test"), "who", Bytes::new(), within(10_000)).await;
    assert_eq!(answer.unwrap(), "server:s1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_pipelined_calls_each_get_their_own_answer() {
    let pair = pair().await;
    let calls = (0..5_000_u32).map(|n| {
        let peer = pair.peer.clone();
        async move {
            let body = Bytes::from(n.to_string());
            assert_eq!(call(&peer, "echo", body.clone()).await.unwrap(), body);
        }
    });
    soon("all answers", futures_util::future::join_all(calls)).await;
    assert_eq!(pair.peer.report().calls, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deadline_ends_the_call_here_and_the_work_there() {
    let pair = pair().await;
    let started = std::time::Instant::now();
    let answer = pair.peer.call(&path("/server/s1/test"), "hang", Bytes::new(), within(200)).await;
    assert!(matches!(answer, Err(CallError::DeadlineExceeded { .. })), "{answer:?}");
    assert!(started.elapsed() >= Duration::from_millis(190));
    until("the work is dropped", || (pair.service.running.load(Ordering::SeqCst) == 0).then_some(())).await;
    assert_eq!(pair.peer.report().calls, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropping_a_call_cancels_the_work_on_either_kind_of_stream() {
    let pair = pair().await;
    for size in [0, 100_000] {
        let (service, target) = (&pair.service, path("/server/s1/test"));
        let work = tokio::time::timeout(
            Duration::from_millis(300),
            pair.peer.call(&target, "hang", Bytes::from(vec![0; size]), within(60_000)),
        );
        let seen = until("the work runs", || (service.running.load(Ordering::SeqCst) == 1).then_some(()));
        let (dropped, ()) = tokio::join!(work, seen);
        assert!(dropped.is_err(), "nobody answers");
        until("the work is dropped", || (service.running.load(Ordering::SeqCst) == 0).then_some(())).await;
    }
    // The session goes on.
    assert_eq!(call(&pair.peer, "echo", "x").await.unwrap(), "x");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_executes_once() {
    let pair = pair().await;
    let key = IdempotencyKey(77);
    let target = path("/server/s1/test");
    let wait =
        |ms: &'static str| pair.peer.call(&target, "wait", Bytes::from(ms), within(10_000).with_key(key));
    // Two at a time join, a third later replays.
    let (first, second) = tokio::join!(wait("200"), wait("200"));
    let third = wait("200").await;
    for answer in [first, second, third] {
        assert_eq!(answer.unwrap(), "waited");
    }
    assert_eq!(pair.service.executed.load(Ordering::SeqCst), 1);
    let misused = pair.peer.call(&target, "echo", Bytes::new(), within(10_000).with_key(key)).await;
    assert!(matches!(misused, Err(CallError::Malformed { .. })), "{misused:?}");
    // Another identity's key of the same number is another key.
    let back = until("the session at s1", || pair.one.peer(IdentityKind::Server, "s2")).await;
    let other =
        back.call(&path("/server/s2/test"), "echo", Bytes::from("x"), within(10_000).with_key(key)).await;
    assert_eq!(other.unwrap(), "x");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_keyed_work_survives_its_connection_and_is_joined_over_the_next() {
    let pair = pair().await;
    let options = within(10_000).with_key(IdempotencyKey(5));
    let target = path("/server/s1/test");
    let work = pair.peer.call(&target, "wait", Bytes::from("700"), options.clone());
    let breaks = async {
        until("the work runs", || (pair.service.running.load(Ordering::SeqCst) == 1).then_some(())).await;
        pair.two.close_peer(pair.peer.identity(), "the test breaks the connection");
    };
    let (lost, ()) = tokio::join!(work, breaks);
    assert!(matches!(lost, Err(CallError::UnknownOutcome { .. })), "{lost:?}");
    let to = pair.one.listen_address().unwrap();
    let again = pair.two.connect(to, trireme_pki::ExpectedPeer::AnyServer).await.unwrap();
    let answer = again.call(&target, "wait", Bytes::from("700"), options).await;
    assert_eq!(answer.unwrap(), "waited");
    assert_eq!(pair.service.executed.load(Ordering::SeqCst), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_and_panics_of_handlers_are_answers() {
    let pair = pair().await;
    let unknown = call(&pair.peer, "nonsense", "").await;
    assert!(matches!(unknown, Err(CallError::NoSuchCall { .. })), "{unknown:?}");
    let panicked = call(&pair.peer, "panic", "").await;
    assert!(matches!(panicked, Err(CallError::NoAnswer { .. })), "{panicked:?}");
    assert_eq!(call(&pair.peer, "echo", "x").await.unwrap(), "x");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_above_the_class_limit_are_refused_at_both_ends() {
    let pair = pair().await;
    let large = Bytes::from(vec![0; 5 * 1024 * 1024]);
    let refused = call(&pair.peer, "size", large.clone()).await;
    assert!(matches!(refused, Err(CallError::Malformed { .. })), "{refused:?}");
    let bulk = call_in(&pair.peer, Class::Bulk, "size", large).await;
    assert_eq!(bulk.unwrap(), "5242880");
    let answer = call(&pair.peer, "make", "5242880").await;
    assert!(matches!(answer, Err(CallError::Malformed { .. })), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_was_not_sent_says_unreachable() {
    let pair = pair().await;
    pair.two.close_peer(pair.peer.identity(), "the test breaks the connection");
    let refused = call(&pair.peer, "echo", "x").await;
    assert!(matches!(refused, Err(CallError::Unreachable { .. })), "{refused:?}");
    assert_eq!(pair.one.refused(Refusal::BadFrame), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_table_of_calls_waits_and_gives_up_at_the_deadline() {
    let limits = SessionLimits { calls: 10, ..SessionLimits::default() };
    let two = Options { config: BusConfig { session: limits, ..quick() }, ..Options::default() };
    let pair = pair_with(Options::default(), two).await;
    let target = path("/server/s1/test");
    let calls = (0..100).map(|_| pair.peer.call(&target, "wait", Bytes::from("20"), within(10_000)));
    for answer in soon("all answers", futures_util::future::join_all(calls)).await {
        assert_eq!(answer.unwrap(), "waited");
    }
    let hanging = futures_util::future::join_all(
        (0..10).map(|_| pair.peer.call(&target, "hang", Bytes::new(), within(1_500))),
    );
    let late = async {
        until("the table is full", || (pair.peer.report().calls == 10).then_some(())).await;
        pair.peer.call(&target, "echo", Bytes::new(), within(200)).await
    };
    let (_, late) = tokio::join!(hanging, late);
    assert!(matches!(late, Err(CallError::Unreachable { .. })), "not sent: {late:?}");
}
