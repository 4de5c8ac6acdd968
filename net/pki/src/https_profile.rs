//! TLS for the HTTPS front: TLS 1.2 and 1.3, HTTP/2 and HTTP/1.1, optional client certificates, no resumption.
//!
//! **A bad client certificate does not end the handshake.** The stock API server answers such a client with 401 and
//! lets a bearer token in the same request count, so TLS only demands that the client holds the key of the certificate
//! it shows. Whether that certificate means anything is asked afterwards, with [`ClientAuthorities::judge`], and again
//! for each request of a standing connection with [`ClientAuthorities::recheck`], because certificates end and are
//! withdrawn while connections live. A connection whose certificate was not judged has no identity.
//!
//! The server's certificate is asked for at every handshake, so a renewed one counts from the next connection on.

use std::fmt;
use std::sync::Arc;

use parking_lot::RwLock;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, DigitallySignedStruct, DistinguishedName, RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, TrustAnchor, UnixTime};
use sha2::{Digest, Sha256};
use thiserror::Error;
use webpki::{EndEntityCert, KeyUsage};
use x509_parser::extensions::GeneralName;

use crate::credentials::Credentials;
use crate::live_trust::LiveTrust;
use crate::peer_certificate::{CERTIFICATE_LIMIT_BYTES, CertificateUnreadable, PeerCertificate, parse_x509};
use crate::provider::crypto_provider;
use crate::tls_profile::TlsConfigError;
use crate::verifiers::algorithms;
use crate::wall_time::WallTime;

/// ALPN of HTTP/2.
pub const ALPN_H2: &[u8] = b"h2";
/// ALPN of HTTP/1.1.
pub const ALPN_HTTP11: &[u8] = b"http/1.1";
/// Most client authorities. Each is tried for each judged certificate.
pub const CLIENT_AUTHORITIES_LIMIT: usize = 64;
/// Most certificates of a client's chain that are looked at, its own included.
pub const CLIENT_CHAIN_LIMIT: usize = 8;
/// Most organizations (groups) and URIs that are read from one certificate.
pub const CLIENT_NAMES_LIMIT: usize = 256;

/// A certificate, key or authority that cannot serve. Not retryable with the same bytes.
#[derive(Debug, Error)]
pub enum HttpsError {
    /// The PEM text holds no usable certificate or key.
    #[error("HTTPS {what}: {reason}")]
    Unusable {
        /// Which of the inputs.
        what: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// rustls refused the combination.
    #[error(transparent)]
    Config(#[from] TlsConfigError),
}

/// The certificate that the front shows, from PEM files of the administrator. Replaceable while connections stand.
/// A server that shows its cluster certificate uses [`Credentials`] instead.
#[derive(Debug)]
pub struct ServedCertificate(RwLock<Arc<CertifiedKey>>);

impl ServedCertificate {
    /// From a PEM chain (own certificate first) and its PEM key; refuses a key of another certificate.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, HttpsError> {
        certified_key(chain, key).map(|certified| Self(RwLock::new(certified)))
    }

    /// Takes another certificate for new connections; on error the old one stays.
    pub fn replace_pem(&self, chain: &[u8], key: &[u8]) -> Result<(), HttpsError> {
        let certified = certified_key(chain, key)?;
        *self.0.write() = certified;
        Ok(())
    }
}

impl ResolvesServerCert for ServedCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.read().clone())
    }
}

fn certified_key(chain: &[u8], key: &[u8]) -> Result<Arc<CertifiedKey>, HttpsError> {
    let unusable = |what, reason: String| HttpsError::Unusable { what, reason };
    let chain = CertificateDer::pem_slice_iter(chain)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| unusable("certificate", error.to_string()))?;
    if chain.is_empty() {
        return Err(unusable("certificate", "the PEM text has no CERTIFICATE block".to_owned()));
    }
    let key =
        PrivateKeyDer::from_pem_slice(key).map_err(|error| unusable("private key", error.to_string()))?;
    CertifiedKey::from_der(chain, key, crypto_provider())
        .map(Arc::new)
        .map_err(|error| unusable("private key", error.to_string()))
}

