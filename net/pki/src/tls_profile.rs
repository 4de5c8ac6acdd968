//! rustls configurations, all TLS 1.3.
//!
//! **No resumption.** A resumed TLS 1.3 session skips both certificates, so a party withdrawn after its first
//! handshake could come back with a ticket. Servers issue no tickets and store no sessions, clients keep none;
//! each handshake is a full one (2.4 ms for both ends together in an unoptimised build, `handshake_cost` in the
//! tests). **No 0-RTT**: its data can be replayed.
//!
//! **One port for members and joiners.** TLS decides on the client's certificate before anybody looks at ALPN, so
//! the server asks for a certificate without insisting. Whoever shows one must pass every check within the
//! handshake; whether one is *needed* follows from ALPN and is decided by [`TlsProfile::admit`], which the bus
//! must call on every connection before it reads a byte.

use std::fmt;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::server::NoServerSessionStorage;
use rustls::time_provider::{DefaultTimeProvider, TimeProvider};
use rustls::version::TLS13;
use rustls::{ClientConfig, ServerConfig};
use rustls_pki_types::CertificateDer;
use thiserror::Error;

use crate::ca_certificate::{CaCertificate, CaPin};
use crate::credentials::Credentials;
use crate::identity::Identity;
use crate::live_trust::LiveTrust;
use crate::peer_certificate::PeerCertificate;
use crate::peer_refused::{ExpectedPeer, PeerRefused};
use crate::provider::crypto_provider;
use crate::verifiers::{ExpectServer, OptionalClient, PinnedServer};

/// ALPN of the bus between members: both ends show certificates.
pub const ALPN_BUS: &[u8] = b"trireme/1";
/// ALPN of joining: the client has a token instead of a certificate.
pub const ALPN_JOIN: &[u8] = b"trireme-join/1";
/// What to give a TLS client as server name. It is not sent and not checked: identity comes from the URI.
pub const TLS_SERVER_NAME: &str = "bus.trireme";

/// A configuration that rustls will not build. A fault of the build (missing cipher suites), not of input.
#[derive(Debug, Error)]
#[error("TLS configuration: {0}")]
pub struct TlsConfigError(#[from] rustls::Error);

/// Who came in, after [`TlsProfile::admit`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    /// A member with a checked certificate.
    Member(Box<PeerCertificate>),
    /// A joiner: may ask for a certificate with a token and nothing else.
    Joiner,
}

/// Everything TLS needs to know about this party. Cheap to clone.
#[derive(Clone)]
pub struct TlsProfile {
    ca: CaCertificate,
    credentials: Arc<Credentials>,
    trust: LiveTrust,
    clock: Arc<dyn TimeProvider>,
}

impl TlsProfile {
    /// Trusts the authority of `credentials` and reads the machine's clock.
    pub fn new(credentials: Arc<Credentials>, trust: LiveTrust) -> Self {
        Self::with_clock(credentials, trust, Arc::new(DefaultTimeProvider))
    }

    /// As [`TlsProfile::new`] with another clock, for tests and simulation.
    pub fn with_clock(credentials: Arc<Credentials>, trust: LiveTrust, clock: Arc<dyn TimeProvider>) -> Self {
        Self { ca: credentials.ca(), credentials, trust, clock }
    }

    /// This party.
    pub fn identity(&self) -> Identity {
        self.credentials.identity()
    }

    /// The trusted authority.
    pub fn ca(&self) -> &CaCertificate {
        &self.ca
    }

    /// The hot-swappable credentials.
    pub fn credentials(&self) -> &Arc<Credentials> {
        &self.credentials
    }

    /// The live ledger.
    pub fn trust(&self) -> &LiveTrust {
        &self.trust
    }

