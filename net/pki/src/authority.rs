//! The cluster's certificate authority.
//!
//! Every server holds it, so that any of them can admit a machine. Signing is a function of its arguments apart
//! from the serial number, which is random. Time comes in as an argument.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SanType, SerialNumber, SigningKey,
};
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::alt_name::{ALT_NAMES_LIMIT, AltName};
use crate::ca_certificate::{CaCertificate, CaPin};
use crate::certificate_request::{any_key, requested_key};
use crate::client_request::{ClientOrder, RequestedCertificate, pem_of};
use crate::cluster_id::ClusterId;
use crate::identity::Identity;
use crate::identity_name::IdentityKind;
use crate::peer_certificate::{CertificateUnreadable, PeerCertificate};
use crate::private_files::{FileError, KeyAndChain, create_private_dir, damaged, write_public};
use crate::sealed::{SealError, SealOpener, SealTo};
use crate::subject_der::replace_subject;
use crate::wall_time::WallTime;

/// Life of an authority: ten years.
pub const AUTHORITY_LIFETIME: Duration = Duration::from_secs(10 * 365 * 86_400);
/// Longest life of any other certificate. It also bounds how long a revocation must be remembered.
pub const CERTIFICATE_LIFETIME_LIMIT: Duration = Duration::from_secs(366 * 86_400);
/// Shortest life that is signed; less would expire before the answer is used.
pub const CERTIFICATE_LIFETIME_MINIMUM: Duration = Duration::from_secs(10);
/// Certificates begin this much before `now`, so that a peer whose clock is behind accepts them.
pub const BACKDATE: Duration = Duration::from_secs(300);

/// Private file with the authority's key and certificate.
const AUTHORITY_FILE: &str = "authority.pem";
/// Public copy of the certificate for clients.
const CA_FILE: &str = "ca.crt";
const SEAL_PURPOSE: &str = "trireme authority export v1";

/// Why the authority could not be made, loaded or moved.
#[derive(Debug, Error)]
pub enum AuthorityError {
    /// The crypto library or encoder refused.
    #[error("authority: {0}")]
    Crypto(String),
    /// The file is absent, unreadable, too open or damaged.
    #[error("authority: {0}")]
    File(#[from] FileError),
    /// Sealed bytes could not be made or opened.
    #[error("authority export: {0}")]
    Seal(#[from] SealError),
    /// Opened, but not a key with its own CA certificate.
    #[error("authority export: {0}")]
    Content(String),
    /// An authority exists already; overwriting it would orphan every certificate.
    #[error("authority: {0} exists already; load it instead of creating another")]
    Exists(std::path::PathBuf),
}

/// Why a certificate was not signed. None is retryable with the same order.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SignError {
    /// Not a PKCS #10 request in DER.
    #[error("certificate request cannot be read: {what}")]
    MalformedRequest {
        /// What is wrong.
        what: String,
    },
    /// The requester does not hold the key it asks for.
    #[error("certificate request is not signed by the key it carries")]
    BadSelfSignature,
    /// A key type this authority does not certify.
    #[error("certificate request has an unsupported key: {what}; use ECDSA P-256")]
    UnsupportedKey {
        /// What was found.
        what: String,
    },
    /// The identity belongs elsewhere.
    #[error("identity of cluster {found} cannot be signed by the authority of cluster {ours}")]
    OtherCluster {
        /// This authority's cluster.
        ours: ClusterId,
        /// The identity's cluster.
        found: ClusterId,
    },
    /// Outside 10 s to 366 d.
    #[error("lifetime of {asked_seconds} s is outside 10 s to 366 d")]
    BadLifetime {
        /// What was asked for.
        asked_seconds: u64,
    },
    /// Malformed or too many.
    #[error("alternative names refused: {what}")]
    BadAltNames {
        /// What is wrong.
        what: String,
    },
    /// The authority has expired or has not begun, or would not live as long as the certificate.
    #[error("authority is valid from {not_before} to {not_after}, which does not cover {now}")]
    AuthorityOutOfTime {
        /// The authority's first second.
        not_before: WallTime,
        /// The authority's last second.
        not_after: WallTime,
        /// The moment of signing.
        now: WallTime,
    },
    /// The crypto library or encoder refused.
    #[error("signing failed: {what}")]
    Crypto {
        /// What it said.
        what: String,
    },
}

/// One certificate to sign.
#[derive(Clone, Debug)]
pub struct SigningOrder<'a> {
    /// PKCS #10 request in DER. Only its key is used; subject and extensions it asks for are ignored.
    pub request_der: &'a [u8],
    /// Whom the certificate names.
    pub identity: &'a Identity,
    /// DNS and IP alternative names for ordinary TLS clients.
    pub alt_names: &'a [AltName],
    /// Life from `now` on; cut short where the authority's own life ends.
    pub lifetime: Duration,
    /// The moment of signing.
    pub now: WallTime,
    /// Earliest allowed begin: a certificate for a party that was revoked at T must not be backdated before T,
    /// or it would count as revoked itself.
    pub not_before_floor: Option<WallTime>,
}