/// Configuration of the front. `certificate` is a [`ServedCertificate`] or the server's [`Credentials`].
pub fn https_server(certificate: Arc<dyn ResolvesServerCert>) -> Result<Arc<ServerConfig>, HttpsError> {
    let mut config = ServerConfig::builder_with_provider(crypto_provider().clone())
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(TlsConfigError::from)?
        .with_client_cert_verifier(Arc::new(HoldsItsKey))
        .with_cert_resolver(certificate);
    config.alpn_protocols = vec![ALPN_H2.to_vec(), ALPN_HTTP11.to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    Ok(Arc::new(config))
}

/// Configuration for dialing an HTTPS backend whose name is checked against `roots`; shows `own` when asked to.
/// ALPN is HTTP/1.1 alone, because upgrades need it.
pub fn https_client(
    roots: &[CertificateDer<'_>],
    own: Option<Arc<Credentials>>,
) -> Result<Arc<ClientConfig>, HttpsError> {
    let mut store = RootCertStore::empty();
    for root in roots {
        store
            .add(CertificateDer::from(root.to_vec()))
            .map_err(|error| HttpsError::Unusable { what: "backend authority", reason: error.to_string() })?;
    }
    let builder = ClientConfig::builder_with_provider(crypto_provider().clone())
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(TlsConfigError::from)?
        .with_root_certificates(store);
    let mut config = match own {
        Some(own) => builder.with_client_cert_resolver(own),
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![ALPN_HTTP11.to_vec()];
    Ok(Arc::new(config))
}

/// What a judged client certificate says. Kubernetes reads the common name as user and organizations as groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// Subject's common name; the last one when there are several.
    pub common_name: String,
    /// Subject's organizations, in order.
    pub organizations: Vec<String>,
    /// URIs among the subject alternative names.
    pub uris: Vec<String>,
    /// First second of validity.
    pub not_before: WallTime,
    /// Last second of validity.
    pub not_after: WallTime,
    /// SHA-256 of the DER bytes: upstream's credential id.
    pub sha256: [u8; 32],
    /// The cluster identity it is formed for, looked up for withdrawals. Any trusted client authority can have signed it,
    /// so it proves no more than name and groups do.
    pub member: Option<PeerCertificate>,
}

impl ClientCertificate {
    fn parse(der: &CertificateDer<'_>) -> Result<Self, CertificateUnreadable> {
        let certificate = parse_x509(der)?;
        let text = |attribute: &x509_parser::x509::AttributeTypeAndValue<'_>| {
            let text = attribute.as_str().map(str::to_owned);
            text.map_err(|_| CertificateUnreadable::new("a subject attribute is not text"))
        };
        let subject = certificate.subject();
        let common_names = subject.iter_common_name().map(text).collect::<Result<Vec<_>, _>>()?;
        let organizations = subject.iter_organization().map(text).collect::<Result<Vec<_>, _>>()?;
        let names = certificate
            .subject_alternative_name()
            .map_err(|error| CertificateUnreadable::new(format!("subject alternative name ({error})")))?;
        let names = names.map(|extension| extension.value.general_names.as_slice()).unwrap_or_default();
        let uris: Vec<String> = names
            .iter()
            .filter_map(|name| match name {
                GeneralName::URI(uri) => Some((*uri).to_owned()),
                _ => None,
            })
            .collect();
        if organizations.len() > CLIENT_NAMES_LIMIT || uris.len() > CLIENT_NAMES_LIMIT {
            return Err(CertificateUnreadable::new(format!("it has more than {CLIENT_NAMES_LIMIT} names")));
        }
        Ok(Self {
            common_name: common_names.into_iter().next_back().unwrap_or_default(),
            organizations,
            uris,
            not_before: WallTime::from_timestamp(certificate.validity().not_before.timestamp()),
            not_after: WallTime::from_timestamp(certificate.validity().not_after.timestamp()),
            sha256: Sha256::digest(der.as_ref()).into(),
            member: PeerCertificate::parse(der).ok(),
        })
    }
}

/// Why a shown certificate gives no identity. The handler answers 401 unless something else authenticates.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ClientRefused {
    /// Not X.509, or beyond a limit.
    #[error("client {0}")]
    Unreadable(#[from] CertificateUnreadable),
    /// No configured authority signed it.
    #[error("client certificate of {common_name:?} is signed by an unknown authority ({detail})")]
    UnknownAuthority {
        /// What it claims, unproven.
        common_name: String,
        /// The chain checker's words.
        detail: String,
    },
    /// Outside its validity: renew it, or compare clocks.
    #[error("client certificate of {common_name:?} is valid from {not_before} to {not_after}, it is {now}")]
    OutOfTime {
        /// Whose.
        common_name: String,
        /// First second.
        not_before: WallTime,
        /// Last second.
        not_after: WallTime,
        /// This side's clock.
        now: WallTime,
    },
    /// Extended key usage does not allow TLS clients.
    #[error("client certificate of {common_name:?} may not be used by a TLS client")]
    WrongPurpose {
        /// Whose.
        common_name: String,
    },
    /// Withdrawn in the cluster's ledger.
    #[error("client certificate refused: {reason}")]
    Revoked {
        /// The ledger's words.
        reason: String,
    },
}

/// Whose signatures make a client certificate count. Hot-swappable; cheap to share as an `Arc`.
pub struct ClientAuthorities {
    anchors: RwLock<Arc<Vec<TrustAnchor<'static>>>>,
    trust: LiveTrust,
}

impl ClientAuthorities {
    /// Trusts `authorities` (DER; the cluster's own and those of a client CA file) and heeds the ledger's withdrawals.
    pub fn new(authorities: &[CertificateDer<'_>], trust: LiveTrust) -> Result<Self, HttpsError> {
        let anchors = RwLock::new(Arc::new(anchors(authorities)?));
        Ok(Self { anchors, trust })
    }

    /// Takes another set for certificates judged from now on; on error the old set stays.
    pub fn replace(&self, authorities: &[CertificateDer<'_>]) -> Result<(), HttpsError> {
        let next = Arc::new(anchors(authorities)?);
        *self.anchors.write() = next;
        Ok(())
    }

    /// Judges the chain that a client showed in a handshake of [`https_server`]'s configuration: chain, time, purpose,
    /// withdrawal. `None` when it showed none.
    pub fn judge(
        &self,
        chain: Option<&[CertificateDer<'_>]>,
        now: WallTime,
    ) -> Result<Option<ClientCertificate>, ClientRefused> {
        let Some((own, intermediates)) = chain.and_then(<[_]>::split_first) else { return Ok(None) };
        let facts = ClientCertificate::parse(own)?;
        let intermediates = intermediates.get(..intermediates.len().min(CLIENT_CHAIN_LIMIT - 1));
        let end_entity = EndEntityCert::try_from(own)
            .map_err(|error| CertificateUnreadable::new(format!("not usable for TLS ({error})")))?;
        let anchors = self.anchors.read().clone();
        end_entity
            .verify_for_usage(
                algorithms(),
                &anchors,
                intermediates.unwrap_or_default(),
                now.to_tls(),
                KeyUsage::client_auth(),
                None,
                None,
            )
            .map_err(|error| refusal(&error, &facts, now))?;
        self.recheck(&facts, now)?;
        Ok(Some(facts))
    }

    /// What can have changed since [`ClientAuthorities::judge`]: time and withdrawals. Cheap enough for each request.
    pub fn recheck(&self, certificate: &ClientCertificate, now: WallTime) -> Result<(), ClientRefused> {
        if now < certificate.not_before || now > certificate.not_after {
            return Err(out_of_time(certificate, now));
        }
        match &certificate.member {
            Some(member) => self
                .trust
                .recheck(member)
                .map_err(|refused| ClientRefused::Revoked { reason: refused.to_string() }),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for ClientAuthorities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientAuthorities").field("count", &self.anchors.read().len()).finish_non_exhaustive()
    }
}

fn anchors(authorities: &[CertificateDer<'_>]) -> Result<Vec<TrustAnchor<'static>>, HttpsError> {
    let unusable = |reason: String| HttpsError::Unusable { what: "client authority", reason };
    if authorities.len() > CLIENT_AUTHORITIES_LIMIT {
        return Err(unusable(format!("{} of them, at most {CLIENT_AUTHORITIES_LIMIT}", authorities.len())));
    }
    let anchor = |der: &CertificateDer<'_>| {
        let anchor = webpki::anchor_from_trusted_cert(der).map_err(|error| unusable(error.to_string()))?;
        Ok(anchor.to_owned())
    };
    authorities.iter().map(anchor).collect()
}

fn refusal(error: &webpki::Error, facts: &ClientCertificate, now: WallTime) -> ClientRefused {
    let common_name = facts.common_name.clone();
    match error {
        webpki::Error::CertExpired { .. } | webpki::Error::CertNotValidYet { .. } => out_of_time(facts, now),
        webpki::Error::RequiredEkuNotFoundContext(_) | webpki::Error::EmptyEkuExtension => {
            ClientRefused::WrongPurpose { common_name }
        }
        other => ClientRefused::UnknownAuthority { common_name, detail: other.to_string() },
    }
}

fn out_of_time(facts: &ClientCertificate, now: WallTime) -> ClientRefused {
    ClientRefused::OutOfTime {
        common_name: facts.common_name.clone(),
        not_before: facts.not_before,
        not_after: facts.not_after,
        now,
    }
}

/// The handshake's part: the client proves that it holds the key of what it shows, and nothing more.
#[derive(Debug)]
struct HoldsItsKey;

impl ClientCertVerifier for HoldsItsKey {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let bytes = intermediates.iter().fold(end_entity.len(), |sum, der| sum.saturating_add(der.len()));
        match bytes <= CERTIFICATE_LIMIT_BYTES * CLIENT_CHAIN_LIMIT {
            true => Ok(ClientCertVerified::assertion()),
            false => {
                Err(rustls::Error::General(format!("client certificates of {bytes} bytes are too long")))
            }
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &crypto_provider().signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &crypto_provider().signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        crypto_provider().signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::identity::{GROUP_MASTERS, Identity};
    use crate::test_kit::{DAY, NOW, authority, cluster, issue};

    #[test]
    fn a_certificate_of_a_trusted_authority_names_user_and_groups() {
        let ca = authority();
        let ann = Identity::user(&cluster(), "ann", &[GROUP_MASTERS, "dev"]).unwrap();
        let (_, issued) = issue(&ca, &ann, NOW);
        let authorities =
            ClientAuthorities::new(&[ca.certificate().der().clone()], LiveTrust::default()).unwrap();
        let facts = authorities.judge(Some(&issued.chain), NOW).unwrap().unwrap();
        assert_eq!(facts.common_name, "ann");
        assert_eq!(facts.organizations, ["dev", GROUP_MASTERS]);
        assert_eq!(facts.member.as_ref().map(|member| &member.identity), Some(&ann));
        assert_eq!(authorities.judge(None, NOW), Ok(None));
        assert_eq!(authorities.judge(Some(&[]), NOW), Ok(None));
        // The standing connection outlives its certificate.
        let later = NOW.plus(DAY + Duration::from_secs(1));
        assert!(matches!(authorities.recheck(&facts, later), Err(ClientRefused::OutOfTime { .. })));
        assert!(matches!(
            authorities.judge(Some(&issued.chain), later),
            Err(ClientRefused::OutOfTime { .. })
        ));
    }

    #[test]
    fn strangers_and_withdrawn_certificates_have_no_identity() {
        let (ca, other) = (authority(), authority());
        let ann = Identity::user(&cluster(), "ann", &["dev"]).unwrap();
        let (_, issued) = issue(&other, &ann, NOW);
        let trust = LiveTrust::default();
        let authorities = ClientAuthorities::new(&[ca.certificate().der().clone()], trust.clone()).unwrap();
        let refused = authorities.judge(Some(&issued.chain), NOW).unwrap_err();
        assert!(matches!(refused, ClientRefused::UnknownAuthority { .. }), "{refused}");
        authorities.replace(&[other.certificate().der().clone()]).unwrap();
        let facts = authorities.judge(Some(&issued.chain), NOW).unwrap().unwrap();
        let serial = facts.member.as_ref().unwrap().serial.clone();
        trust.update(|ledger| ledger.revoke_serial(&serial, NOW)).unwrap();
        assert!(matches!(authorities.recheck(&facts, NOW), Err(ClientRefused::Revoked { .. })));
        assert!(matches!(
            authorities.judge(Some(&[CertificateDer::from(vec![1, 2, 3])]), NOW),
            Err(ClientRefused::Unreadable(_))
        ));
    }

    #[test]
    fn pem_that_cannot_serve_is_refused_by_name() {
        let error = ServedCertificate::from_pem(b"", b"").unwrap_err();
        assert!(error.to_string().contains("no CERTIFICATE block"), "{error}");
        let ca = authority();
        let s1 = Identity::server(&cluster(), "s1").unwrap();
        let pem_of = |_: usize| {
            let (key, issued) = issue(&ca, &s1, NOW);
            let (key, chain) = Credentials::new(&key, &issued.chain).unwrap().to_pem();
            (key, chain)
        };
        let ((key, chain), (other_key, other_chain)) = (pem_of(0), pem_of(1));
        assert!(ServedCertificate::from_pem(chain.as_bytes(), other_key.as_bytes()).is_err());
        let served = ServedCertificate::from_pem(chain.as_bytes(), key.as_bytes()).unwrap();
        let before = served.0.read().cert.clone();
        served.replace_pem(other_chain.as_bytes(), key.as_bytes()).unwrap_err();
        assert_eq!(served.0.read().cert, before);
        served.replace_pem(other_chain.as_bytes(), other_key.as_bytes()).unwrap();
        assert_ne!(served.0.read().cert, before);
        https_server(Arc::new(served)).unwrap();
    }
}
