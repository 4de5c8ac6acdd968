//! What the cluster currently trusts beyond valid signatures: join tokens, and what has been withdrawn.
//!
//! A value without I/O, clock or randomness. Copies on different servers may change independently and are
//! merged: the result does not depend on order or repetition (a join-semilattice in every part). A tombstone beats
//! the record it withdraws. Laws hold as long as the union stays within the limits below; a merge past a limit
//! changes nothing and says so. [`TrustLedger::prune`] forgets only what expiry alone already refuses, so a
//! pruned entry that comes back by a merge does no harm.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::authority::{BACKDATE, CERTIFICATE_LIFETIME_LIMIT};
use crate::identity::Identity;
use crate::identity_name::IdentityName;
use crate::join_token::{TokenId, TokenSecret};
use crate::peer_certificate::Serial;
use crate::token_record::{JoinRole, SALT_BYTES, TokenRecord, TokenRefused};
use crate::wall_time::WallTime;

/// Most live join tokens.
pub const TOKENS_LIMIT: usize = 1_024;
/// Most remembered withdrawals of tokens.
pub const REVOKED_TOKENS_LIMIT: usize = 4_096;
/// Most remembered withdrawals of identities.
pub const REVOKED_IDENTITIES_LIMIT: usize = 16_384;
/// Most remembered withdrawals of single certificates.
pub const REVOKED_SERIALS_LIMIT: usize = 16_384;
/// Most machines whose key is remembered.
pub const ENROLMENTS_LIMIT: usize = 16_384;
/// Longest life of a join token.
pub const TOKEN_LIFETIME_LIMIT: Duration = Duration::from_secs(365 * 86_400);

/// A ledger that would outgrow one of its limits, or a token that cannot be recorded.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LedgerError {
    /// Prune, or withdraw whole identities instead of single certificates, then retry.
    #[error(
        "trust ledger: {what} would be {would_be}, the limit is {limit}; prune expired entries and retry"
    )]
    Full {
        /// Which part.
        what: &'static str,
        /// Entries it would have.
        would_be: usize,
        /// Entries it may have.
        limit: usize,
    },
    /// Tokens always end: 1 s to 365 d.
    #[error("trust ledger: a token's life must be 1 s to 365 d, not {asked_seconds} s")]
    BadLifetime {
        /// What was asked for.
        asked_seconds: u64,
    },
    /// The id is taken or withdrawn; make another token.
    #[error("trust ledger: token id {id} is taken or withdrawn; create another token")]
    TokenIdTaken {
        /// The id.
        id: TokenId,
    },
}

/// Why a certificate is no longer trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Revocation {
    /// This one certificate.
    Certificate {
        /// Its serial number.
        serial: Serial,
    },
    /// Every certificate of the identity whose validity begins before the moment.
    Identity {
        /// Whom.
        name: IdentityName,
        /// Certificates that begin earlier are void.
        issued_before: WallTime,
    },
}

/// The key under which a machine joined. Ordered by time first: on a merge the later one counts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Enrolment {
    /// When the certificate was signed.
    pub at: WallTime,
    /// SHA-256 of the machine's SubjectPublicKeyInfo.
    pub public_key_sha256: [u8; 32],
}

/// See the module. Invariants: every part within its limit; no token both recorded and withdrawn; no enrolment
/// older than its identity's withdrawal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "LedgerForm", into = "LedgerForm")]
pub struct TrustLedger {
    tokens: BTreeMap<TokenId, TokenRecord>,
    revoked_tokens: BTreeMap<TokenId, WallTime>,
    revoked_identities: BTreeMap<IdentityName, WallTime>,
    revoked_serials: BTreeMap<Serial, WallTime>,
    enrolments: BTreeMap<IdentityName, Enrolment>,
}

#[derive(Serialize, Deserialize)]
struct LedgerForm {
    tokens: BTreeMap<TokenId, TokenRecord>,
    revoked_tokens: BTreeMap<TokenId, WallTime>,
    revoked_identities: BTreeMap<IdentityName, WallTime>,
    revoked_serials: BTreeMap<Serial, WallTime>,
    enrolments: BTreeMap<IdentityName, Enrolment>,
}

impl TryFrom<LedgerForm> for TrustLedger {
    type Error = LedgerError;
    fn try_from(form: LedgerForm) -> Result<Self, LedgerError> {
        let mut ledger = Self {
            tokens: form.tokens,
            revoked_tokens: form.revoked_tokens,
            revoked_identities: form.revoked_identities,
            revoked_serials: form.revoked_serials,
            enrolments: form.enrolments,
        };
        ledger.apply_tombstones();
        ledger.check_limits()?;
        Ok(ledger)
    }
}

