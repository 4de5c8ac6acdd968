//! Injected faults and liveness.

use crate::kit::*;
use bytes::Bytes;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::broadcast::Receiver;
use trireme_bus::frame::SubEndReason;
use trireme_bus::{BusClock, BusConfig, Liveness, PeerEvent};
use trireme_core::Tick;
use trireme_faults::{BusAction, BusRule, Direction, FaultPoint, FaultRule, Faults};
use trireme_kernel::{CallError, Class};

fn rule(
    id: &str,
    class: Option<&str>,
    direction: Direction,
    action: BusAction,
    dead_man: Duration,
) -> FaultRule {
    let rule = BusRule { peer_glob: "*".into(), class: class.map(str::to_owned), direction, action };
    FaultRule::new(id, FaultPoint::Bus(rule), dead_man)
}

const LONG: Duration = Duration::from_secs(60);

/// A pair whose second end has fault points and a clock that is shared with the test.
async fn faulty() -> (Pair, Faults, BusClock) {
    let (faults, clock) = (Faults::new(), BusClock::continuing(Tick::ZERO));
    let config = BusConfig { silent_after: Duration::from_millis(400), ..quick() };
    let two = Options { faults: faults.clone(), clock, config: config.clone(), ..Options::default() };
    let one = Options { config, ..Options::default() };
    (pair_with(one, two).await, faults, clock)
}

/// The next event that is another kind than before: the session's first `Up` may or may not have been missed.
async fn liveness(events: &mut Receiver<PeerEvent>, before: Liveness) -> Liveness {
    loop {
        let event = soon("an event", events.recv()).await.unwrap();
        if event.liveness != before {
            return event.liveness;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partition_silences_the_peer_and_its_dead_man_timer_heals_it() {
    let (pair, faults, clock) = faulty().await;
    let (mut here, mut there) = (pair.two.events(), pair.one.events());
    let dead_man = Duration::from_millis(1_500);
    faults.arm(rule("cut", None, Direction::Both, BusAction::Partition, dead_man), clock.now()).unwrap();
    let cut = pair.peer.call(&path("/server/s1/test"), "echo", Bytes::new(), within(300)).await;
    assert!(matches!(cut, Err(CallError::DeadlineExceeded { .. })), "{cut:?}");
    let large =
        pair.peer.call(&path("/server/s1/test"), "echo", Bytes::from(vec![0; 100_000]), within(300)).await;
    assert!(
        matches!(large, Err(CallError::Unreachable { .. })),
        "a large call is held before its stream: {large:?}"
    );
    assert_eq!(pair.service.executed.load(Ordering::SeqCst), 0);
    let silent = liveness(&mut here, Liveness::Up).await;
    assert!(matches!(silent, Liveness::SilentSince(_)), "{silent:?}");
    let silent = liveness(&mut there, Liveness::Up).await;
    assert!(matches!(silent, Liveness::SilentSince(_)), "{silent:?}");
    // Nobody heals it but the rule itself.
    assert_eq!(liveness(&mut here, silent).await, Liveness::Up);
    assert_eq!(liveness(&mut there, silent).await, Liveness::Up);
    assert_eq!(call(&pair.peer, "echo", "again").await.unwrap(), "again");
    assert!(faults.is_idle());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partition_refuses_new_connections() {
    let (pair, faults, clock) = faulty().await;
    faults.arm(rule("cut", None, Direction::Both, BusAction::Partition, LONG), clock.now()).unwrap();
    pair.two.close_peer(pair.peer.identity(), "the test breaks the connection");
    let to = pair.one.listen_address().unwrap();
    assert!(pair.two.connect(to, trireme_pki::ExpectedPeer::AnyServer).await.is_err());
    // From the other side as well: the one with the rule refuses.
    let to = pair.two.listen_address().unwrap();
    assert!(pair.one.connect(to, trireme_pki::ExpectedPeer::AnyServer).await.is_err());
    faults.heal_all();
    assert!(pair.one.connect(to, trireme_pki::ExpectedPeer::AnyServer).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn repeated_frames_are_executed_once_and_delayed_ones_late() {
    let (pair, faults, clock) = faulty().await;
    faults
        .arm(rule("twice", Some("control"), Direction::Both, BusAction::Duplicate, LONG), clock.now())
        .unwrap();
    for n in 1..=20 {
        assert_eq!(call(&pair.peer, "echo", "x").await.unwrap(), "x");
        assert_eq!(pair.service.executed.load(Ordering::SeqCst), n);
    }
    faults.heal_all();
    faults
        .arm(rule("late", Some("control"), Direction::In, BusAction::Delay { ms: 200 }, LONG), clock.now())
        .unwrap();
    let started = std::time::Instant::now();
    assert_eq!(call(&pair.peer, "echo", "x").await.unwrap(), "x");
    assert!(started.elapsed() >= Duration::from_millis(190));
    // Another class is not touched.
    let started = std::time::Instant::now();
    assert_eq!(call_in(&pair.peer, Class::Raft, "echo", Bytes::from("x")).await.unwrap(), "x");
    assert!(started.elapsed() < Duration::from_millis(190), "raft waited for the delayed class");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropped_and_reordered_calls_end_typed() {
    let (pair, faults, clock) = faulty().await;
    let mut once = rule("one", Some("control"), Direction::Out, BusAction::Drop, LONG);
    once.max_hits = Some(1);
    faults.arm(once, clock.now()).unwrap();
    let dropped = pair.peer.call(&path("/server/s1/test"), "echo", Bytes::new(), within(200)).await;
    assert!(matches!(dropped, Err(CallError::DeadlineExceeded { .. })), "{dropped:?}");
    assert_eq!(call(&pair.peer, "echo", "x").await.unwrap(), "x");
    let mut mixed = rule("mix", Some("control"), Direction::Both, BusAction::Reorder, LONG);
    mixed.probability_per_mille = 500;
    faults.arm(mixed, clock.now()).unwrap();
    let calls = (0..200_u32).map(|n| {
        let peer = pair.peer.clone();
        async move {
            let body = Bytes::from(n.to_string());
            assert_eq!(call(&peer, "echo", body.clone()).await.unwrap(), body);
        }
    });
    soon("all answers", futures_util::future::join_all(calls)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_event_is_a_gap_and_never_silent() {
    let (faults, clock) = (Faults::new(), BusClock::continuing(Tick::ZERO));
    let board = std::sync::Arc::new(crate::board::Board::default());
    let one = Options { publishers: board.clone(), faults: faults.clone(), clock, ..Options::default() };
    let pair = pair_with(one, Options::default()).await;
    let mut subscription = pair.peer.subscribe(Class::Watch, &path("/server/s1/board"), Bytes::new(), 10);
    until("the publisher", || (board.len() == 1).then_some(())).await;
    board.publish(&Bytes::from("1"));
    assert_eq!(soon("an event", subscription.next()).await.unwrap().seq, 1);
    let mut once = rule("one", Some("watch"), Direction::Out, BusAction::Drop, LONG);
    once.max_hits = Some(1);
    faults.arm(once, clock.now()).unwrap();
    board.publish(&Bytes::from("2"));
    board.publish(&Bytes::from("3"));
    let end = soon("the end", subscription.next()).await.unwrap_err();
    assert_eq!(end.reason, SubEndReason::Gap);
    until("the publisher hears of it", || board.publishers.lock()[0].is_ended().then_some(())).await;
}
