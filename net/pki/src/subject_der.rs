//! Subjects with several organizations.
//!
//! Kubernetes reads one group from each `O` of a subject; the certificate builder in use keeps one value for each
//! attribute type. For users in two or more groups the signed certificate's subject is replaced here and the
//! result signed again. Only lengths, two OIDs and strings are encoded; everything else is copied.

use x509_parser::prelude::{FromDer, X509Certificate};

/// OBJECT IDENTIFIER 2.5.4.3 (common name), tag and length included.
const COMMON_NAME: &[u8] = &[0x06, 0x03, 0x55, 0x04, 0x03];
/// OBJECT IDENTIFIER 2.5.4.10 (organization).
const ORGANIZATION: &[u8] = &[0x06, 0x03, 0x55, 0x04, 0x0a];
const TAG_BIT_STRING: u8 = 0x03;
const TAG_UTF8_STRING: u8 = 0x0c;
const TAG_SEQUENCE: u8 = 0x30;
const TAG_SET: u8 = 0x31;

/// The to-be-signed part of `certificate_der` with its subject replaced; `None` when it is no certificate.
pub(crate) fn replace_subject(
    certificate_der: &[u8],
    common_name: &str,
    organizations: &[String],
) -> Option<UnsignedCertificate> {
    let (_, certificate) = X509Certificate::from_der(certificate_der).ok()?;
    let to_be_signed: &[u8] = certificate.tbs_certificate.as_ref();
    let old_subject = certificate.tbs_certificate.subject.as_raw();
    let validity_to_key = certificate.tbs_certificate.subject_pki.raw;
    // The subject directly precedes the public key; both are slices of `to_be_signed`.
    let key_at = find(to_be_signed, validity_to_key)?;
    let subject_at = key_at.checked_sub(old_subject.len())?;
    let body_at = header_length(to_be_signed)?;
    let mut body = to_be_signed.get(body_at..subject_at)?.to_vec();
    body.extend_from_slice(&subject(common_name, organizations));
    body.extend_from_slice(to_be_signed.get(key_at..)?);
    let algorithm = certificate_der
        .get(header_length(certificate_der)?.checked_add(to_be_signed.len())?..)
        .and_then(|rest| rest.get(..element_length(rest)?))?
        .to_vec();
    Some(UnsignedCertificate { to_be_signed: element(TAG_SEQUENCE, &body), algorithm })
}

/// A certificate that still lacks its signature.
pub(crate) struct UnsignedCertificate {
    to_be_signed: Vec<u8>,
    algorithm: Vec<u8>,
}

impl UnsignedCertificate {
    pub(crate) fn to_be_signed(&self) -> &[u8] {
        &self.to_be_signed
    }

    /// DER of the whole certificate.
    pub(crate) fn with_signature(self, signature: &[u8]) -> Vec<u8> {
        let mut bits = vec![0];
        bits.extend_from_slice(signature);
        let mut body = self.to_be_signed;
        body.extend_from_slice(&self.algorithm);
        body.extend_from_slice(&element(TAG_BIT_STRING, &bits));
        element(TAG_SEQUENCE, &body)
    }
}

fn subject(common_name: &str, organizations: &[String]) -> Vec<u8> {
    let mut body = Vec::new();
    for organization in organizations {
        body.extend_from_slice(&attribute(ORGANIZATION, organization));
    }
    body.extend_from_slice(&attribute(COMMON_NAME, common_name));
    element(TAG_SEQUENCE, &body)
}

fn attribute(oid: &[u8], value: &str) -> Vec<u8> {
    let mut pair = oid.to_vec();
    pair.extend_from_slice(&element(TAG_UTF8_STRING, value.as_bytes()));
    element(TAG_SET, &element(TAG_SEQUENCE, &pair))
}

fn element(tag: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    match u8::try_from(body.len()) {
        Ok(short) if short < 0x80 => out.push(short),
        _ => {
            let length = body.len().to_be_bytes();
            let significant: Vec<u8> = length.into_iter().skip_while(|byte| *byte == 0).collect();
            out.push(0x80 | u8::try_from(significant.len()).expect("a usize has at most 8 bytes"));
            out.extend_from_slice(&significant);
        }
    }
    out.extend_from_slice(body);
    out
}

/// Bytes of tag and length of the element at the start of `der`.
fn header_length(der: &[u8]) -> Option<usize> {
    match *der.get(1)? {
        short if short < 0x80 => Some(2),
        long => Some(2 + usize::from(long & 0x7f)),
    }
}

/// Bytes of the whole element at the start of `der`.
fn element_length(der: &[u8]) -> Option<usize> {
    let header = header_length(der)?;
    let length = match *der.get(1)? {
        short if short < 0x80 => usize::from(short),
        _ => der.get(2..header)?.iter().try_fold(0_usize, |sum, byte| {
            sum.checked_mul(256).and_then(|sum| sum.checked_add(usize::from(*byte)))
        })?,
    };
    header.checked_add(length)
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len().max(1)).position(|window| window == needle)
}
