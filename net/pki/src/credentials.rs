//! This party's own certificate and key, replaceable while connections stand.
//!
//! TLS asks for them at each handshake and gets whatever is current, so rotation affects new handshakes only.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::RwLock;
use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::ca_certificate::CaCertificate;
use crate::identity::Identity;
use crate::key_request::KeyRequest;
use crate::peer_certificate::PeerCertificate;
use crate::private_files::{FileError, KeyAndChain, create_private_dir, damaged};
use crate::provider::crypto_provider;
use crate::wall_time::WallTime;

/// Private file with certificate, authority certificate and key.
const CREDENTIALS_FILE: &str = "credentials.pem";

/// Why credentials were not taken, kept or loaded.
#[derive(Debug, Error)]
pub enum CredentialsError {
    /// Chain or key is not usable.
    #[error("credentials: {0}")]
    Content(String),
    /// A rotation must keep the identity; start a new party for another one.
    #[error("credentials: these are for {found}, the party here is {current}")]
    OtherIdentity {
        /// Who holds the credentials now.
        current: Box<Identity>,
        /// Whom the new certificate names.
        found: Box<Identity>,
    },
    /// The file is absent, unreadable, too open or damaged.
    #[error("credentials: {0}")]
    File(#[from] FileError),
}

impl CredentialsError {
    /// True when nothing was stored yet, as opposed to something bad.
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::File(error) if error.is_absent())
    }
}

struct Current {
    certified: Arc<CertifiedKey>,
    facts: PeerCertificate,
    ca: CaCertificate,
    key_pkcs8: Zeroizing<Vec<u8>>,
}

/// Hot-swappable certificate and key. Share it as an `Arc`.
pub struct Credentials {
    current: RwLock<Arc<Current>>,
    generation: AtomicU64,
}