/// A signed certificate with its facts.
#[derive(Clone, Debug)]
pub struct IssuedCertificate {
    /// End-entity certificate first, then the authority's.
    pub chain: Vec<CertificateDer<'static>>,
    /// What the end-entity certificate says.
    pub facts: PeerCertificate,
}

/// Key and certificate of the cluster's authority. The key is wiped from memory on drop.
pub struct ClusterAuthority {
    certificate: CaCertificate,
    key: KeyPair,
    key_pkcs8: Zeroizing<Vec<u8>>,
}

impl ClusterAuthority {
    /// A new authority (ECDSA P-256, ten years) for a new cluster. Nothing is written.
    pub fn create(cluster: &ClusterId, now: WallTime) -> Result<Self, AuthorityError> {
        let crypto = |error: rcgen::Error| AuthorityError::Crypto(error.to_string());
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(crypto)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = ca_subject(cluster);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.not_before = now.minus(BACKDATE).to_calendar();
        params.not_after = now.plus(AUTHORITY_LIFETIME).to_calendar();
        params.serial_number = Some(random_serial().map_err(AuthorityError::Crypto)?);
        params.subject_alt_names = vec![uri_name(&cluster.trust_domain_uri()).map_err(crypto)?];
        let certificate = params.self_signed(&key).map_err(crypto)?;
        let key_pkcs8 = Zeroizing::new(key.serialized_der().to_vec());
        Self::assemble(KeyAndChain { key_pkcs8, chain: vec![certificate.into()] })
            .map_err(AuthorityError::Content)
    }

    /// Reads the authority that [`ClusterAuthority::save`] wrote into `dir`.
    pub fn load(dir: &Path) -> Result<Self, AuthorityError> {
        let path = dir.join(AUTHORITY_FILE);
        let content = KeyAndChain::load(&path)?;
        Self::assemble(content).map_err(|what| AuthorityError::File(damaged(&path, what)))
    }

    /// Writes `authority.pem` (mode 0600, key and certificate in one file, atomically and fsynced) and `ca.crt`
    /// into `dir`, which is created (mode 0700). Refuses to replace a different authority.
    pub fn save(&self, dir: &Path) -> Result<(), AuthorityError> {
        create_private_dir(dir)?;
        let path = dir.join(AUTHORITY_FILE);
        match Self::load(dir) {
            Ok(there) if there.pin() != self.pin() => return Err(AuthorityError::Exists(path)),
            Ok(_) => {}
            Err(AuthorityError::File(error)) if error.is_absent() => {}
            Err(error) => return Err(error),
        }
        self.content().save(&path)?;
        write_public(&dir.join(CA_FILE), self.certificate.to_pem().as_bytes())?;
        Ok(())
    }

    /// Key and certificate, sealed to one joining server.
    pub fn export_sealed(&self, to: &SealTo) -> Result<Vec<u8>, AuthorityError> {
        Ok(to.seal(SEAL_PURPOSE, &self.content().to_pem())?)
    }

    /// Opens what [`ClusterAuthority::export_sealed`] made; the authority must be the pinned one.
    pub fn import_sealed(sealed: &[u8], opener: &SealOpener, pin: &CaPin) -> Result<Self, AuthorityError> {
        let content = opener.open(SEAL_PURPOSE, sealed)?;
        let content = KeyAndChain::from_pem(&content).map_err(AuthorityError::Content)?;
        let authority = Self::assemble(content).map_err(AuthorityError::Content)?;
        match authority.certificate.matches(pin) {
            true => Ok(authority),
            false => Err(AuthorityError::Content(format!(
                "it holds the authority {}, but {pin} is pinned",
                authority.pin()
            ))),
        }
    }

    /// SHA-256 of the authority's SubjectPublicKeyInfo.
    pub fn pin(&self) -> CaPin {
        self.certificate.pin()
    }

    /// The public half.
    pub fn certificate(&self) -> &CaCertificate {
        &self.certificate
    }

    /// The cluster it signs for.
    pub fn cluster(&self) -> &ClusterId {
        self.certificate.cluster()
    }

