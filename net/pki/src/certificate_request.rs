//! What is taken from a certificate request: its key, once the requester has shown that it holds it.

use rcgen::{PKCS_ECDSA_P256_SHA256, PublicKeyData, SubjectPublicKeyInfo};
use sha2::{Digest, Sha256};
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::FromDer;

use crate::authority::SignError;

/// Largest certificate request, in bytes.
pub const REQUEST_LIMIT_BYTES: usize = 16 * 1024;

/// The key of a PKCS #10 request whose self-signature verifies.
pub(crate) fn requested_key(request_der: &[u8]) -> Result<SubjectPublicKeyInfo, SignError> {
    let malformed = |what: String| SignError::MalformedRequest { what };
    if request_der.len() > REQUEST_LIMIT_BYTES {
        return Err(malformed(format!("{} bytes, more than {REQUEST_LIMIT_BYTES}", request_der.len())));
    }
    let (rest, request) = X509CertificationRequest::from_der(request_der)
        .map_err(|error| malformed(format!("not PKCS #10 in DER ({error})")))?;
    if !rest.is_empty() {
        return Err(malformed("bytes follow the request's end".to_owned()));
    }
    request.verify_signature().map_err(|_| SignError::BadSelfSignature)?;
    let spki = request.certification_request_info.subject_pki.raw;
    let key = SubjectPublicKeyInfo::from_der(spki)
        .map_err(|error| SignError::UnsupportedKey { what: error.to_string() })?;
    match key.algorithm() == &PKCS_ECDSA_P256_SHA256 {
        true => Ok(key),
        false => Err(SignError::UnsupportedKey { what: format!("{:?}", key.algorithm()) }),
    }
}

/// The key of a PKCS #10 request (DER) that was read and verified before, of any algorithm that can be certified.
pub(crate) fn any_key(request_der: &[u8]) -> Result<SubjectPublicKeyInfo, SignError> {
    let (_, request) = X509CertificationRequest::from_der(request_der)
        .map_err(|error| SignError::MalformedRequest { what: format!("not PKCS #10 in DER ({error})") })?;
    SubjectPublicKeyInfo::from_der(request.certification_request_info.subject_pki.raw)
        .map_err(|error| SignError::UnsupportedKey { what: error.to_string() })
}

/// SHA-256 of the SubjectPublicKeyInfo in a PKCS #10 request (DER) whose self-signature verifies: what
/// [`crate::Issuer::decide`] and [`crate::TrustLedger::enrol`] want.
pub fn requested_key_sha256(request_der: &[u8]) -> Result<[u8; 32], SignError> {
    let key = requested_key(request_der)?;
    Ok(Sha256::digest(key.subject_public_key_info()).into())
}
