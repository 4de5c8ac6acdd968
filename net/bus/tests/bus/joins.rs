//! Joining with nothing but a pin.

use crate::kit::*;
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use trireme_bus::{BusConfig, JOIN_BODY_LIMIT_BYTES, JoinError, JoinService, Refusal, join};
use trireme_pki::TLS_SERVER_NAME;

/// Answers with the request backwards; "slow" takes too long.
struct Backwards;

impl JoinService for Backwards {
    fn join(&self, _: SocketAddr, request: Bytes) -> BoxFuture<'static, Bytes> {
        async move {
            if request == "slow" {
                tokio::time::sleep(Duration::from_secs(30)).await;
            }
            request.iter().rev().copied().collect()
        }
        .boxed()
    }
}

fn options() -> Options {
    let config = BusConfig { join_timeout: Duration::from_millis(700), joins_limit: 2, ..quick() };
    Options { join: Some(Arc::new(Backwards)), config, ..Options::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_joiner_gets_its_answer_and_the_pinned_authority() {
    let cluster = Cluster::new();
    let bus = server(&cluster, "s1", options());
    let to = bus.listen_address().unwrap();
    let joined = soon("an answer", join(to, cluster.authority.pin(), Bytes::from("token"))).await.unwrap();
    assert_eq!(joined.answer, "nekot");
    assert_eq!(joined.authority.pin(), cluster.authority.pin());
    assert!(bus.peers().is_empty(), "a joiner gets no session");

    let wrong = join(to, Cluster::new().authority.pin(), Bytes::from("token")).await;
    assert!(matches!(wrong, Err(JoinError::Dial(_))), "{wrong:?}");
    let large = join(to, cluster.authority.pin(), Bytes::from(vec![0; JOIN_BODY_LIMIT_BYTES + 1])).await;
    assert!(matches!(large, Err(JoinError::TooLarge { .. })), "{large:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn joins_are_bounded_in_number_size_and_time() {
    let cluster = Cluster::new();
    let bus = server(&cluster, "s1", options());
    let (to, pin) = (bus.listen_address().unwrap(), cluster.authority.pin());
    let slow = || join(to, pin, Bytes::from("slow"));
    let (one, two, three) = tokio::join!(slow(), slow(), slow());
    for refused in [one, two, three] {
        assert!(matches!(refused, Err(JoinError::Broken { .. })), "{refused:?}");
    }
    assert_eq!(bus.refused(Refusal::JoinsFull), 1);
    assert_eq!(bus.refused(Refusal::BadJoin), 2, "two ran out of time");

    // A client that does not keep to the limit by itself.
    let crypto =
        quinn::crypto::rustls::QuicClientConfig::try_from(trireme_pki::join_client(pin).unwrap()).unwrap();
    let endpoint = quinn::Endpoint::client(localhost()).unwrap();
    let config = quinn::ClientConfig::new(Arc::new(crypto));
    let connection = endpoint.connect_with(config, to, TLS_SERVER_NAME).unwrap().await.unwrap();
    let (mut send, _recv) = connection.open_bi().await.unwrap();
    // The server may close before everything is written.
    let _ = send.write_all(&vec![0; 3 * JOIN_BODY_LIMIT_BYTES]).await;
    soon("the refusal", connection.closed()).await;
    assert_eq!(bus.refused(Refusal::BadJoin), 3);
    // And the door is open for the next one.
    assert_eq!(join(to, pin, Bytes::from("ab")).await.unwrap().answer, "ba");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_without_joins_says_so() {
    let cluster = Cluster::new();
    let bus = server(&cluster, "s1", Options::default());
    let refused = join(bus.listen_address().unwrap(), cluster.authority.pin(), Bytes::from("x")).await;
    assert!(matches!(refused, Err(JoinError::Broken { .. })), "{refused:?}");
    assert_eq!(bus.refused(Refusal::BadJoin), 1);
}
