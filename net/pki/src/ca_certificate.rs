//! The authority's public half: what every member trusts, and what a join token pins.

use std::fmt;
use std::str::FromStr;

use rustls_pki_types::{CertificateDer, TrustAnchor};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::chain_check::{Purpose, check_peer};
use crate::cluster_id::ClusterId;
use crate::live_trust::LiveTrust;
use crate::peer_certificate::{
    CertificateUnreadable, PeerCertificate, hex, identity_uris, parse_x509, unhex,
};
use crate::peer_refused::PeerRefused;
use crate::verifiers::algorithms;
use crate::wall_time::WallTime;

/// SHA-256 of an authority's SubjectPublicKeyInfo. It survives a renewal of the authority's certificate.
/// Text form: 64 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CaPin([u8; 32]);

impl CaPin {
    pub(crate) fn of_public_key(spki_der: &[u8]) -> Self {
        Self(Sha256::digest(spki_der).into())
    }

    /// The digest.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for CaPin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for CaPin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CaPin({self})")
    }
}

impl FromStr for CaPin {
    type Err = CertificateUnreadable;
    fn from_str(text: &str) -> Result<Self, CertificateUnreadable> {
        unhex(text)
            .and_then(|bytes| bytes.try_into().ok())
            .map(Self)
            .ok_or_else(|| CertificateUnreadable::new("a pin is 64 lower-case hex digits"))
    }
}

/// A checked authority certificate: a self-signed CA whose URI names the cluster.
#[derive(Clone, Debug)]
pub struct CaCertificate {
    der: CertificateDer<'static>,
    anchor: TrustAnchor<'static>,
    cluster: ClusterId,
    pin: CaPin,
    not_before: WallTime,
    not_after: WallTime,
}

impl CaCertificate {
    /// Reads and checks: CA flag, self-signature, exactly one URI `spiffe://<cluster>.trireme`.
    pub fn parse(der: &CertificateDer<'_>) -> Result<Self, CertificateUnreadable> {
        let certificate = parse_x509(der)?;
        if !certificate.is_ca() {
            return Err(CertificateUnreadable::new("it is not an authority's (no CA flag)"));
        }
        if certificate.verify_signature(None).is_err() {
            return Err(CertificateUnreadable::new("its own signature does not verify"));
        }
        let cluster = match identity_uris(&certificate)?.as_slice() {
            [uri] => cluster_of(uri)?,
            _ => return Err(CertificateUnreadable::new("an authority has exactly one cluster URI")),
        };
        let pin = CaPin::of_public_key(certificate.public_key().raw);
        let not_before = WallTime::from_timestamp(certificate.validity().not_before.timestamp());
        let not_after = WallTime::from_timestamp(certificate.validity().not_after.timestamp());
        let der = CertificateDer::from(der.to_vec());
        let anchor = webpki::anchor_from_trusted_cert(&der)
            .map_err(|error| CertificateUnreadable::new(format!("not usable as a trust anchor ({error})")))?
            .to_owned();
        Ok(Self { der, anchor, cluster, pin, not_before, not_after })
    }

    /// DER bytes, for the end of a chain and for kubeconfig files.
    pub fn der(&self) -> &CertificateDer<'static> {
        &self.der
    }

    /// PEM text.
    pub fn to_pem(&self) -> String {
        crate::private_files::certificate_pem(&self.der)
    }

    /// The cluster it speaks for.
    pub fn cluster(&self) -> &ClusterId {
        &self.cluster
    }

    /// Digest of its public key.
    pub fn pin(&self) -> CaPin {
        self.pin
    }

    /// Compares with a pin in constant time.
    pub fn matches(&self, pin: &CaPin) -> bool {
        self.pin.0.ct_eq(&pin.0).into()
    }

    /// First second of validity.
    pub fn not_before(&self) -> WallTime {
        self.not_before
    }

    /// Last second of validity.
    pub fn not_after(&self) -> WallTime {
        self.not_after
    }

    /// Checks a certificate that came inside a message: chain, time, cluster, revocation. It proves that this authority
    /// issued it, not that the sender holds its key; [`PeerCertificate::parse`] alone proves neither.
    pub fn check_issued(
        &self,
        der: &CertificateDer<'_>,
        trust: &LiveTrust,
        now: WallTime,
    ) -> Result<PeerCertificate, PeerRefused> {
        check_peer(der, self, Some(trust), Purpose::Client, algorithms(), now)
    }

    pub(crate) fn anchor(&self) -> &TrustAnchor<'static> {
        &self.anchor
    }
}

fn cluster_of(uri: &str) -> Result<ClusterId, CertificateUnreadable> {
    let label = uri.strip_prefix("spiffe://").and_then(|rest| rest.strip_suffix(".trireme"));
    match label {
        Some(label) => Ok(ClusterId::new(label)?),
        None => Err(CertificateUnreadable::new("the authority's URI is not spiffe://<cluster>.trireme")),
    }
}
