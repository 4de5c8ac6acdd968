//! The inbox against a member that answers each stream message with itself.

use std::time::Duration;

use bytes::{BufMut, BytesMut};
use futures_util::future::BoxFuture;
use trireme_kernel::{Caller, Class};

use super::*;

struct Echo;

impl RaftService for Echo {
    fn serve(&self, body: Bytes) -> BoxFuture<'static, Bytes> {
        std::future::ready(body).boxed()
    }

    /// Like the store: the hello has no answer, every other message has one.
    fn serve_stream(&self, stream: Duplex) -> BoxFuture<'static, ()> {
        let Duplex { send, mut receive } = stream;
        async move {
            let hello = receive.recv().await;
            assert_eq!(hello, Some(Bytes::from_static(b"hello")));
            while let Some(message) = receive.recv().await {
                if message == "end" || send.send(message).await.is_err() {
                    return;
                }
            }
        }
        .boxed()
    }
}

fn inbox() -> RaftInbox {
    let inbox = RaftInbox::new(Handle::current());
    inbox.attach(Arc::new(Echo));
    inbox
}

fn request(kind: IdentityKind, name: &str, body: Bytes) -> Inbound {
    Inbound {
        peer: Arc::new(PeerIdentity::new(kind, "s2")),
        caller: Caller::new("s2"),
        path: "/server/s1/store".into(),
        name: name.into(),
        body,
        deadline: Duration::from_secs(5),
        class: Class::Raft,
    }
}

fn message(stream: u64, number: u64, text: &str) -> Inbound {
    let mut body = BytesMut::new();
    body.put_u64_le(stream);
    body.put_u64_le(number);
    body.put_slice(text.as_bytes());
    request(IdentityKind::Server, STREAM, body.freeze())
}

async fn settle(handling: Handling) -> Result<Bytes, CallError> {
    match handling {
        Handling::Answered(answer) => answer,
        Handling::Running(answer) => answer.await,
    }
}

#[tokio::test]
async fn overtaking_messages_reach_the_member_in_order_and_get_their_own_answers() {
    let inbox = inbox();
    settle(inbox.take(message(7, 0, "hello"))).await.unwrap();
    let handled: Vec<Handling> =
        [3, 1, 4, 2].into_iter().map(|n| inbox.take(message(7, n, &format!("m{n}")))).collect();
    for (handling, expected) in handled.into_iter().zip(["m3", "m1", "m4", "m2"]) {
        assert_eq!(settle(handling).await.unwrap(), expected);
    }
    // A number that was there is no message of this stream.
    assert!(matches!(settle(inbox.take(message(7, 2, "m2"))).await, Err(CallError::NoSuchActor { .. })));
}

#[tokio::test]
async fn a_stream_that_ends_tells_those_who_wait_and_takes_nothing_more() {
    let inbox = inbox();
    settle(inbox.take(message(1, 0, "hello"))).await.unwrap();
    let ended = settle(inbox.take(message(1, 1, "end"))).await;
    assert!(matches!(ended, Err(CallError::NoAnswer { .. })), "{ended:?}");
    assert!(matches!(settle(inbox.take(message(1, 2, "late"))).await, Err(CallError::NoSuchActor { .. })));
    assert!(inbox.inner.lock().streams.is_empty() && inbox.inner.lock().opened.is_empty());
}

#[tokio::test]
async fn streams_of_one_server_are_bounded_and_the_oldest_goes_first() {
    let inbox = inbox();
    for stream in 0..10 {
        settle(inbox.take(message(stream, 0, "hello"))).await.unwrap();
    }
    assert_eq!(inbox.inner.lock().streams.len(), STREAMS_PER_PEER);
    assert!(settle(inbox.take(message(0, 1, "gone"))).await.is_err());
    assert_eq!(settle(inbox.take(message(9, 1, "here"))).await.unwrap(), "here");
}

#[tokio::test]
async fn only_servers_speak_and_only_to_a_running_member() {
    let inbox = inbox();
    for kind in [IdentityKind::Node, IdentityKind::User, IdentityKind::Component] {
        let refused = settle(inbox.take(request(kind, ASK, Bytes::from_static(b"vote")))).await;
        assert!(matches!(refused, Err(CallError::Denied { .. })), "{refused:?}");
    }
    let ask = || request(IdentityKind::Server, ASK, Bytes::from_static(b"vote"));
    assert_eq!(settle(inbox.take(ask())).await.unwrap(), "vote");
    let short = request(IdentityKind::Server, STREAM, Bytes::from_static(b"short"));
    assert!(matches!(settle(inbox.take(short)).await, Err(CallError::Malformed { .. })));
    inbox.detach();
    let refused = settle(inbox.take(ask())).await;
    assert!(matches!(refused, Err(CallError::NoSuchActor { .. })), "{refused:?}");
}