    /// Accepts members and joiners; call [`TlsProfile::admit`] after the handshake. One configuration serves for the
    /// life of the process: rotation and revocation take effect inside it.
    pub fn bus_server(&self) -> Result<Arc<ServerConfig>, TlsConfigError> {
        let verifier = OptionalClient { ca: self.ca.clone(), trust: self.trust.clone() };
        let mut config = ServerConfig::builder_with_details(crypto_provider().clone(), self.clock.clone())
            .with_protocol_versions(&[&TLS13])?
            .with_client_cert_verifier(Arc::new(verifier))
            .with_cert_resolver(self.credentials.clone());
        config.alpn_protocols = vec![ALPN_BUS.to_vec(), ALPN_JOIN.to_vec()];
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        config.max_early_data_size = 0;
        Ok(Arc::new(config))
    }

    /// Dials a member and shows this party's certificate.
    pub fn bus_client(&self, expected: ExpectedPeer) -> Result<Arc<ClientConfig>, TlsConfigError> {
        let verifier = ExpectServer { ca: self.ca.clone(), trust: self.trust.clone(), expected };
        let mut config = ClientConfig::builder_with_details(crypto_provider().clone(), self.clock.clone())
            .with_protocol_versions(&[&TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_client_cert_resolver(self.credentials.clone());
        config.alpn_protocols = vec![ALPN_BUS.to_vec()];
        without_memory(&mut config);
        Ok(Arc::new(config))
    }

    /// Who came in over a finished handshake: `alpn` as negotiated, `certificates` as the transport reports them
    /// (`None` or empty when the client showed none). Runs every check again that can have changed since.
    pub fn admit(
        &self,
        alpn: Option<&[u8]>,
        certificates: Option<&[CertificateDer<'_>]>,
    ) -> Result<Admission, PeerRefused> {
        match alpn {
            Some(ALPN_JOIN) => Ok(Admission::Joiner),
            Some(ALPN_BUS) => {
                let facts = peer_certificate(certificates)?;
                self.trust.recheck(&facts)?;
                Ok(Admission::Member(Box::new(facts)))
            }
            other => {
                let text = String::from_utf8_lossy(other.unwrap_or_default());
                Err(PeerRefused::UnknownProtocol { found: text.chars().take(32).collect() })
            }
        }
    }
}

impl fmt::Debug for TlsProfile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsProfile")
            .field("credentials", &self.credentials)
            .field("ca", &self.ca.pin())
            .finish_non_exhaustive()
    }
}

/// Dials a cluster of which only the pin is known. Shows no certificate.
pub fn join_client(pin: CaPin) -> Result<Arc<ClientConfig>, TlsConfigError> {
    join_client_with_clock(pin, Arc::new(DefaultTimeProvider))
}

/// As [`join_client`] with another clock, for tests and simulation.
pub fn join_client_with_clock(
    pin: CaPin,
    clock: Arc<dyn TimeProvider>,
) -> Result<Arc<ClientConfig>, TlsConfigError> {
    let mut config = ClientConfig::builder_with_details(crypto_provider().clone(), clock)
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(PinnedServer { pin }))
        .with_no_client_auth();
    config.alpn_protocols = vec![ALPN_JOIN.to_vec()];
    without_memory(&mut config);
    Ok(Arc::new(config))
}

/// What a connection's end-entity certificate says. Only for chains that a handshake of this crate's
/// configurations has verified.
pub fn peer_certificate(certificates: Option<&[CertificateDer<'_>]>) -> Result<PeerCertificate, PeerRefused> {
    let end_entity = certificates.and_then(<[_]>::first).ok_or(PeerRefused::NoCertificate)?;
    Ok(PeerCertificate::parse(end_entity)?)
}

/// Whom a connection's end-entity certificate names; as [`peer_certificate`].
pub fn peer_identity(certificates: Option<&[CertificateDer<'_>]>) -> Result<Identity, PeerRefused> {
    peer_certificate(certificates).map(|facts| facts.identity)
}

fn without_memory(config: &mut ClientConfig) {
    config.resumption = Resumption::disabled();
    config.enable_early_data = false;
    config.enable_sni = false;
}

#[cfg(test)]
#[path = "tls_profile_test.rs"]
mod tests;