    /// Signs one certificate. Deciding whether it may be signed is [`crate::Issuer`]'s work.
    pub fn sign_request(&self, order: &SigningOrder<'_>) -> Result<IssuedCertificate, SignError> {
        if order.identity.cluster() != self.cluster() {
            return Err(SignError::OtherCluster {
                ours: self.cluster().clone(),
                found: order.identity.cluster().clone(),
            });
        }
        if !(CERTIFICATE_LIFETIME_MINIMUM..=CERTIFICATE_LIFETIME_LIMIT).contains(&order.lifetime) {
            return Err(SignError::BadLifetime { asked_seconds: order.lifetime.as_secs() });
        }
        check_alt_names(order.alt_names)?;
        self.sign_unchecked(order)
    }

    /// As [`ClusterAuthority::sign_request`] without the policy checks on cluster, lifetime and names.
    pub(crate) fn sign_unchecked(&self, order: &SigningOrder<'_>) -> Result<IssuedCertificate, SignError> {
        let crypto = |error: rcgen::Error| SignError::Crypto { what: error.to_string() };
        let public_key = requested_key(order.request_der)?;
        let params = self.leaf_params(order)?;
        let mut ca = CertificateParams::default();
        ca.distinguished_name = ca_subject(self.cluster());
        ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let signed = params.signed_by(&public_key, &Issuer::from_params(&ca, &self.key)).map_err(crypto)?;
        let mut der = CertificateDer::from(signed);
        if order.identity.groups().len() > 1 {
            der = self.sign_with_groups(&der, &order.identity.user_name(), order.identity.groups())?;
        }
        let facts = PeerCertificate::parse(&der).map_err(unreadable)?;
        Ok(IssuedCertificate { chain: vec![der, self.certificate.der().clone()], facts })
    }

    /// Signs what a CertificateSigningRequest asks for, as PEM: names and key of the request, and no identity of a member.
    /// Deciding whether it may be signed is the caller's work.
    ///
    /// # Errors
    /// Names, usages or a key that are not certified, or the authority's own time.
    pub fn sign_for_client(
        &self,
        asked: &RequestedCertificate,
        order: &ClientOrder<'_>,
    ) -> Result<String, SignError> {
        let crypto = |error: rcgen::Error| SignError::Crypto { what: error.to_string() };
        let lifetime = order.lifetime.min(CERTIFICATE_LIFETIME_LIMIT);
        if lifetime < CERTIFICATE_LIFETIME_MINIMUM {
            return Err(SignError::BadLifetime { asked_seconds: order.lifetime.as_secs() });
        }
        let (ca_begin, ca_end) = (self.certificate.not_before(), self.certificate.not_after());
        let not_before = order.now.minus(BACKDATE).max(ca_begin);
        let not_after = order.now.plus(lifetime).min(ca_end);
        if not_after <= not_before || order.now > ca_end {
            return Err(SignError::AuthorityOutOfTime {
                not_before: ca_begin,
                not_after: ca_end,
                now: order.now,
            });
        }
        let public_key = any_key(asked.der())?;
        let mut params = asked.params(order.usages)?;
        params.not_before = not_before.to_calendar();
        params.not_after = not_after.to_calendar();
        params.serial_number = Some(random_serial().map_err(|what| SignError::Crypto { what })?);
        let mut ca = CertificateParams::default();
        ca.distinguished_name = ca_subject(self.cluster());
        ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let signed = params.signed_by(&public_key, &Issuer::from_params(&ca, &self.key)).map_err(crypto)?;
        let mut der = CertificateDer::from(signed);
        if asked.organizations.len() > 1 {
            der = self.sign_with_groups(&der, &asked.common_name, &asked.organizations)?;
        }
        Ok(pem_of(&der))
    }

