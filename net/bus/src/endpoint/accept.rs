//! Strangers at the door.

use super::Endpoints;
use super::join::serve_join;
use crate::admission::{Admission, Refusal, admit};
use crate::identity::PeerIdentity;
use crate::session::{Session, close_code, greet};
use crate::sessions::Added;
use quinn::VarInt;
use quinn::crypto::rustls::HandshakeData;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use trireme_faults::{BusFault, Direction};
use trireme_kernel::Class;
use trireme_pki::{Admission as Admitted, PeerCertificate};

/// Lets strangers in until the endpoint closes. `met` is called for every established session.
pub(crate) async fn accept_loop<F>(endpoints: Arc<Endpoints>, met: F)
where
    F: Fn(&Arc<Session>) + Clone + Send + Sync + 'static,
{
    let Some(listen) = endpoints.listen.clone() else { return std::future::pending().await };
    while let Some(incoming) = listen.accept().await {
        let engine = &endpoints.engine;
        let from = incoming.remote_address();
        let decision = admit(
            &engine.config.admission,
            endpoints.handshakes(),
            engine.sessions.len(),
            incoming.remote_address_validated(),
            incoming.may_retry(),
        );
        match decision {
            Admission::Accept => {
                let (endpoints, met) = (Arc::clone(&endpoints), met.clone());
                // Counted here and not in the task: the next stranger must see it.
                let guard = Handshaking::new(&endpoints);
                engine.io.spawn(async move { handshake(endpoints, incoming, guard, met).await });
            }
            // Fails only for clients that may not be asked to retry, which `admit` was told.
            Admission::Retry => drop(incoming.retry()),
            Admission::Refuse(reason) => {
                engine.refuse(
                    reason,
                    &from,
                    &format_args!("{} handshakes in progress", endpoints.handshakes()),
                );
                incoming.refuse();
            }
        }
    }
}

/// Counts a handshake in progress.
struct Handshaking(Arc<Endpoints>);

impl Handshaking {
    fn new(endpoints: &Arc<Endpoints>) -> Self {
        endpoints.handshakes.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(endpoints))
    }
}

impl Drop for Handshaking {
    fn drop(&mut self) {
        self.0.handshakes.fetch_sub(1, Ordering::AcqRel);
    }
}

async fn handshake<F>(endpoints: Arc<Endpoints>, incoming: quinn::Incoming, guard: Handshaking, met: F)
where
    F: Fn(&Arc<Session>),
{
    let engine = &endpoints.engine;
    let from = incoming.remote_address();
    let Some(servers) = &endpoints.servers else { return incoming.refuse() };
    let connecting = match incoming.accept_with(Arc::clone(servers.of(from))) {
        Ok(connecting) => connecting,
        Err(error) => return engine.refuse(Refusal::HandshakeFailed, &from, &error),
    };
    let limit = engine.config.handshake_timeout;
    let connection = match tokio::time::timeout(limit, connecting).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) => return engine.refuse(Refusal::HandshakeFailed, &from, &error),
        Err(_late) => return engine.refuse(Refusal::HandshakeTimeout, &from, &format_args!("{limit:?}")),
    };
    match endpoints.profile.admit(protocol(&connection).as_deref(), certificates(&connection).as_deref()) {
        Ok(Admitted::Joiner) => {
            drop(guard);
            serve_join(&endpoints, connection).await;
        }
        Ok(Admitted::Member(facts)) => {
            if let Some(session) = welcome(&endpoints, connection, *facts, false).await {
                met(&session);
            }
        }
        Err(refused) => {
            engine.refuse(Refusal::NoIdentity, &from, &refused);
            connection.close(VarInt::from_u32(close_code::NO_IDENTITY), b"no identity");
        }
    }
}

/// Greets a member and makes the session.
pub(super) async fn welcome(
    endpoints: &Endpoints,
    connection: quinn::Connection,
    facts: PeerCertificate,
    dialed: bool,
) -> Option<Arc<Session>> {
    let engine = &endpoints.engine;
    let peer = PeerIdentity::from(&facts.identity);
    if is_cut(endpoints, &peer) {
        engine.refuse(Refusal::Partitioned, &peer, &connection.remote_address());
        connection.close(VarInt::from_u32(close_code::PARTITIONED), b"partitioned");
        return None;
    }
    let frame_limit = engine.config.session.frame_limit(Class::Control);
    let greeting = greet(&connection, engine.instance, frame_limit);
    let greeted = match tokio::time::timeout(engine.config.handshake_timeout, greeting).await {
        Ok(Ok(greeted)) => greeted,
        Ok(Err(error)) => {
            engine.refuse(Refusal::BadHello, &peer, &error);
            connection.close(VarInt::from_u32(close_code::BROKE_PROTOCOL), b"no valid hello");
            return None;
        }
        Err(_late) => {
            engine.refuse(Refusal::BadHello, &peer, &"none in time");
            connection.close(VarInt::from_u32(close_code::BROKE_PROTOCOL), b"no hello in time");
            return None;
        }
    };
    let session = Session::start(engine, connection, peer, facts, dialed, greeted);
    match engine.sessions.add(&session, engine.config.guest_sessions_limit) {
        Added::Listed => {}
        Added::TooMany => {
            engine.refuse(Refusal::SessionsFull, &*session.peer, &"closed the newest");
            session.close(close_code::TOO_MANY, "too many sessions of this identity");
            return None;
        }
        Added::Ended => return None,
    }
    session.recheck(&endpoints.profile);
    tracing::info!(peer = %session.peer, session = session.id, dialed, "session established");
    Some(session)
}

/// Whether an armed fault cuts the link to this peer.
pub(super) fn is_cut(endpoints: &Endpoints, peer: &PeerIdentity) -> bool {
    let engine = &endpoints.engine;
    let fault = engine.faults.bus(&peer.name, "connect", Direction::Both, engine.now());
    matches!(fault, Some(BusFault::Partition | BusFault::Drop))
}

pub(super) fn protocol(connection: &quinn::Connection) -> Option<Vec<u8>> {
    connection.handshake_data()?.downcast::<HandshakeData>().ok()?.protocol
}

pub(super) fn certificates(
    connection: &quinn::Connection,
) -> Option<Vec<rustls::pki_types::CertificateDer<'static>>> {
    connection.peer_identity()?.downcast().ok().map(|chain| *chain)
}
