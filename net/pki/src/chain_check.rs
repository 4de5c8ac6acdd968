//! The one place where a shown certificate is judged.
//!
//! Order: readable, chain to the authority with time and purpose, the authority's own time, cluster, revocation.
//! A peer's intermediates are never used: every certificate is signed by the authority itself.

use rustls_pki_types::{CertificateDer, SignatureVerificationAlgorithm};
use webpki::{EndEntityCert, KeyUsage};

use crate::ca_certificate::CaCertificate;
use crate::live_trust::LiveTrust;
use crate::peer_certificate::{CertificateUnreadable, PeerCertificate};
use crate::peer_refused::PeerRefused;
use crate::wall_time::WallTime;

/// Which end of the connection the certificate is shown for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    Server,
    Client,
}

impl Purpose {
    /// Content of the OBJECT IDENTIFIER (RFC 5280, section 4.2.1.12). Unlike webpki's defaults, a certificate
    /// without the extension is refused.
    fn key_usage(self) -> KeyUsage {
        match self {
            Self::Server => KeyUsage::required(&[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01]),
            Self::Client => KeyUsage::required(&[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x02]),
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Client => "client",
        }
    }
}

/// All checks on an end-entity certificate but "is it the one I wanted".
pub(crate) fn check_peer(
    end_entity: &CertificateDer<'_>,
    ca: &CaCertificate,
    trust: Option<&LiveTrust>,
    purpose: Purpose,
    signature_algorithms: &[&'static dyn SignatureVerificationAlgorithm],
    now: WallTime,
) -> Result<PeerCertificate, PeerRefused> {
    let facts = PeerCertificate::parse(end_entity)?;
    let certificate = EndEntityCert::try_from(end_entity)
        .map_err(|error| CertificateUnreadable::new(format!("not usable for TLS ({error})")))?;
    certificate
        .verify_for_usage(
            signature_algorithms,
            std::slice::from_ref(ca.anchor()),
            &[],
            now.to_tls(),
            purpose.key_usage(),
            None,
            None,
        )
        .map_err(|error| refusal(&error, &facts, ca, purpose, now))?;
    if now < ca.not_before() || now > ca.not_after() {
        return Err(PeerRefused::AuthorityOutOfTime { cluster: ca.cluster().clone(), now });
    }
    if facts.identity.cluster() != ca.cluster() {
        return Err(PeerRefused::WrongCluster { identity: facts.identity, expected: ca.cluster().clone() });
    }
    if let Some(trust) = trust {
        trust.recheck(&facts)?;
    }
    Ok(facts)
}

fn refusal(
    error: &webpki::Error,
    facts: &PeerCertificate,
    ca: &CaCertificate,
    purpose: Purpose,
    now: WallTime,
) -> PeerRefused {
    let identity = facts.identity.clone();
    match error {
        webpki::Error::CertExpired { .. } => {
            PeerRefused::Expired { identity, not_after: facts.not_after, now }
        }
        webpki::Error::CertNotValidYet { .. } => {
            PeerRefused::NotYetValid { identity, not_before: facts.not_before, now }
        }
        webpki::Error::RequiredEkuNotFoundContext(_) | webpki::Error::EmptyEkuExtension => {
            PeerRefused::WrongPurpose { identity, needed: purpose.as_str() }
        }
        webpki::Error::UnknownIssuer | webpki::Error::InvalidSignatureForPublicKey => {
            PeerRefused::WrongAuthority {
                claims: Box::new(identity),
                cluster: ca.cluster().clone(),
                detail: error.to_string(),
            }
        }
        other => PeerRefused::Malformed(CertificateUnreadable::new(format!(
            "certificate claiming {identity} does not verify ({other})"
        ))),
    }
}