impl From<TrustLedger> for LedgerForm {
    fn from(ledger: TrustLedger) -> Self {
        Self {
            tokens: ledger.tokens,
            revoked_tokens: ledger.revoked_tokens,
            revoked_identities: ledger.revoked_identities,
            revoked_serials: ledger.revoked_serials,
            enrolments: ledger.enrolments,
        }
    }
}

impl TrustLedger {
    /// Records a token. `salt` must be random.
    pub fn add_token(
        &mut self,
        id: &TokenId,
        secret: &TokenSecret,
        role: JoinRole,
        lifetime: Duration,
        salt: [u8; SALT_BYTES],
        now: WallTime,
    ) -> Result<(), LedgerError> {
        if lifetime.as_secs() == 0 || lifetime > TOKEN_LIFETIME_LIMIT {
            return Err(LedgerError::BadLifetime { asked_seconds: lifetime.as_secs() });
        }
        if self.tokens.contains_key(id) || self.revoked_tokens.contains_key(id) {
            return Err(LedgerError::TokenIdTaken { id: id.clone() });
        }
        let record = TokenRecord::new(id, secret, role, salt, now, now.plus(lifetime));
        self.change(|next| {
            next.tokens.insert(id.clone(), record);
        })
    }

    /// The recorded tokens, by id.
    pub fn tokens(&self) -> impl Iterator<Item = (&TokenId, &TokenRecord)> {
        self.tokens.iter()
    }

    /// Withdraws a token, known or not. Kept until no copy of its record can be valid any more.
    pub fn revoke_token(&mut self, id: &TokenId, now: WallTime) -> Result<(), LedgerError> {
        let keep_until = now.plus(TOKEN_LIFETIME_LIMIT + BACKDATE);
        self.change(|next| raise(&mut next.revoked_tokens, id.clone(), keep_until))
    }

    /// Withdraws every certificate of an identity issued until `now`; later ones are good again (a machine
    /// that joins anew). Returns the moment before which certificates are void: it always moves forward, so
    /// that withdrawing twice within one second also catches a certificate issued in between.
    pub fn revoke_identity(&mut self, name: &IdentityName, now: WallTime) -> Result<WallTime, LedgerError> {
        // An enrolment by a server whose clock is ahead must not outlive the withdrawal.
        let last = self.revoked_identities.get(name).copied();
        let enrolled = self.enrolments.get(name).map(|enrolment| enrolment.at);
        let after_last = last.max(enrolled).map(|at| at.plus(Duration::from_secs(1))).unwrap_or_default();
        let issued_before = now.max(after_last);
        self.change(|next| raise(&mut next.revoked_identities, name.clone(), issued_before))?;
        Ok(issued_before)
    }

    /// Withdraws one certificate.
    pub fn revoke_serial(&mut self, serial: &Serial, now: WallTime) -> Result<(), LedgerError> {
        let keep_until = now.plus(CERTIFICATE_LIFETIME_LIMIT + BACKDATE);
        self.change(|next| raise(&mut next.revoked_serials, serial.clone(), keep_until))
    }

    /// Remembers the key under which a machine holds its name, so that another bearer of a token cannot take
    /// the name over. Call it after each signature for a server or node.
    pub fn enrol(
        &mut self,
        name: &IdentityName,
        public_key_sha256: [u8; 32],
        now: WallTime,
    ) -> Result<(), LedgerError> {
        let at = self.earliest_begin(name).map_or(now, |floor| now.max(floor));
        let enrolment = Enrolment { at, public_key_sha256 };
        self.change(|next| raise(&mut next.enrolments, name.clone(), enrolment))
    }

    /// The key under which the name is held.
    pub fn enrolment(&self, name: &IdentityName) -> Option<&Enrolment> {
        self.enrolments.get(name)
    }

    /// What the token allows. The secret is compared in constant time, and an unknown id costs the same work.
    pub fn check_token(
        &self,
        id: &TokenId,
        secret: &TokenSecret,
        now: WallTime,
    ) -> Result<JoinRole, TokenRefused> {
        let id = id.clone();
        let record = self.tokens.get(&id);
        let same = TokenRecord::secret_matches(record, &id, secret);
        match record {
            None if self.revoked_tokens.contains_key(&id) => Err(TokenRefused::Revoked { id }),
            None => Err(TokenRefused::Unknown { id }),
            Some(_) if !same => Err(TokenRefused::WrongSecret { id }),
            Some(record) if now >= record.expires => {
                Err(TokenRefused::Expired { id, expired: record.expires })
            }
            Some(record) => Ok(record.role),
        }
    }

