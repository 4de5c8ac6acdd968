//! A join token as its issuer keeps it, and the comparison with what a joiner shows.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use thiserror::Error;

use crate::join_token::{TokenId, TokenSecret};
use crate::wall_time::WallTime;

/// Bytes of salt beside each token's hash.
pub const SALT_BYTES: usize = 16;

/// What a token's bearer may become.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JoinRole {
    /// A server (which is trusted with the authority's key) and its own node.
    Server,
    /// A node only.
    Agent,
}

impl fmt::Display for JoinRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Server => "server",
            Self::Agent => "agent",
        })
    }
}

/// Why a token was not accepted. The joiner is told none of this, only that the token is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TokenRefused {
    /// No such id.
    #[error("no join token has the id {id}")]
    Unknown {
        /// The id.
        id: TokenId,
    },
    /// The id exists, the secret differs.
    #[error("the secret of join token {id} does not match")]
    WrongSecret {
        /// The id.
        id: TokenId,
    },
    /// Right, but too late.
    #[error("join token {id} expired at {expired}")]
    Expired {
        /// The id.
        id: TokenId,
        /// When it ended.
        expired: WallTime,
    },
    /// Withdrawn by an administrator.
    #[error("join token {id} was revoked")]
    Revoked {
        /// The id.
        id: TokenId,
    },
}

/// A join token as the issuer keeps it: a salted hash, never the secret.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TokenRecord {
    /// What the bearer may become.
    pub role: JoinRole,
    /// When it was made.
    pub created: WallTime,
    /// First second at which it is no longer accepted.
    pub expires: WallTime,
    salt: [u8; SALT_BYTES],
    secret_hash: [u8; 32],
}

impl TokenRecord {
    pub(crate) fn new(
        id: &TokenId,
        secret: &TokenSecret,
        role: JoinRole,
        salt: [u8; SALT_BYTES],
        created: WallTime,
        expires: WallTime,
    ) -> Self {
        Self { role, created, expires, salt, secret_hash: hash_secret(&salt, id, secret) }
    }

    /// Whether the secret is the record's. Constant time in what the secret is, and the same work without a record.
    pub(crate) fn secret_matches(record: Option<&Self>, id: &TokenId, secret: &TokenSecret) -> bool {
        let (salt, expected) =
            record.map_or(([0; SALT_BYTES], [0; 32]), |record| (record.salt, record.secret_hash));
        let same = hash_secret(&salt, id, secret).ct_eq(&expected);
        bool::from(same) & record.is_some()
    }
}

impl fmt::Debug for TokenRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenRecord")
            .field("role", &self.role)
            .field("created", &self.created)
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

/// One SHA-256 is enough: the secret is 82 random bits, not a password.
fn hash_secret(salt: &[u8; SALT_BYTES], id: &TokenId, secret: &TokenSecret) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update(b"trireme join token v1\0");
    hasher.update(salt);
    hasher.update(id.as_str().as_bytes());
    hasher.update(b".");
    hasher.update(secret.expose().as_bytes());
    hasher.finalize().into()
}
