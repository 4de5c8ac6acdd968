//! Both ends of asking for a certificate: what travels, and the steps in their order.
//!
//! Server side: decide, remember the key, sign, and only for a server-role join seal the authority. Asking side:
//! check the answer against the pin and the key before anything of it is used.

use std::fmt;
use std::sync::Arc;

use rustls_pki_types::CertificateDer;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::authority::{AuthorityError, ClusterAuthority, SignError, SigningOrder};
use crate::ca_certificate::{CaCertificate, CaPin};
use crate::certificate_request::requested_key_sha256;
use crate::credentials::{Credentials, CredentialsError};
use crate::issuer::{Caller, IssueRequest, Issuer, Refusal};
use crate::key_request::KeyRequest;
use crate::live_trust::LiveTrust;
use crate::sealed::{SealOpener, SealTo};
use crate::trust_ledger::{LedgerError, TrustLedger};
use crate::wall_time::WallTime;

/// A request for a certificate as it travels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateAsk {
    /// What is asked for.
    pub request: IssueRequest,
    /// PKCS #10 in DER; at most 16 KiB.
    pub request_der: Vec<u8>,
    /// Where to seal the authority to. A server-role join needs it; otherwise it is ignored.
    pub seal_to: Option<SealTo>,
}

/// The answer as it travels.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateAnswer {
    /// Own certificate in DER, then the authority's.
    pub chain_der: Vec<Vec<u8>>,
    /// The authority's key, sealed to the asker; for a server-role join only.
    pub sealed_authority: Option<Vec<u8>>,
    /// What is withdrawn, so that the asker starts with it. Without tokens unless the asker is a server.
    pub ledger: TrustLedger,
}

impl fmt::Debug for CertificateAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CertificateAnswer")
            .field("certificates", &self.chain_der.len())
            .field("sealed_authority", &self.sealed_authority.is_some())
            .finish_non_exhaustive()
    }
}