    /// Whether, and why, a certificate is withdrawn.
    pub fn is_revoked(
        &self,
        identity: &Identity,
        serial: &Serial,
        not_before: WallTime,
    ) -> Option<Revocation> {
        if self.revoked_serials.contains_key(serial) {
            return Some(Revocation::Certificate { serial: serial.clone() });
        }
        let name = identity.identity_name();
        let issued_before = *self.revoked_identities.get(name)?;
        (not_before < issued_before).then(|| Revocation::Identity { name: name.clone(), issued_before })
    }

    /// Earliest begin of a certificate for this identity that is not void from the start.
    pub fn earliest_begin(&self, name: &IdentityName) -> Option<WallTime> {
        self.revoked_identities.get(name).copied()
    }

    /// Takes in all that another copy knows. `Ok(true)` when something changed.
    pub fn merge(&mut self, other: &Self) -> Result<bool, LedgerError> {
        let mut next = self.clone();
        for (id, record) in &other.tokens {
            raise(&mut next.tokens, id.clone(), record.clone());
        }
        for (id, keep_until) in &other.revoked_tokens {
            raise(&mut next.revoked_tokens, id.clone(), *keep_until);
        }
        for (name, issued_before) in &other.revoked_identities {
            raise(&mut next.revoked_identities, name.clone(), *issued_before);
        }
        for (serial, keep_until) in &other.revoked_serials {
            raise(&mut next.revoked_serials, serial.clone(), *keep_until);
        }
        for (name, enrolment) in &other.enrolments {
            raise(&mut next.enrolments, name.clone(), enrolment.clone());
        }
        next.apply_tombstones();
        next.check_limits()?;
        let changed = next != *self;
        *self = next;
        Ok(changed)
    }

    /// A copy for machines that issue nothing: what has been withdrawn, without tokens and enrolments.
    #[must_use]
    pub fn without_tokens(&self) -> Self {
        Self { tokens: BTreeMap::new(), enrolments: BTreeMap::new(), ..self.clone() }
    }

    /// Forgets what expiry alone already refuses.
    pub fn prune(&mut self, now: WallTime) {
        self.tokens.retain(|_, record| now < record.expires);
        self.revoked_tokens.retain(|_, keep_until| now <= *keep_until);
        self.revoked_serials.retain(|_, keep_until| now <= *keep_until);
        self.revoked_identities
            .retain(|_, issued_before| now <= issued_before.plus(CERTIFICATE_LIFETIME_LIMIT + BACKDATE));
    }

    /// All or nothing: a change that breaks a limit leaves the ledger as it was.
    fn change(&mut self, edit: impl FnOnce(&mut Self)) -> Result<(), LedgerError> {
        let mut next = self.clone();
        edit(&mut next);
        next.apply_tombstones();
        next.check_limits()?;
        *self = next;
        Ok(())
    }

    fn apply_tombstones(&mut self) {
        let Self { tokens, revoked_tokens, revoked_identities, enrolments, .. } = self;
        tokens.retain(|id, _| !revoked_tokens.contains_key(id));
        enrolments.retain(|name, enrolment| {
            revoked_identities.get(name).is_none_or(|issued_before| enrolment.at >= *issued_before)
        });
    }

    fn check_limits(&self) -> Result<(), LedgerError> {
        let parts = [
            ("join tokens", self.tokens.len(), TOKENS_LIMIT),
            ("revoked tokens", self.revoked_tokens.len(), REVOKED_TOKENS_LIMIT),
            ("revoked identities", self.revoked_identities.len(), REVOKED_IDENTITIES_LIMIT),
            ("revoked certificates", self.revoked_serials.len(), REVOKED_SERIALS_LIMIT),
            ("enrolled machines", self.enrolments.len(), ENROLMENTS_LIMIT),
        ];
        match parts.into_iter().find(|(_, size, limit)| size > limit) {
            Some((what, would_be, limit)) => Err(LedgerError::Full { what, would_be, limit }),
            None => Ok(()),
        }
    }
}

/// Keeps the greater value, which makes every part of the ledger a maximum over what was ever said.
fn raise<K: Ord, V: Ord>(part: &mut BTreeMap<K, V>, key: K, value: V) {
    match part.entry(key) {
        std::collections::btree_map::Entry::Vacant(slot) => {
            slot.insert(value);
        }
        std::collections::btree_map::Entry::Occupied(mut slot) => {
            if *slot.get() < value {
                slot.insert(value);
            }
        }
    }
}

#[cfg(test)]
#[path = "trust_ledger_test.rs"]
mod tests;
