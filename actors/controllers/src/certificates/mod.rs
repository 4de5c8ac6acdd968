//! CertificateSigningRequests: those of nodes are approved, approved ones are signed, old ones go.
//!
//! What a request holds and the signature itself are not decided here: [`Certificates`] reads and signs, and says who
//! may have what.
//!
//! Source: upstream's csrapproving, csrsigning and csrcleaner controllers.

mod approver;
mod cleaner;
mod signer;

pub use approver::CertificateApprover;
pub use cleaner::CertificateCleaner;
pub use signer::CertificateSigner;

use serde_json::Value;
use trireme_schema::view::View;

/// What a request for a certificate holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestFacts {
    /// Common name of the subject.
    pub common_name: String,
    /// Organizations of the subject.
    pub organizations: Vec<String>,
    /// Alternative names of any sort.
    pub alternative_names: Vec<String>,
}

/// What the controllers of certificates need of the world outside: the codec, the authorizer and the key.
pub trait Certificates: Send + Sync {
    /// Reads the PKCS#10 request in `spec.request` (base64 of PEM); `None` for one that cannot be read.
    fn read(&self, request: &str) -> Option<RequestFacts>;

    /// Whether the user of a request (its `spec`) may create `certificatesigningrequests/<subresource>`.
    fn may(&self, spec: &Value, subresource: &str) -> bool;

    /// Signs a request (its `spec`).
    ///
    /// # Errors
    /// Why the signer refuses it for good.
    fn sign(&self, spec: &Value) -> Result<String, String>;
}

/// The condition of a type in a request's status.
fn condition<'a>(request: &'a Value, kind: &str) -> Option<&'a Value> {
    request.at("status").list("conditions").iter().find(|condition| condition.text("type") == kind)
}

/// It is settled: approved, denied or failed.
fn is_settled(request: &Value) -> bool {
    !request.at("status").list("conditions").is_empty()
}
