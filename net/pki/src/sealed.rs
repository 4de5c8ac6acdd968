//! Sealing a secret to one receiver, so that copies of a message (a dedupe cache, a log, a core dump) are useless.
//!
//! One shot: a fresh X25519 key for each message, HKDF-SHA256 over the agreed secret bound to both public keys,
//! AES-256-GCM with a nonce of zero (each derived key seals exactly one message).

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::agreement::{PrivateKey, UnparsedPublicKey, X25519, agree};
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use zeroize::Zeroizing;

const VERSION: u8 = 1;
const PUBLIC_KEY_BYTES: usize = 32;
const HEADER_BYTES: usize = 1 + PUBLIC_KEY_BYTES;
/// Largest sealed message, in bytes.
pub const SEALED_LIMIT_BYTES: usize = 64 * 1024;

/// Why a sealed message could not be made or opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SealError {
    /// The crypto library refused: no randomness, or a receiver key that is no curve point.
    #[error("sealing failed: no randomness, or the receiver's key is not valid")]
    CannotSeal,
    /// Not sealed to this key, damaged, or of another purpose. Ask the sender for a new one.
    #[error("sealed message cannot be opened: damaged, or sealed to another key; ask for a new one")]
    CannotOpen,
}

/// Public half of a [`SealOpener`]: where to seal to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SealTo([u8; PUBLIC_KEY_BYTES]);

impl SealTo {
    /// Seals `secret`; `purpose` must be given again to open it.
    pub fn seal(&self, purpose: &str, secret: &[u8]) -> Result<Vec<u8>, SealError> {
        let sender = PrivateKey::generate(&X25519).map_err(|_| SealError::CannotSeal)?;
        let sender_public = public_bytes(&sender).ok_or(SealError::CannotSeal)?;
        let key = derive(&sender, &self.0, &sender_public, &self.0).ok_or(SealError::CannotSeal)?;
        let mut body = Zeroizing::new(secret.to_vec());
        let nonce = Nonce::assume_unique_for_key([0; NONCE_LEN]);
        let tag = key
            .seal_in_place_separate_tag(nonce, Aad::from(purpose.as_bytes()), &mut body)
            .map_err(|_| SealError::CannotSeal)?;
        let mut out = Vec::with_capacity(HEADER_BYTES + body.len() + tag.as_ref().len());
        out.push(VERSION);
        out.extend_from_slice(&sender_public);
        out.extend_from_slice(&body);
        out.extend_from_slice(tag.as_ref());
        Ok(out)
    }
}

/// A one-time key that opens what was sealed to it. Lives in memory only.
pub struct SealOpener {
    private: PrivateKey,
    public: [u8; PUBLIC_KEY_BYTES],
}

impl SealOpener {
    /// A fresh key.
    pub fn generate() -> Result<Self, SealError> {
        let private = PrivateKey::generate(&X25519).map_err(|_| SealError::CannotSeal)?;
        let public = public_bytes(&private).ok_or(SealError::CannotSeal)?;
        Ok(Self { private, public })
    }

    /// What the sender needs.
    pub fn seal_to(&self) -> SealTo {
        SealTo(self.public)
    }

    /// Opens a message sealed to this key for the same purpose.
    pub fn open(&self, purpose: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
        if sealed.len() > SEALED_LIMIT_BYTES || sealed.first() != Some(&VERSION) {
            return Err(SealError::CannotOpen);
        }
        let sender: [u8; PUBLIC_KEY_BYTES] =
            sealed.get(1..HEADER_BYTES).and_then(|key| key.try_into().ok()).ok_or(SealError::CannotOpen)?;
        let key = derive(&self.private, &sender, &sender, &self.public).ok_or(SealError::CannotOpen)?;
        let mut body = Zeroizing::new(sealed.get(HEADER_BYTES..).unwrap_or_default().to_vec());
        let nonce = Nonce::assume_unique_for_key([0; NONCE_LEN]);
        let opened = key
            .open_in_place(nonce, Aad::from(purpose.as_bytes()), &mut body)
            .map_err(|_| SealError::CannotOpen)?
            .len();
        body.truncate(opened);
        Ok(body)
    }
}

impl fmt::Debug for SealOpener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealOpener").finish_non_exhaustive()
    }
}

fn public_bytes(key: &PrivateKey) -> Option<[u8; PUBLIC_KEY_BYTES]> {
    key.compute_public_key().ok()?.as_ref().try_into().ok()
}

fn derive(
    mine: &PrivateKey,
    theirs: &[u8; PUBLIC_KEY_BYTES],
    sender: &[u8; PUBLIC_KEY_BYTES],
    receiver: &[u8; PUBLIC_KEY_BYTES],
) -> Option<LessSafeKey> {
    agree(mine, UnparsedPublicKey::new(&X25519, theirs), (), |secret| {
        let info: [&[u8]; 3] = [b"trireme sealed v1", sender, receiver];
        let prk = Salt::new(HKDF_SHA256, b"trireme").extract(secret);
        let key = prk.expand(&info, &AES_256_GCM).map_err(|_| ())?;
        Ok(LessSafeKey::new(UnboundKey::from(key)))
    })
    .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_receiver_opens_and_only_for_the_purpose() {
        let opener = SealOpener::generate().unwrap();
        let sealed = opener.seal_to().seal("ca", b"secret").unwrap();
        assert_eq!(opener.open("ca", &sealed).unwrap().as_slice(), b"secret");
        assert_eq!(opener.open("other", &sealed).unwrap_err(), SealError::CannotOpen);
        let other = SealOpener::generate().unwrap();
        assert_eq!(other.open("ca", &sealed).unwrap_err(), SealError::CannotOpen);
        for at in 0..sealed.len() {
            let mut bad = sealed.clone();
            bad[at] ^= 1;
            assert_eq!(opener.open("ca", &bad).unwrap_err(), SealError::CannotOpen, "byte {at}");
            assert!(opener.open("ca", &sealed[..at]).is_err());
        }
        assert!(!sealed.windows(6).any(|window| window == b"secret"));
    }
}
