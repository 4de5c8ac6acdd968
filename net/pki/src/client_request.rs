//! Certificates for the cluster's ordinary TLS parties, as CertificateSigningRequests ask for them.
//!
//! Such a certificate names whom the request names, without the identity URI by which members of the cluster know each
//! other: it opens the API to its holder, and never the bus. Whether it may be signed is decided by whoever asks.

use std::net::IpAddr;
use std::time::Duration;

use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose, SanType,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, CertificateSigningRequestDer};
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::FromDer;

use crate::alt_name::ALT_NAMES_LIMIT;
use crate::authority::SignError;
use crate::certificate_request::REQUEST_LIMIT_BYTES;
use crate::wall_time::WallTime;

/// The scheme of identity URIs.
const IDENTITY_SCHEME: &str = "spiffe:";

/// What a PKCS #10 request asks for. Attributes of the subject other than common name and organizations are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestedCertificate {
    /// Common name of the subject; the last one when there are several.
    pub common_name: String,
    /// Organizations of the subject, in order.
    pub organizations: Vec<String>,
    /// DNS alternative names.
    pub dns_names: Vec<String>,
    /// Addresses.
    pub ip_addresses: Vec<IpAddr>,
    /// Mail addresses.
    pub emails: Vec<String>,
    /// URIs.
    pub uris: Vec<String>,
    /// DER of the request.
    der: Vec<u8>,
}

/// How long and for what a requested certificate is to be good.
#[derive(Clone, Copy, Debug)]
pub struct ClientOrder<'a> {
    /// `spec.usages` of a CertificateSigningRequest, such as `client auth`.
    pub usages: &'a [&'a str],
    /// Life from `now` on; cut short where the authority's own life ends.
    pub lifetime: Duration,
    /// The moment of signing.
    pub now: WallTime,
}

