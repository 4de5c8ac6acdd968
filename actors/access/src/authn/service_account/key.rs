//! [`SigningKey`] and [`VerifyingKey`]: RSA (RS256) or P-256 (ES256).

use std::fmt;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey};
use pem::Pem;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use super::der;

/// A key file that cannot be used; the file must change.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum KeyError {
    /// Not PEM.
    #[error("key file is not PEM: {0}")]
    NotPem(String),
    /// No block with a key of the wanted sort.
    #[error("key file has no {0}")]
    Missing(&'static str),
    /// A key of an algorithm that is not built.
    #[error("key file: only RSA (2048 bits or more) and ECDSA P-256 keys are supported: {0}")]
    Unsupported(String),
    /// The cryptography library could not make a key.
    #[error("no key could be generated")]
    NotGenerated,
}

/// A public key with which tokens are checked.
#[derive(Clone)]
pub struct VerifyingKey {
    id: String,
    algorithm: Algorithm,
    decoding: DecodingKey,
    parameters: Value,
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifyingKey").field("id", &self.id).field("algorithm", &self.algorithm).finish()
    }
}

fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The id of a key, as upstream computes it: a hash of its SubjectPublicKeyInfo.
fn key_id(info: &[u8]) -> String {
    encode(&Sha256::digest(info))
}

/// Fewest bytes of an RSA modulus.
const RSA_MODULUS_MIN_BYTES: usize = 256;

impl VerifyingKey {
    /// From an RSA public key in PKCS #1.
    fn rsa(key: &[u8]) -> Result<Self, KeyError> {
        let parts = der::rsa_public_key(key);
        let (modulus, exponent) = parts.ok_or_else(|| KeyError::Unsupported("not an RSA key".to_owned()))?;
        if modulus.len() < RSA_MODULUS_MIN_BYTES {
            return Err(KeyError::Unsupported(format!("{} bits of RSA", modulus.len() * 8)));
        }
        Ok(Self {
            id: key_id(&der::rsa_key_info(key)),
            algorithm: Algorithm::RS256,
            decoding: DecodingKey::from_rsa_raw_components(modulus, exponent),
            parameters: json!({"kty": "RSA", "n": encode(modulus), "e": encode(exponent)}),
        })
    }

    /// From an uncompressed point on P-256.
    fn p256(point: &[u8]) -> Result<Self, KeyError> {
        let unsupported = || KeyError::Unsupported("not a point on P-256".to_owned());
        let coordinates = point.strip_prefix(&[4]).filter(|rest| rest.len() == 64).ok_or_else(unsupported)?;
        let (x, y) = coordinates.split_at(32);
        let (x, y) = (encode(x), encode(y));
        Ok(Self {
            id: key_id(&der::p256_key_info(point)),
            algorithm: Algorithm::ES256,
            decoding: DecodingKey::from_ec_components(&x, &y).map_err(|_| unsupported())?,
            parameters: json!({"kty": "EC", "crv": "P-256", "x": x, "y": y}),
        })
    }

    /// All public keys of a PEM file (`--service-account-key-file`); private keys stand for their public halves.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn from_pem(text: &str) -> Result<Vec<Self>, KeyError> {
        let mut out = Vec::new();
        for block in pem::parse_many(text).map_err(|error| KeyError::NotPem(error.to_string()))? {
            match block.tag() {
                "PUBLIC KEY" => out.push(Self::from_info(block.contents())?),
                "RSA PUBLIC KEY" => out.push(Self::rsa(block.contents())?),
                tag if tag.ends_with("PRIVATE KEY") => out.push(SigningKey::from_block(&block)?.public),
                _ => {}
            }
        }
        if out.is_empty() { Err(KeyError::Missing("public key")) } else { Ok(out) }
    }

    fn from_info(info: &[u8]) -> Result<Self, KeyError> {
        match der::public_key_info(info) {
            Some((der::RSA, key)) => Self::rsa(key),
            Some((der::ELLIPTIC_CURVE, point)) => Self::p256(point),
            _ => Err(KeyError::Unsupported("another algorithm".to_owned())),
        }
    }

    /// The `kid` of tokens signed with its private half.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// `RS256` or `ES256`.
    pub fn algorithm_name(&self) -> &'static str {
        if self.algorithm == Algorithm::ES256 { "ES256" } else { "RS256" }
    }

    /// Whether a signature (base64url) of a message is this key's.
    pub(super) fn verifies(&self, signature: &str, message: &str) -> bool {
        jsonwebtoken::crypto::verify(signature, message.as_bytes(), &self.decoding, self.algorithm)
            .unwrap_or(false)
    }

    /// As a JSON Web Key.
    pub fn to_jwk(&self) -> Value {
        let mut out = self.parameters.clone();
        out["use"] = "sig".into();
        out["kid"] = self.id.clone().into();
        out["alg"] = self.algorithm_name().into();
        out
    }
}

/// A private key that signs tokens, with its public half.
pub struct SigningKey {
    encoding: EncodingKey,
    public: VerifyingKey,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("public", &self.public).finish_non_exhaustive()
    }
}

/// A key just made, and the PEM text to keep it in.
pub struct GeneratedKey {
    /// Ready to use.
    pub key: SigningKey,
    /// `PRIVATE KEY` block: a secret, to be kept in a file of mode 0600.
    pub pem: String,
}

