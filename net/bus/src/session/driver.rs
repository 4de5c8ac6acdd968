//! Accepts what the peer opens: class streams, calls with streams of their own, datagrams.

use super::greet::read_hello;
use super::{Session, close_code, own_stream, receive};
use crate::class::{CLASSES, class_from_code, class_index};
use crate::config::CLASS_STREAMS_LIMIT;
use parking_lot::Mutex;
use std::sync::Arc;
use trireme_faults::Direction;

/// Runs until the connection ends.
pub(super) async fn drive(session: Arc<Session>) {
    let mut opened = CLASS_STREAMS_LIMIT - 1;
    let known = Arc::new(Mutex::new([false; CLASSES]));
    let error = loop {
        tokio::select! {
            stream = session.connection.accept_uni() => match stream {
                Ok(stream) if opened > 0 => {
                    opened -= 1;
                    session.engine.io.spawn(start_reader(Arc::clone(&session), Arc::clone(&known), stream));
                }
                Ok(_) => session.broke(&"more class streams than classes"),
                Err(error) => break error,
            },
            stream = session.connection.accept_bi() => match stream {
                Ok((send, recv)) => {
                    session.engine.io.spawn(own_stream::serve(Arc::clone(&session), send, recv));
                }
                Err(error) => break error,
            },
            datagram = session.connection.read_datagram() => match datagram {
                Ok(_) => session.heartbeat_came(),
                Err(error) => break error,
            },
        }
    };
    tracing::debug!(peer = %session.peer, session = session.id, %error, "connection ended");
    session.close(close_code::DONE, "the connection was lost");
}

async fn start_reader(session: Arc<Session>, known: Arc<Mutex<[bool; CLASSES]>>, stream: quinn::RecvStream) {
    let limits = &session.engine.config.session;
    // Until the class is known only a hello is acceptable, which is small; the reader gets its class's limit.
    let limit = limits.frame_limit(trireme_kernel::Class::Bulk);
    let greeted =
        tokio::time::timeout(session.engine.config.handshake_timeout, read_hello(stream, limit)).await;
    match greeted {
        Ok(Ok((hello, stream, mut decoder))) => match class_from_code(hello.class) {
            Some(class) if !std::mem::replace(&mut known.lock()[class_index(class)], true) => {
                decoder.set_limit(limits.frame_limit(class));
                receive::read(session, class, stream, decoder).await;
            }
            _ => session.broke(&format_args!("a second stream or an unknown class, code {}", hello.class)),
        },
        Ok(Err(error)) if session.connection.close_reason().is_none() => session.broke(&error),
        Ok(Err(_)) => {}
        Err(_late) => session.broke(&"no hello on a new stream in time"),
    }
}

impl Session {
    fn heartbeat_came(&self) {
        let now = self.engine.now();
        if self.engine.faults.bus(&self.peer.name, HEARTBEAT_CLASS, Direction::In, now).is_none() {
            self.heard(now);
        }
    }
}

/// The class name under which faults see heartbeats.
pub(super) const HEARTBEAT_CLASS: &str = "heartbeat";