impl RequestedCertificate {
    /// Reads a request: PEM, `CERTIFICATE REQUEST`.
    ///
    /// # Errors
    /// It cannot be read, or has more than [`ALT_NAMES_LIMIT`] names.
    pub fn from_pem(pem: &[u8]) -> Result<Self, SignError> {
        let malformed = |what: String| SignError::MalformedRequest { what };
        let der = CertificateSigningRequestDer::from_pem_slice(pem)
            .map_err(|error| malformed(format!("PEM block type must be CERTIFICATE REQUEST ({error})")))?;
        if der.len() > REQUEST_LIMIT_BYTES {
            return Err(malformed(format!("{} bytes, more than {REQUEST_LIMIT_BYTES}", der.len())));
        }
        let (rest, request) = X509CertificationRequest::from_der(&der)
            .map_err(|error| malformed(format!("not PKCS #10 in DER ({error})")))?;
        if !rest.is_empty() {
            return Err(malformed("bytes follow the request's end".to_owned()));
        }
        request.verify_signature().map_err(|_| SignError::BadSelfSignature)?;
        let mut out = Self { der: der.to_vec(), ..Self::default() };
        let subject = &request.certification_request_info.subject;
        let text = |part: &x509_parser::x509::AttributeTypeAndValue<'_>| {
            let text = part.as_str().map(str::to_owned);
            text.map_err(|_| malformed("a subject attribute is not text".to_owned()))
        };
        for part in subject.iter_common_name() {
            out.common_name = text(part)?;
        }
        out.organizations = subject.iter_organization().map(text).collect::<Result<_, _>>()?;
        for extension in request.requested_extensions().into_iter().flatten() {
            let ParsedExtension::SubjectAlternativeName(names) = extension else { continue };
            if names.general_names.len() > ALT_NAMES_LIMIT {
                let what = format!("{} names, more than {ALT_NAMES_LIMIT}", names.general_names.len());
                return Err(SignError::BadAltNames { what });
            }
            for name in &names.general_names {
                out.take_name(name)?;
            }
        }
        Ok(out)
    }

    fn take_name(&mut self, name: &GeneralName<'_>) -> Result<(), SignError> {
        match name {
            GeneralName::DNSName(dns) => self.dns_names.push((*dns).to_owned()),
            GeneralName::RFC822Name(email) => self.emails.push((*email).to_owned()),
            GeneralName::URI(uri) => self.uris.push((*uri).to_owned()),
            GeneralName::IPAddress(bytes) => {
                let v4 = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
                let address = v4.or_else(|_| <[u8; 16]>::try_from(*bytes).map(IpAddr::from));
                let wrong =
                    |_| SignError::BadAltNames { what: "an address has neither 4 nor 16 bytes".to_owned() };
                self.ip_addresses.push(address.map_err(wrong)?);
            }
            other => {
                let what = format!("{other:?} is neither a DNS name, an address, a mail address nor a URI");
                return Err(SignError::BadAltNames { what });
            }
        }
        Ok(())
    }

    /// DER of the request.
    pub(crate) fn der(&self) -> &[u8] {
        &self.der
    }

    /// What the certificate is to say, but for its serial and its time. The subject names one organization at most: more
    /// are put in afterwards.
    pub(crate) fn params(&self, usages: &[&str]) -> Result<CertificateParams, SignError> {
        if let Some(uri) = self.uris.iter().find(|uri| uri.to_ascii_lowercase().starts_with(IDENTITY_SCHEME))
        {
            let what = format!("{uri}: identities of the cluster's members are not given out by request");
            return Err(SignError::BadAltNames { what });
        }
        let crypto = |error: rcgen::Error| SignError::BadAltNames { what: error.to_string() };
        let mut params = CertificateParams::default();
        let mut subject = DistinguishedName::new();
        if let Some(organization) = self.organizations.first() {
            subject.push(DnType::OrganizationName, organization.clone());
        }
        subject.push(DnType::CommonName, self.common_name.clone());
        params.distinguished_name = subject;
        let names = &mut params.subject_alt_names;
        for dns in &self.dns_names {
            names.push(SanType::DnsName(dns.as_str().try_into().map_err(crypto)?));
        }
        for email in &self.emails {
            names.push(SanType::Rfc822Name(email.as_str().try_into().map_err(crypto)?));
        }
        for uri in &self.uris {
            names.push(SanType::URI(uri.as_str().try_into().map_err(crypto)?));
        }
        names.extend(self.ip_addresses.iter().map(|address| SanType::IpAddress(*address)));
        for usage in usages {
            match purpose(usage)? {
                Purpose::Key(purpose) if !params.key_usages.contains(&purpose) => {
                    params.key_usages.push(purpose)
                }
                Purpose::Extended(purpose) if !params.extended_key_usages.contains(&purpose) => {
                    params.extended_key_usages.push(purpose);
                }
                _ => {}
            }
        }
        params.use_authority_key_identifier_extension = true;
        params.is_ca = IsCa::ExplicitNoCa;
        Ok(params)
    }
}

/// A signed certificate as PEM.
pub(crate) fn pem_of(der: &CertificateDer<'_>) -> String {
    crate::private_files::certificate_pem(der)
}

enum Purpose {
    Key(KeyUsagePurpose),
    Extended(ExtendedKeyUsagePurpose),
}

/// By Kubernetes' names. Those that would let the holder sign certificates are not among them.
fn purpose(usage: &str) -> Result<Purpose, SignError> {
    use ExtendedKeyUsagePurpose as Extended;
    use KeyUsagePurpose as Key;
    Ok(match usage {
        "signing" | "digital signature" => Purpose::Key(Key::DigitalSignature),
        "content commitment" => Purpose::Key(Key::ContentCommitment),
        "key encipherment" => Purpose::Key(Key::KeyEncipherment),
        "key agreement" => Purpose::Key(Key::KeyAgreement),
        "data encipherment" => Purpose::Key(Key::DataEncipherment),
        "encipher only" => Purpose::Key(Key::EncipherOnly),
        "decipher only" => Purpose::Key(Key::DecipherOnly),
        "any" => Purpose::Extended(Extended::Any),
        "server auth" => Purpose::Extended(Extended::ServerAuth),
        "client auth" => Purpose::Extended(Extended::ClientAuth),
        "code signing" => Purpose::Extended(Extended::CodeSigning),
        "email protection" | "s/mime" => Purpose::Extended(Extended::EmailProtection),
        "timestamping" => Purpose::Extended(Extended::TimeStamping),
        "ocsp signing" => Purpose::Extended(Extended::OcspSigning),
        other => return Err(SignError::MalformedRequest { what: format!("unsupported usage {other:?}") }),
    })
}