impl SigningKey {
    /// Makes an RSA key of 2048 bits (takes up to a second).
    ///
    /// # Errors
    /// [`KeyError::NotGenerated`].
    pub fn generate_rsa() -> Result<GeneratedKey, KeyError> {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).map_err(|_| KeyError::NotGenerated)?;
        let der: Pkcs8V1Der<'_> = pair.as_der().map_err(|_| KeyError::NotGenerated)?;
        Self::generated(der.as_ref())
    }

    /// Makes a P-256 key (takes less than a millisecond).
    ///
    /// # Errors
    /// [`KeyError::NotGenerated`].
    pub fn generate_p256() -> Result<GeneratedKey, KeyError> {
        let pair =
            EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(|_| KeyError::NotGenerated)?;
        let der = pair.to_pkcs8v1().map_err(|_| KeyError::NotGenerated)?;
        Self::generated(der.as_ref())
    }

    fn generated(pkcs8: &[u8]) -> Result<GeneratedKey, KeyError> {
        let block = Pem::new("PRIVATE KEY", pkcs8);
        Ok(GeneratedKey { key: Self::from_block(&block)?, pem: pem::encode(&block) })
    }

    /// The first private key of a PEM file (`--service-account-signing-key-file`).
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        let blocks = pem::parse_many(text).map_err(|error| KeyError::NotPem(error.to_string()))?;
        let block = blocks.iter().find(|block| block.tag().ends_with("PRIVATE KEY"));
        Self::from_block(block.ok_or(KeyError::Missing("private key"))?)
    }

    fn from_block(block: &Pem) -> Result<Self, KeyError> {
        let bytes = block.contents();
        match block.tag() {
            "RSA PRIVATE KEY" => Self::rsa(bytes),
            "EC PRIVATE KEY" => {
                let pair = EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_FIXED_SIGNING, bytes);
                let pkcs8 = pair.ok().and_then(|pair| pair.to_pkcs8v1().ok());
                Self::p256(pkcs8.ok_or_else(|| KeyError::Unsupported("not a P-256 key".to_owned()))?.as_ref())
            }
            "PRIVATE KEY" => match der::pkcs8(bytes) {
                Some((der::RSA, key)) => Self::rsa(key),
                Some((der::ELLIPTIC_CURVE, _)) => Self::p256(bytes),
                _ => Err(KeyError::Unsupported("another algorithm".to_owned())),
            },
            other => Err(KeyError::Unsupported(format!("a block {other:?}"))),
        }
    }

    fn rsa(pkcs1: &[u8]) -> Result<Self, KeyError> {
        let pair = RsaKeyPair::from_der(pkcs1).map_err(|error| KeyError::Unsupported(error.to_string()))?;
        let public = VerifyingKey::rsa(pair.public_key().as_ref())?;
        Ok(Self { encoding: EncodingKey::from_rsa_der(pkcs1), public })
    }

    fn p256(pkcs8: &[u8]) -> Result<Self, KeyError> {
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8);
        let pair = pair.map_err(|error| KeyError::Unsupported(error.to_string()))?;
        let public = VerifyingKey::p256(pair.public_key().as_ref())?;
        Ok(Self { encoding: EncodingKey::from_ec_der(pkcs8), public })
    }

    /// The public half.
    pub fn public(&self) -> &VerifyingKey {
        &self.public
    }

    /// A signature (base64url) of a message; `None` when the cryptography library fails.
    pub(super) fn sign(&self, message: &str) -> Option<String> {
        jsonwebtoken::crypto::sign(message.as_bytes(), &self.encoding, self.public.algorithm).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_survive_their_files() {
        for made in [SigningKey::generate_rsa().unwrap(), SigningKey::generate_p256().unwrap()] {
            let again = SigningKey::from_pem(&made.pem).unwrap();
            assert_eq!(again.public().id(), made.key.public().id());
            let signature = again.sign("a.b").unwrap();
            let public = VerifyingKey::from_pem(&made.pem).unwrap();
            assert!(public[0].verifies(&signature, "a.b"));
            assert!(!public[0].verifies(&signature, "a.c"));
            assert!(!public[0].verifies("AAAA", "a.b"));
            let info = if made.key.public().algorithm_name() == "RS256" {
                let n = URL_SAFE_NO_PAD.decode(public[0].to_jwk()["n"].as_str().unwrap()).unwrap();
                assert_eq!(n.len(), 256);
                let pair = RsaKeyPair::from_pkcs8(pem::parse(&made.pem).unwrap().contents()).unwrap();
                der::rsa_key_info(pair.public_key().as_ref())
            } else {
                let pkcs8 = pem::parse(&made.pem).unwrap();
                let pair =
                    EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.contents()).unwrap();
                der::p256_key_info(pair.public_key().as_ref())
            };
            let text = pem::encode(&Pem::new("PUBLIC KEY", info));
            assert_eq!(VerifyingKey::from_pem(&text).unwrap()[0].id(), made.key.public().id());
        }
    }

    #[test]
    fn other_files_are_refused() {
        assert_eq!(SigningKey::from_pem("").unwrap_err(), KeyError::Missing("private key"));
        let text = pem::encode(&Pem::new("PRIVATE KEY", vec![1, 2, 3]));
        assert!(matches!(SigningKey::from_pem(&text), Err(KeyError::Unsupported(_))));
        assert!(matches!(VerifyingKey::from_pem(&text), Err(KeyError::Unsupported(_))));
    }
}
