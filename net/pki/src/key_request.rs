//! The key pair of a party that asks for a certificate.

use std::fmt;
use std::path::Path;

use rcgen::{CertificateParams, DistinguishedName, KeyPair, PKCS_ECDSA_P256_SHA256, PublicKeyData};
use rustls_pki_types::PrivatePkcs8KeyDer;
use sha2::{Digest, Sha256};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::private_files::{FileError, KeyAndChain, damaged};

/// Why a key pair could not be made or kept.
#[derive(Debug, Error)]
pub enum KeyError {
    /// The crypto library or encoder refused.
    #[error("key pair: {0}")]
    Crypto(String),
    /// The file is absent, unreadable, too open or damaged.
    #[error("key pair: {0}")]
    File(#[from] FileError),
}

/// A new ECDSA P-256 key pair and the request for its certificate. A joiner keeps it in a file until the answer is
/// in, so that a retry after a crash asks for the same key and counts as the same party.
pub struct KeyRequest {
    key_pkcs8: Zeroizing<Vec<u8>>,
    request_der: Vec<u8>,
    public_key_sha256: [u8; 32],
}

impl KeyRequest {
    /// Makes a fresh key.
    pub fn generate() -> Result<Self, KeyError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)
            .map_err(|error| KeyError::Crypto(error.to_string()))?;
        Self::from_key(&key).map_err(KeyError::Crypto)
    }

    /// Reads the key that [`KeyRequest::save`] wrote.
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        let content = KeyAndChain::load(path)?;
        let pkcs8 = PrivatePkcs8KeyDer::from(content.key_pkcs8.as_slice());
        KeyPair::from_pkcs8_der_and_sign_algo(&pkcs8, &PKCS_ECDSA_P256_SHA256)
            .map_err(|error| format!("the key is not an ECDSA P-256 key in PKCS #8 ({error})"))
            .and_then(|key| Self::from_key(&key))
            .map_err(|what| KeyError::File(damaged(path, what)))
    }

    /// Writes the key (mode 0600, atomically, fsynced).
    pub fn save(&self, path: &Path) -> Result<(), KeyError> {
        let content = KeyAndChain { key_pkcs8: self.key_pkcs8.clone(), chain: Vec::new() };
        Ok(content.save(path)?)
    }

    /// PKCS #10 request in DER. Its subject is empty: the issuer decides all but the key.
    pub fn request_der(&self) -> &[u8] {
        &self.request_der
    }

    /// SHA-256 of the SubjectPublicKeyInfo.
    pub fn public_key_sha256(&self) -> [u8; 32] {
        self.public_key_sha256
    }

    pub(crate) fn key_pkcs8(&self) -> &Zeroizing<Vec<u8>> {
        &self.key_pkcs8
    }

    fn from_key(key: &KeyPair) -> Result<Self, String> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        let request = params.serialize_request(key).map_err(|error| error.to_string())?;
        Ok(Self {
            key_pkcs8: Zeroizing::new(key.serialized_der().to_vec()),
            request_der: request.der().to_vec(),
            public_key_sha256: Sha256::digest(key.subject_public_key_info()).into(),
        })
    }
}

impl fmt::Debug for KeyRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRequest").finish_non_exhaustive()
    }
}
