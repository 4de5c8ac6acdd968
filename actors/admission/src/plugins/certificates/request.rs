//! [`CertificateRequest`]: the names in a PKCS#10 request.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::pem::Pem;
use x509_parser::prelude::FromDer;

/// Who a certificate is asked for.
pub(in crate::plugins) struct CertificateRequest {
    /// The common name, or empty.
    pub(in crate::plugins) common_name: String,
    /// The organizations: groups, for client certificates.
    pub(in crate::plugins) organizations: Vec<String>,
}

impl CertificateRequest {
    /// Reads base64 of PEM. The signature is checked by validation, not here.
    pub(in crate::plugins) fn read(text: &str) -> Result<Self, String> {
        const NO_BLOCK: &str = "PEM block type must be CERTIFICATE REQUEST";
        let bytes = STANDARD.decode(text).map_err(|error| error.to_string())?;
        let pem = Pem::iter_from_buffer(&bytes).next().and_then(Result::ok).ok_or(NO_BLOCK)?;
        if pem.label != "CERTIFICATE REQUEST" {
            return Err(NO_BLOCK.to_owned());
        }
        let (_, request) =
            X509CertificationRequest::from_der(&pem.contents).map_err(|error| error.to_string())?;
        let subject = &request.certification_request_info.subject;
        let texts = |found: &mut dyn Iterator<Item = &x509_parser::x509::AttributeTypeAndValue<'_>>| {
            found.filter_map(|part| part.as_str().ok().map(str::to_owned)).collect::<Vec<_>>()
        };
        Ok(Self {
            common_name: texts(&mut subject.iter_common_name()).pop().unwrap_or_default(),
            organizations: texts(&mut subject.iter_organization()),
        })
    }
}