impl Credentials {
    /// From a signed chain (own certificate, then the authority's) and the key it was asked for with. The chain is
    /// checked: signed by the authority in it, and for this key. Validity in time is not: an expired one loads, so
    /// that the party can say so and renew or join again.
    pub fn new(key: &KeyRequest, chain: &[CertificateDer<'static>]) -> Result<Self, CredentialsError> {
        Self::assemble(key.key_pkcs8().clone(), chain).map(Self::from_current)
    }

    /// Reads what [`Credentials::save`] wrote into `dir`.
    pub fn load(dir: &Path) -> Result<Self, CredentialsError> {
        let path = dir.join(CREDENTIALS_FILE);
        let content = KeyAndChain::load(&path)?;
        match Self::assemble(content.key_pkcs8, &content.chain) {
            Ok(current) => Ok(Self::from_current(current)),
            Err(error) => Err(CredentialsError::File(damaged(&path, error.to_string()))),
        }
    }

    /// Writes the current credentials into `dir` as one file (mode 0600, atomically, fsynced).
    pub fn save(&self, dir: &Path) -> Result<(), CredentialsError> {
        create_private_dir(dir)?;
        let current = self.current();
        let chain = current.certified.cert.clone();
        KeyAndChain { key_pkcs8: current.key_pkcs8.clone(), chain }.save(&dir.join(CREDENTIALS_FILE))?;
        Ok(())
    }

    /// Takes a renewed certificate of the same identity and authority. Standing connections go on.
    pub fn replace(
        &self,
        key: &KeyRequest,
        chain: &[CertificateDer<'static>],
    ) -> Result<(), CredentialsError> {
        let next = Self::assemble(key.key_pkcs8().clone(), chain)?;
        let mut slot = self.current.write();
        if next.facts.identity != slot.facts.identity {
            return Err(CredentialsError::OtherIdentity {
                current: Box::new(slot.facts.identity.clone()),
                found: Box::new(next.facts.identity),
            });
        }
        if next.ca.pin() != slot.ca.pin() {
            let what = format!("they come from the authority {}, ours is {}", next.ca.pin(), slot.ca.pin());
            return Err(CredentialsError::Content(what));
        }
        *slot = Arc::new(next);
        self.generation.fetch_add(1, Ordering::Release);
        Ok(())
    }

    /// Counts replacements.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Whom they name.
    pub fn identity(&self) -> Identity {
        self.current().facts.identity.clone()
    }

    /// What the current certificate says.
    pub fn facts(&self) -> PeerCertificate {
        self.current().facts.clone()
    }

    /// The authority that signed them.
    pub fn ca(&self) -> CaCertificate {
        self.current().ca.clone()
    }

    /// The current chain: own certificate, then the authority's.
    pub fn chain(&self) -> Vec<CertificateDer<'static>> {
        self.current().certified.cert.clone()
    }

    /// When to renew: two thirds into the life, less up to a tenth of the life chosen by `jitter` (any number, such
    /// as a seed), so that machines that joined together do not renew together.
    pub fn renew_at(&self, jitter: u64) -> WallTime {
        let current = self.current();
        let life_seconds = current.facts.not_after.since(current.facts.not_before).as_secs();
        let spread = life_seconds / 10;
        let early = Duration::from_secs(jitter % (spread + 1));
        current.facts.not_before.plus(Duration::from_secs(life_seconds / 3 * 2)).minus(early)
    }

    /// PEM of key and certificate, for a kubeconfig file of their holder.
    pub fn to_pem(&self) -> (Zeroizing<String>, String) {
        let current = self.current();
        let key = pem::encode(&pem::Pem::new("PRIVATE KEY", current.key_pkcs8.to_vec()));
        let certificate = current.certified.cert.first().map(crate::private_files::certificate_pem);
        (Zeroizing::new(key), certificate.unwrap_or_default())
    }

    fn current(&self) -> Arc<Current> {
        self.current.read().clone()
    }

    fn from_current(current: Current) -> Self {
        Self { current: RwLock::new(Arc::new(current)), generation: AtomicU64::new(0) }
    }

    fn assemble(
        key_pkcs8: Zeroizing<Vec<u8>>,
        chain: &[CertificateDer<'static>],
    ) -> Result<Current, CredentialsError> {
        let content = |what: String| CredentialsError::Content(what);
        let [own, authority] = chain else {
            return Err(content(format!(
                "{} certificates, expected the party's and the authority's",
                chain.len()
            )));
        };
        let ca = CaCertificate::parse(authority).map_err(|error| content(error.to_string()))?;
        let facts = PeerCertificate::parse(own).map_err(|error| content(error.to_string()))?;
        check_signed_by(own, authority).map_err(content)?;
        if facts.identity.cluster() != ca.cluster() {
            return Err(content(format!("{} is not of cluster {}", facts.identity, ca.cluster())));
        }
        let key = PrivatePkcs8KeyDer::from(key_pkcs8.to_vec());
        let certified = CertifiedKey::from_der(chain.to_vec(), key.into(), crypto_provider())
            .map_err(|error| content(format!("key and certificate do not belong together ({error})")))?;
        Ok(Current { certified: Arc::new(certified), facts, ca, key_pkcs8 })
    }
}

fn check_signed_by(own: &CertificateDer<'_>, authority: &CertificateDer<'_>) -> Result<(), String> {
    use crate::peer_certificate::parse_x509;
    let authority = parse_x509(authority).map_err(|error| error.to_string())?;
    let own = parse_x509(own).map_err(|error| error.to_string())?;
    own.verify_signature(Some(authority.public_key()))
        .map_err(|_| "the certificate is not signed by the authority beside it".to_owned())
}

impl ResolvesServerCert for Credentials {
    fn resolve(&self, _client_hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current().certified.clone())
    }
}

impl ResolvesClientCert for Credentials {
    fn resolve(
        &self,
        _root_hint_subjects: &[&[u8]],
        schemes: &[SignatureScheme],
    ) -> Option<Arc<CertifiedKey>> {
        let certified = self.current().certified.clone();
        certified.key.choose_scheme(schemes).is_some().then_some(certified)
    }

    fn has_certs(&self) -> bool {
        true
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let current = self.current();
        f.debug_struct("Credentials")
            .field("identity", &current.facts.identity)
            .field("serial", &current.facts.serial)
            .field("not_after", &current.facts.not_after)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "credentials_test.rs"]
mod tests;
