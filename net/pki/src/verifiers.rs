//! The three verifiers that rustls calls during a handshake. They only choose the arguments of `chain_check`.

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, SignatureVerificationAlgorithm, UnixTime};

use crate::ca_certificate::{CaCertificate, CaPin};
use crate::chain_check::{Purpose, check_peer};
use crate::live_trust::LiveTrust;
use crate::peer_refused::{ExpectedPeer, PeerRefused};
use crate::provider::crypto_provider;
use crate::wall_time::WallTime;

/// Most certificates a server's chain is searched for the pinned authority.
const CHAIN_LIMIT: usize = 4;

/// The signature methods are the same in both of rustls's traits: what the crypto library verifies.
macro_rules! handshake_signatures {
    () => {
        fn verify_tls12_signature(
            &self,
            message: &[u8],
            cert: &CertificateDer<'_>,
            dss: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            verify_tls12_signature(message, cert, dss, &crypto_provider().signature_verification_algorithms)
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            cert: &CertificateDer<'_>,
            dss: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            verify_tls13_signature(message, cert, dss, &crypto_provider().signature_verification_algorithms)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            crypto_provider().signature_verification_algorithms.supported_schemes()
        }
    };
}

/// The bus client's view of a server.
#[derive(Debug)]
pub(crate) struct ExpectServer {
    pub(crate) ca: CaCertificate,
    pub(crate) trust: LiveTrust,
    pub(crate) expected: ExpectedPeer,
}

impl ServerCertVerifier for ExpectServer {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let now = WallTime::from_tls(now);
        let facts = check_peer(end_entity, &self.ca, Some(&self.trust), Purpose::Server, algorithms(), now)
            .map_err(PeerRefused::into_tls)?;
        if !self.expected.admits(&facts.identity) {
            let expected = self.expected.clone();
            return Err(PeerRefused::WrongIdentity { expected, found: facts.identity }.into_tls());
        }
        Ok(ServerCertVerified::assertion())
    }

    handshake_signatures!();
}

/// A joiner's view of a server: it knows nothing but the pin.
#[derive(Debug)]
pub(crate) struct PinnedServer {
    pub(crate) pin: CaPin,
}

impl ServerCertVerifier for PinnedServer {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let now = WallTime::from_tls(now);
        let ca = pinned_authority(intermediates, &self.pin).map_err(PeerRefused::into_tls)?;
        let facts = check_peer(end_entity, &ca, None, Purpose::Server, algorithms(), now)
            .map_err(PeerRefused::into_tls)?;
        let expected = ExpectedPeer::AnyServer;
        match expected.admits(&facts.identity) {
            true => Ok(ServerCertVerified::assertion()),
            false => Err(PeerRefused::WrongIdentity { expected, found: facts.identity }.into_tls()),
        }
    }

    handshake_signatures!();
}

/// The authority with the pinned key among the certificates a server showed. After a join handshake the joiner takes
/// it from the connection's chain.
pub fn pinned_authority(chain: &[CertificateDer<'_>], pin: &CaPin) -> Result<CaCertificate, PeerRefused> {
    chain
        .iter()
        .take(CHAIN_LIMIT)
        .filter_map(|certificate| CaCertificate::parse(certificate).ok())
        .find(|ca| ca.matches(pin))
        .ok_or(PeerRefused::PinMismatch { expected: *pin })
}

/// The bus server's view of a client: a certificate may be absent (joiners have none), a shown one must be good.
#[derive(Debug)]
pub(crate) struct OptionalClient {
    pub(crate) ca: CaCertificate,
    pub(crate) trust: LiveTrust,
}

impl ClientCertVerifier for OptionalClient {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let now = WallTime::from_tls(now);
        check_peer(end_entity, &self.ca, Some(&self.trust), Purpose::Client, algorithms(), now)
            .map(|_| ClientCertVerified::assertion())
            .map_err(PeerRefused::into_tls)
    }

    handshake_signatures!();
}

pub(crate) fn algorithms() -> &'static [&'static dyn SignatureVerificationAlgorithm] {
    crypto_provider().signature_verification_algorithms.all
}