/// Why a request was not answered with a certificate.
#[derive(Debug, Error)]
pub enum RegistrarError {
    /// Policy says no. Not retryable as it is.
    #[error("{0}")]
    Refused(#[from] Refusal),
    /// The request or the authority does not allow a signature.
    #[error("certificate not signed: {0}")]
    Sign(#[from] SignError),
    /// The key could not be remembered. Retry after pruning the ledger.
    #[error("certificate not signed: {0}")]
    Ledger(#[from] LedgerError),
    /// The authority could not be sealed. Retry with a fresh key.
    #[error("certificate not sent: {0}")]
    Seal(#[from] AuthorityError),
    /// A server-role join must say where to seal the authority to.
    #[error("certificate refused: a joining server must send a key to seal the authority to")]
    NoSealKey,
}

impl RegistrarError {
    /// What the caller may be told; see [`Refusal::public_text`].
    pub fn public_text(&self, caller: &Caller) -> String {
        match self {
            Self::Refused(refusal) => refusal.public_text(caller),
            Self::Sign(
                SignError::MalformedRequest { .. }
                | SignError::BadSelfSignature
                | SignError::UnsupportedKey { .. },
            )
            | Self::NoSealKey => self.to_string(),
            _ => "certificate not signed: the server's log says why; try another server".to_owned(),
        }
    }
}

/// Signs on behalf of the cluster on one server. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Registrar {
    authority: Arc<ClusterAuthority>,
    issuer: Arc<Issuer>,
    trust: LiveTrust,
}

impl Registrar {
    /// `trust` is read for decisions and gets the enrolments; when its generation moves, its owner hands the
    /// ledger to the other servers.
    pub fn new(authority: Arc<ClusterAuthority>, issuer: Issuer, trust: LiveTrust) -> Self {
        Self { authority, issuer: Arc::new(issuer), trust }
    }

    /// Answers one request. A repeated request with the same key is answered again with a new certificate.
    pub fn handle(
        &self,
        ask: &CertificateAsk,
        caller: &Caller,
        now: WallTime,
    ) -> Result<CertificateAnswer, RegistrarError> {
        let key = requested_key_sha256(&ask.request_der)?;
        // Deciding and remembering are one step under the ledger's lock: of two machines that ask for a name at
        // the same time, one gets it.
        let plan = self.trust.update(|ledger| {
            let plan = self.issuer.decide(&ask.request, &key, caller, ledger, now)?;
            if plan.export_authority && ask.seal_to.is_none() {
                return Err(RegistrarError::NoSealKey);
            }
            if plan.enrol {
                ledger.enrol(plan.identity.identity_name(), key, now)?;
            }
            Ok(plan)
        })?;
        let issued = self.authority.sign_request(&SigningOrder {
            request_der: &ask.request_der,
            identity: &plan.identity,
            alt_names: &plan.alt_names,
            lifetime: plan.lifetime,
            now,
            not_before_floor: plan.not_before_floor,
        })?;
        let sealed_authority = match (plan.export_authority, &ask.seal_to) {
            (true, Some(to)) => Some(self.authority.export_sealed(to)?),
            _ => None,
        };
        let ledger = self.trust.ledger();
        let ledger = if plan.export_authority { (*ledger).clone() } else { ledger.withdrawals() };
        tracing::info!(
            identity = %issued.facts.identity,
            serial = %issued.facts.serial,
            not_after = %issued.facts.not_after,
            "certificate signed"
        );
        Ok(CertificateAnswer {
            chain_der: issued.chain.iter().map(|certificate| certificate.to_vec()).collect(),
            sealed_authority,
            ledger,
        })
    }
}

/// Why an answer was not accepted. Ask again; if it repeats, the other side is not the cluster of the token.
#[derive(Debug, Error)]
pub enum AnswerRefused {
    /// The authority in the answer is not the pinned one.
    #[error("join answer: its authority is {found}, but {expected} is pinned")]
    OtherAuthority {
        /// The pin.
        expected: CaPin,
        /// What came.
        found: CaPin,
    },
    /// The chain or key does not fit.
    #[error("join answer: {0}")]
    Credentials(#[from] CredentialsError),
    /// The sealed authority cannot be opened or is another one.
    #[error("join answer: {0}")]
    Authority(#[from] AuthorityError),
    /// A server must get the authority.
    #[error("join answer: the authority's key is missing; a server cannot work without it")]
    NoAuthority,
}

/// What a party starts with.
#[derive(Debug)]
pub struct Admitted {
    /// Its certificate and key.
    pub credentials: Credentials,
    /// The cluster's authority, for servers that joined.
    pub authority: Option<ClusterAuthority>,
    /// What is withdrawn.
    pub ledger: TrustLedger,
}

impl CertificateAnswer {
    /// The chain, for [`Credentials::replace`] after a renewal.
    pub fn chain(&self) -> Vec<CertificateDer<'static>> {
        self.chain_der.iter().map(|der| CertificateDer::from(der.clone())).collect()
    }

    /// Checks the answer to a join against the token's pin and the key that was sent. `opener` must be given when the
    /// role was server, and only then.
    pub fn accept(
        self,
        key: &KeyRequest,
        pin: &CaPin,
        opener: Option<&SealOpener>,
    ) -> Result<Admitted, AnswerRefused> {
        let credentials = Credentials::new(key, &self.chain())?;
        let ca: CaCertificate = credentials.ca();
        if !ca.matches(pin) {
            return Err(AnswerRefused::OtherAuthority { expected: *pin, found: ca.pin() });
        }
        let authority = match (opener, &self.sealed_authority) {
            (None, _) => None,
            (Some(_), None) => return Err(AnswerRefused::NoAuthority),
            (Some(opener), Some(sealed)) => Some(ClusterAuthority::import_sealed(sealed, opener, pin)?),
        };
        Ok(Admitted { credentials, authority, ledger: self.ledger })
    }
}

#[cfg(test)]
#[path = "registrar_test.rs"]
mod tests;
