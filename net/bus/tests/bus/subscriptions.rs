//! Pushed events.

use crate::board::Board;
use crate::kit::*;
use bytes::Bytes;
use std::sync::Arc;
use trireme_bus::frame::SubEndReason;
use trireme_bus::{BusConfig, IdentityKind, PeerIdentity, PublishError, SessionLimits};
use trireme_kernel::Class;

async fn board(limits: SessionLimits) -> (Pair, Arc<Board>) {
    let board = Arc::new(Board::default());
    let config = BusConfig { session: limits, ..quick() };
    let one = Options { config, publishers: board.clone(), ..Options::default() };
    (pair_with(one, Options::default()).await, board)
}

fn topic() -> trireme_kernel::ActorPath {
    path("/server/s1/board")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_come_in_order_and_credit_is_renewed() {
    let (pair, board) = board(SessionLimits::default()).await;
    let mut subscription = pair.peer.subscribe(Class::Watch, &topic(), Bytes::new(), 4);
    until("the publisher", || (board.len() == 1).then_some(())).await;
    for n in 0..500_u32 {
        assert_eq!(board.publish(&Bytes::from(n.to_string())), [Ok(())]);
    }
    for n in 0..500_u32 {
        let item = soon("an event", subscription.next()).await.unwrap();
        assert_eq!((item.seq, item.body), (u64::from(n) + 1, Bytes::from(n.to_string())));
    }
    board.publishers.lock().clear();
    let end = soon("the end", subscription.next()).await.unwrap_err();
    assert_eq!(end.reason, SubEndReason::Finished);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_event_fans_out_to_ten_thousand() {
    let (pair, board) = board(SessionLimits::default()).await;
    let mut all: Vec<_> =
        (0..10_000).map(|_| pair.peer.subscribe(Class::Watch, &topic(), Bytes::new(), 2)).collect();
    until("all publishers", || (board.len() == 10_000).then_some(())).await;
    assert!(board.publish(&Bytes::from_static(b"news")).iter().all(Result::is_ok));
    for subscription in &mut all {
        assert_eq!(soon("the event", subscription.next()).await.unwrap().body, "news");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscriber_that_lags_is_told_and_bounded() {
    let limits = SessionLimits { publisher_events: 10, ..SessionLimits::default() };
    let (pair, board) = board(limits).await;
    let mut slow = pair.peer.subscribe(Class::Watch, &topic(), Bytes::new(), 3);
    until("the publisher", || (board.len() == 1).then_some(())).await;
    let mut results = Vec::new();
    for n in 0..20_u32 {
        results.extend(board.publish(&Bytes::from(n.to_string())));
    }
    // Three with credit, ten kept, the fourteenth is too many.
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 13);
    assert_eq!(results[13], Err(PublishError::Lagged));
    assert_eq!(results[14], Err(PublishError::Ended));
    for seq in 1..=3 {
        assert_eq!(soon("an event", slow.next()).await.unwrap().seq, seq);
    }
    let end = soon("the end", slow.next()).await.unwrap_err();
    assert_eq!(end.reason, SubEndReason::Lagged);
    // Subscribing again works and starts anew.
    let mut again = pair.peer.subscribe(Class::Watch, &topic(), Bytes::new(), 3);
    until("the publisher", || (board.len() == 2).then_some(())).await;
    board.publish(&Bytes::from_static(b"x"));
    assert_eq!(soon("an event", again.next()).await.unwrap().seq, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publisher_that_waits_never_lets_a_slow_subscriber_lag() {
    const EVENTS: u32 = 200;
    let limits = SessionLimits { publisher_events: 1, publisher_bytes: 10_000, ..SessionLimits::default() };
    let (pair, board) = board(limits).await;
    let mut slow = pair.peer.subscribe(Class::Watch, &topic(), Bytes::new(), 2);
    let publisher = until("the publisher", || board.publishers.lock().pop()).await;
    let publishing = tokio::spawn(async move {
        for n in 0..EVENTS {
            publisher.ready().await?;
            // Some are larger than what may be kept of many.
            let bytes = if n % 10 == 0 { 50_000 } else { 100 };
            publisher.publish(Bytes::from(vec![0; bytes]))?;
        }
        publisher.ready().await?;
        Ok::<_, PublishError>(publisher)
    });
    for seq in 1..=u64::from(EVENTS) {
        if seq % 50 == 0 {
            tokio::time::sleep(std::time::Duration::from_millis(30)).await;
        }
        assert_eq!(soon("an event", slow.next()).await.unwrap().seq, seq);
    }
    let publisher = soon("the publisher", publishing).await.unwrap().unwrap();
    // Whoever waits hears of the end.
    for _ in 0..3 {
        publisher.ready().await.unwrap();
        publisher.publish(Bytes::from_static(b"x")).unwrap();
    }
    let waiting = tokio::spawn(async move { publisher.ready().await });
    drop(slow);
    assert_eq!(soon("the end", waiting).await.unwrap(), Err(PublishError::Ended));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_queue_holds_events_back_and_loses_none() {
    let limits = SessionLimits { queue_bytes: 8 * 1024, publisher_events: 2_000, ..SessionLimits::default() };
    let (pair, board) = board(limits).await;
    let mut subscription = pair.peer.subscribe(Class::Watch, &topic(), Bytes::new(), 1_000);
    until("the publisher", || (board.len() == 1).then_some(())).await;
    for _ in 0..1_000 {
        assert_eq!(board.publish(&Bytes::from(vec![0; 1_000])), [Ok(())]);
    }
    for seq in 1..=1_000 {
        assert_eq!(soon("an event", subscription.next()).await.unwrap().seq, seq);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_ends_notice_the_other_leaving() {
    let (pair, board) = board(SessionLimits::default()).await;
    let subscription = pair.peer.subscribe(Class::Watch, &topic(), Bytes::new(), 3);
    until("the publisher", || (board.len() == 1).then_some(())).await;
    drop(subscription);
    until("the publisher notices", || board.publishers.lock()[0].is_ended().then_some(())).await;

    let mut refused = pair.peer.subscribe(Class::Watch, &topic(), Bytes::from_static(b"bad"), 3);
    assert_eq!(soon("the refusal", refused.next()).await.unwrap_err().reason, SubEndReason::Refused);

    let mut cut = pair.peer.subscribe(Class::Watch, &topic(), Bytes::new(), 3);
    until("the publisher", || (board.len() == 2).then_some(())).await;
    pair.one.close_peer(&PeerIdentity::new(IdentityKind::Server, "s2"), "the test breaks the connection");
    assert_eq!(soon("the end", cut.next()).await.unwrap_err().reason, SubEndReason::Disconnected);
    assert_eq!(board.publish(&Bytes::new())[1], Err(PublishError::Ended));
}
