//! What a certificate says, read once and carried with the connection.

use std::fmt;

use rustls_pki_types::CertificateDer;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate, X509Name};

use crate::identity::{Identity, IdentityError};
use crate::wall_time::WallTime;

/// Longest certificate that is looked at, in bytes. Ours are below 1 KiB.
pub const CERTIFICATE_LIMIT_BYTES: usize = 16 * 1024;
/// Longest serial number, in bytes (RFC 5280, section 4.1.2.2).
pub const SERIAL_LIMIT_BYTES: usize = 20;

/// A certificate's serial number: big-endian, without leading zeros. Text form is lower-case hex.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Serial(Vec<u8>);

impl Serial {
    /// From big-endian bytes; `None` when empty, zero or longer than 20 bytes.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let start = bytes.iter().position(|byte| *byte != 0)?;
        let digits = bytes.get(start..)?;
        (digits.len() <= SERIAL_LIMIT_BYTES).then(|| Self(digits.to_vec()))
    }

    /// Big-endian bytes without leading zeros.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl TryFrom<String> for Serial {
    type Error = CertificateUnreadable;
    fn try_from(text: String) -> Result<Self, CertificateUnreadable> {
        unhex(&text)
            .and_then(|bytes| Self::from_bytes(&bytes))
            .ok_or_else(|| CertificateUnreadable::new("a serial number is 1 to 20 bytes of hex, not zero"))
    }
}

impl From<Serial> for String {
    fn from(serial: Serial) -> Self {
        serial.to_string()
    }
}

/// A certificate that cannot be read as one of ours. Not retryable with the same bytes.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("certificate cannot be read: {what}")]
pub struct CertificateUnreadable {
    what: String,
}

impl CertificateUnreadable {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self { what: what.into() }
    }
}

impl From<IdentityError> for CertificateUnreadable {
    fn from(error: IdentityError) -> Self {
        Self::new(error.to_string())
    }
}

/// The facts of one end-entity certificate. Reading it proves nothing: trust comes from the handshake's
/// verifiers, which check chain, time, purpose, cluster and revocation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerCertificate {
    /// Whom it names.
    pub identity: Identity,
    /// Its serial number.
    pub serial: Serial,
    /// First second of validity.
    pub not_before: WallTime,
    /// Last second of validity.
    pub not_after: WallTime,
    /// SHA-256 of its SubjectPublicKeyInfo.
    pub public_key_sha256: [u8; 32],
}

impl PeerCertificate {
    /// Reads a DER certificate; refuses one whose URI and subject disagree, with no or several identity URIs, or
    /// with bytes after its end.
    pub fn parse(der: &CertificateDer<'_>) -> Result<Self, CertificateUnreadable> {
        let certificate = parse_x509(der)?;
        let uris = identity_uris(&certificate)?;
        let [uri] = uris.as_slice() else {
            return Err(CertificateUnreadable::new(format!(
                "it has {} identity URIs, expected exactly one",
                uris.len()
            )));
        };
        let (common_name, organizations) = subject_parts(certificate.subject())?;
        let identity = Identity::from_certificate_parts(uri, common_name, &organizations)?;
        let serial = Serial::from_bytes(certificate.raw_serial())
            .ok_or_else(|| CertificateUnreadable::new("its serial number is zero or longer than 20 bytes"))?;
        Ok(Self {
            identity,
            serial,
            not_before: WallTime::from_timestamp(certificate.validity().not_before.timestamp()),
            not_after: WallTime::from_timestamp(certificate.validity().not_after.timestamp()),
            public_key_sha256: Sha256::digest(certificate.public_key().raw).into(),
        })
    }
}

pub(crate) fn parse_x509<'a>(
    der: &'a CertificateDer<'_>,
) -> Result<X509Certificate<'a>, CertificateUnreadable> {
    if der.len() > CERTIFICATE_LIMIT_BYTES {
        return Err(CertificateUnreadable::new(format!(
            "it has {} bytes, more than {CERTIFICATE_LIMIT_BYTES}",
            der.len()
        )));
    }
    let (rest, certificate) = X509Certificate::from_der(der.as_ref())
        .map_err(|error| CertificateUnreadable::new(format!("not an X.509 certificate in DER ({error})")))?;
    match rest.is_empty() {
        true => Ok(certificate),
        false => Err(CertificateUnreadable::new("bytes follow the certificate's end")),
    }
}

/// The URIs among the subject alternative names that are in the SPIFFE scheme.
pub(crate) fn identity_uris<'a>(
    certificate: &'a X509Certificate<'_>,
) -> Result<Vec<&'a str>, CertificateUnreadable> {
    let names = certificate
        .subject_alternative_name()
        .map_err(|error| CertificateUnreadable::new(format!("subject alternative name ({error})")))?;
    let names = names.map(|extension| extension.value.general_names.as_slice()).unwrap_or_default();
    Ok(names
        .iter()
        .filter_map(|name| match name {
            GeneralName::URI(uri) if uri.starts_with("spiffe:") => Some(*uri),
            _ => None,
        })
        .collect())
}

/// Exactly one common name, and any organizations; any other attribute would be ignored, so it is refused.
fn subject_parts<'a>(subject: &'a X509Name<'_>) -> Result<(&'a str, Vec<&'a str>), CertificateUnreadable> {
    let text = |attribute: &'a x509_parser::x509::AttributeTypeAndValue<'_>| {
        attribute.as_str().map_err(|_| CertificateUnreadable::new("a subject attribute is not text"))
    };
    let common_names = subject.iter_common_name().map(text).collect::<Result<Vec<_>, _>>()?;
    let organizations = subject.iter_organization().map(text).collect::<Result<Vec<_>, _>>()?;
    if subject.iter_attributes().count() != common_names.len() + organizations.len() {
        return Err(CertificateUnreadable::new("its subject has attributes other than CN and O"));
    }
    match common_names.as_slice() {
        [one] => Ok((one, organizations)),
        other => Err(CertificateUnreadable::new(format!(
            "its subject has {} common names, expected one",
            other.len()
        ))),
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Lower-case hex only: one value, one spelling.
pub(crate) fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| Some(digit(*pair.first()?)? * 16 + digit(*pair.get(1)?)?)).collect()
}