#[cfg(test)]
mod tests {
    use rcgen::{KeyPair, PKCS_ECDSA_P384_SHA384};

    use super::*;
    use crate::live_trust::LiveTrust;
    use crate::test_kit::{DAY, NOW, authority};
    use crate::{ClientAuthorities, PeerCertificate};

    fn request(edit: impl FnOnce(&mut CertificateParams)) -> String {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, "dev");
        params.distinguished_name.push(DnType::CommonName, "jane");
        edit(&mut params);
        let key = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
        params.serialize_request(&key).unwrap().pem().unwrap()
    }

    #[test]
    fn whom_a_request_names_is_known_to_the_api_and_no_member() {
        let ca = authority();
        let text =
            request(|params| params.subject_alt_names.push(SanType::DnsName("a.b".try_into().unwrap())));
        let asked = RequestedCertificate::from_pem(text.as_bytes()).unwrap();
        assert_eq!((asked.common_name.as_str(), &asked.organizations[..]), ("jane", &["dev".to_owned()][..]));
        assert_eq!(asked.dns_names, ["a.b"]);
        let order = ClientOrder { usages: &["client auth", "digital signature"], lifetime: DAY, now: NOW };
        let pem = ca.sign_for_client(&asked, &order).unwrap();
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
        assert!(PeerCertificate::parse(&der).is_err(), "the bus does not know it");
        let known = ClientAuthorities::new(&[ca.certificate().der().clone()], LiveTrust::default()).unwrap();
        let facts = known.judge(Some(&[der]), NOW).unwrap().unwrap();
        assert_eq!((facts.common_name.as_str(), facts.organizations), ("jane", vec!["dev".to_owned()]));
        assert_eq!((facts.not_after, facts.member), (NOW.plus(DAY), None));
    }

    #[test]
    fn several_groups_stay_and_a_server_certificate_does_not_open_the_api() {
        let ca = authority();
        let mut asked = RequestedCertificate::from_pem(request(|_| {}).as_bytes()).unwrap();
        asked.organizations = vec!["a".to_owned(), "b".to_owned()];
        let known = ClientAuthorities::new(&[ca.certificate().der().clone()], LiveTrust::default()).unwrap();
        let judge = |usages: &[&str]| {
            let order = ClientOrder { usages, lifetime: DAY, now: NOW };
            let pem = ca.sign_for_client(&asked, &order).unwrap();
            known.judge(Some(&[CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()]), NOW)
        };
        assert_eq!(judge(&["client auth"]).unwrap().unwrap().organizations, ["a", "b"]);
        assert!(judge(&["server auth"]).is_err());
    }

    #[test]
    fn identities_of_members_and_unknown_usages_are_refused() {
        let ca = authority();
        let order = |usages| ClientOrder { usages, lifetime: DAY, now: NOW };
        let plain = RequestedCertificate::from_pem(request(|_| {}).as_bytes()).unwrap();
        let refused = ca.sign_for_client(&plain, &order(&["cert sign"])).unwrap_err();
        assert!(refused.to_string().contains("cert sign"), "{refused}");
        for uri in ["spiffe://x/server/s1", "SPIFFE://x/server/s1"] {
            let text = request(|params| params.subject_alt_names.push(SanType::URI(uri.try_into().unwrap())));
            let asked = RequestedCertificate::from_pem(text.as_bytes()).unwrap();
            let refused = ca.sign_for_client(&asked, &order(&["client auth"])).unwrap_err();
            assert!(refused.to_string().contains("not given out by request"), "{refused}");
        }
        assert!(
            RequestedCertificate::from_pem(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
                .is_err()
        );
        let mut damaged = plain.der().to_vec();
        let last = damaged.len() - 1;
        damaged[last] ^= 1;
        let text = pem::encode(&pem::Pem::new("CERTIFICATE REQUEST", damaged));
        assert!(RequestedCertificate::from_pem(text.as_bytes()).is_err(), "it does not prove its key");
    }
}
