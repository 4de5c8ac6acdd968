//! Dialling members.

use super::Endpoints;
use super::accept::{certificates, is_cut, protocol, welcome};
use super::error::DialError;
use crate::identity::PeerIdentity;
use crate::session::Session;
use quinn::crypto::rustls::QuicClientConfig;
use std::net::SocketAddr;
use std::sync::Arc;
use trireme_pki::{Admission, ExpectedPeer, IdentityName, TLS_SERVER_NAME};

impl Endpoints {
    /// Connects to a member whose certificate must be of this peer.
    pub(crate) async fn dial_peer(
        self: &Arc<Self>,
        to: SocketAddr,
        peer: &PeerIdentity,
    ) -> Result<Arc<Session>, DialError> {
        if is_cut(self, peer) {
            return Err(DialError::Partitioned { to });
        }
        let name = IdentityName::new(peer.kind, &peer.name)?;
        self.dial_expecting(to, ExpectedPeer::Exactly(name)).await
    }

    /// Connects to a member and makes a session.
    pub(crate) async fn dial_expecting(
        self: &Arc<Self>,
        to: SocketAddr,
        expected: ExpectedPeer,
    ) -> Result<Arc<Session>, DialError> {
        let crypto = QuicClientConfig::try_from(self.profile.bus_client(expected)?)?;
        let mut config = quinn::ClientConfig::new(Arc::new(crypto));
        config.transport_config(self.transports.of(to));
        let waited = self.engine.config.handshake_timeout;
        let connecting = self
            .dial
            .connect_with(config, to, TLS_SERVER_NAME)
            .map_err(|source| DialError::Connect { to, source })?;
        let connection = tokio::time::timeout(waited, connecting)
            .await
            .map_err(|_| DialError::Timeout { to, waited })?
            .map_err(|source| DialError::Handshake { to, source })?;
        let admitted = self
            .profile
            .admit(protocol(&connection).as_deref(), certificates(&connection).as_deref())
            .map_err(|source| DialError::Refused { to, source })?;
        let Admission::Member(facts) = admitted else {
            return Err(DialError::Greeting { to, reason: "the peer speaks another protocol".to_owned() });
        };
        let mut closed_by = None;
        let watched = connection.clone();
        // From here on the peer may take the session in and send over it: a dial that is given up now must not cut
        // it off. The link gets to know the session by the table and decides which one stays.
        let endpoints = Arc::clone(self);
        let greeting =
            self.engine.io.spawn(async move { welcome(&endpoints, connection, *facts, true).await });
        let session = greeting.await.ok().flatten();
        if session.is_none() {
            closed_by = watched.close_reason();
        }
        session.ok_or_else(|| DialError::Greeting {
            to,
            reason: closed_by
                .map_or_else(|| "refused here, see the log".to_owned(), |reason| reason.to_string()),
        })
    }
}