    fn sign_with_groups(
        &self,
        der: &CertificateDer<'_>,
        common_name: &str,
        organizations: &[String],
    ) -> Result<CertificateDer<'static>, SignError> {
        let unsigned = replace_subject(der, common_name, organizations).ok_or_else(|| SignError::Crypto {
            what: "its own certificate cannot be read back".to_owned(),
        })?;
        let signature = self
            .key
            .sign(unsigned.to_be_signed())
            .map_err(|error| SignError::Crypto { what: error.to_string() })?;
        Ok(CertificateDer::from(unsigned.with_signature(&signature)))
    }

    fn leaf_params(&self, order: &SigningOrder<'_>) -> Result<CertificateParams, SignError> {
        let crypto = |error: rcgen::Error| SignError::Crypto { what: error.to_string() };
        let (ca_begin, ca_end) = (self.certificate.not_before(), self.certificate.not_after());
        let not_before =
            order.now.minus(BACKDATE).max(order.not_before_floor.unwrap_or_default()).max(ca_begin);
        let not_after = order.now.plus(order.lifetime).min(ca_end);
        if not_after <= not_before || order.now > ca_end {
            return Err(SignError::AuthorityOutOfTime {
                not_before: ca_begin,
                not_after: ca_end,
                now: order.now,
            });
        }
        let mut params = CertificateParams::default();
        let mut subject = DistinguishedName::new();
        if let Some(group) = order.identity.groups().first() {
            subject.push(DnType::OrganizationName, group.clone());
        }
        subject.push(DnType::CommonName, order.identity.user_name());
        params.distinguished_name = subject;
        params.not_before = not_before.to_calendar();
        params.not_after = not_after.to_calendar();
        params.serial_number = Some(random_serial().map_err(|what| SignError::Crypto { what })?);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = purposes(order.identity.kind());
        params.use_authority_key_identifier_extension = true;
        params.is_ca = IsCa::ExplicitNoCa;
        params.subject_alt_names.push(uri_name(&order.identity.uri()).map_err(crypto)?);
        for name in order.alt_names {
            params.subject_alt_names.push(match name {
                AltName::Dns(dns) => SanType::DnsName(dns.as_str().try_into().map_err(crypto)?),
                AltName::Ip(address) => SanType::IpAddress(*address),
            });
        }
        Ok(params)
    }

    fn content(&self) -> KeyAndChain {
        KeyAndChain { key_pkcs8: self.key_pkcs8.clone(), chain: vec![self.certificate.der().clone()] }
    }

    /// `Err` says in words what does not fit.
    fn assemble(content: KeyAndChain) -> Result<Self, String> {
        let [certificate] = content.chain.as_slice() else {
            return Err(format!("{} certificates, expected one", content.chain.len()));
        };
        let certificate = CaCertificate::parse(certificate).map_err(|error| error.to_string())?;
        let pkcs8 = PrivatePkcs8KeyDer::from(content.key_pkcs8.as_slice());
        let key = KeyPair::from_pkcs8_der_and_sign_algo(&pkcs8, &PKCS_ECDSA_P256_SHA256)
            .map_err(|error| format!("the key is not an ECDSA P-256 key in PKCS #8 ({error})"))?;
        use rcgen::PublicKeyData;
        if CaPin::of_public_key(&key.subject_public_key_info()) != certificate.pin() {
            return Err("key and certificate do not belong together".to_owned());
        }
        Ok(Self { certificate, key, key_pkcs8: content.key_pkcs8 })
    }
}

impl fmt::Debug for ClusterAuthority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClusterAuthority")
            .field("cluster", self.cluster())
            .field("pin", &self.pin())
            .finish_non_exhaustive()
    }
}

impl Drop for ClusterAuthority {
    fn drop(&mut self) {
        use zeroize::Zeroize;
        self.key.zeroize();
    }
}

fn unreadable(error: CertificateUnreadable) -> SignError {
    SignError::Crypto { what: format!("the signed certificate does not read back: {error}") }
}

fn ca_subject(cluster: &ClusterId) -> DistinguishedName {
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, format!("trireme-ca:{cluster}"));
    subject
}

fn uri_name(uri: &str) -> Result<SanType, rcgen::Error> {
    Ok(SanType::URI(uri.try_into()?))
}

/// Servers and nodes answer TLS as well as dial; users and components only dial.
fn purposes(kind: IdentityKind) -> Vec<ExtendedKeyUsagePurpose> {
    match kind {
        IdentityKind::Server | IdentityKind::Node => {
            vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth]
        }
        IdentityKind::User | IdentityKind::Component => vec![ExtendedKeyUsagePurpose::ClientAuth],
    }
}

fn check_alt_names(names: &[AltName]) -> Result<(), SignError> {
    if names.len() > ALT_NAMES_LIMIT {
        let what = format!("{} names, more than {ALT_NAMES_LIMIT}", names.len());
        return Err(SignError::BadAltNames { what });
    }
    match names.iter().find(|name| !name.is_well_formed()) {
        Some(bad) => Err(SignError::BadAltNames { what: format!("{bad} is not a DNS name") }),
        None => Ok(()),
    }
}

/// 127 random bits: positive, never zero in practice, and checked when the certificate is read back.
fn random_serial() -> Result<SerialNumber, String> {
    let mut bytes = [0_u8; 16];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| "no randomness from the operating system".to_owned())?;
    bytes[0] = (bytes[0] & 0x7f) | 0x40;
    Ok(SerialNumber::from_slice(&bytes))
}

#[cfg(test)]
#[path = "authority_test.rs"]
mod tests;
