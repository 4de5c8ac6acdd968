//! The text an administrator hands to a machine that shall join.
//!
//! `T1<64 hex of the CA pin>::<id>.<secret>`: the pin lets the joiner know the cluster before it says anything,
//! `id.secret` is a Kubernetes bootstrap token (6 and 16 of `[a-z0-9]`) that lets the cluster know the joiner.
//! Role and expiry are not in the text: they stand in the issuer's ledger, where they can be changed and revoked.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::ca_certificate::CaPin;

/// Characters in a token's public id.
pub const TOKEN_ID_LENGTH: usize = 6;
/// Characters in a token's secret (82 bits).
pub const TOKEN_SECRET_LENGTH: usize = 16;
const ALPHABET: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
const PREFIX: &str = "T1";
const PIN_LENGTH: usize = 64;
const SEPARATOR: &str = "::";

/// What is wrong with a token's text. Copy it again from the machine that created it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TokenSyntaxError {
    /// Not ours, or of a later version.
    #[error("join token must begin with T1; copy the whole line that `trireme token create` printed")]
    Prefix,
    /// Fewer or other characters where the CA hash stands.
    #[error(
        "join token: after T1 come 64 hex digits of the CA hash and then `::`; the text is cut or changed there"
    )]
    Pin,
    /// Not 6 of `[a-z0-9]`.
    #[error("join token: the id before the dot must be 6 of [a-z0-9]")]
    Id,
    /// Not 16 of `[a-z0-9]`. The text is not repeated.
    #[error("join token: the secret after the dot must be 16 of [a-z0-9]")]
    Secret,
    /// No dot between id and secret.
    #[error("join token: after `::` comes <id>.<secret>, and there is no dot")]
    Dot,
    /// The operating system gave no randomness.
    #[error("join token: no randomness from the operating system")]
    NoRandomness,
}

/// The public id of a token.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TokenId(String);

impl TokenId {
    /// Checks the syntax.
    pub fn new(text: &str) -> Result<Self, TokenSyntaxError> {
        match in_alphabet(text, TOKEN_ID_LENGTH) {
            true => Ok(Self(text.to_owned())),
            false => Err(TokenSyntaxError::Id),
        }
    }

    /// The six characters.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for TokenId {
    type Error = TokenSyntaxError;
    fn try_from(text: String) -> Result<Self, TokenSyntaxError> {
        Self::new(&text)
    }
}

impl From<TokenId> for String {
    fn from(id: TokenId) -> Self {
        id.0
    }
}

/// The secret of a token. Never printed; wiped on drop; not comparable except through the ledger.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TokenSecret(Zeroizing<String>);

impl TokenSecret {
    /// Checks the syntax.
    pub fn new(text: &str) -> Result<Self, TokenSyntaxError> {
        match in_alphabet(text, TOKEN_SECRET_LENGTH) {
            true => Ok(Self(Zeroizing::new(text.to_owned()))),
            false => Err(TokenSyntaxError::Secret),
        }
    }

    /// The characters, for hashing or for handing the token out once.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for TokenSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenSecret(..)")
    }
}

impl TryFrom<String> for TokenSecret {
    type Error = TokenSyntaxError;
    fn try_from(text: String) -> Result<Self, TokenSyntaxError> {
        let text = Zeroizing::new(text);
        Self::new(&text)
    }
}

impl From<TokenSecret> for String {
    fn from(secret: TokenSecret) -> Self {
        secret.0.as_str().to_owned()
    }
}

/// A parsed join token.
#[derive(Clone)]
pub struct JoinToken {
    pin: CaPin,
    id: TokenId,
    secret: TokenSecret,
}

impl JoinToken {
    /// A fresh token for the cluster with this authority.
    pub fn generate(pin: CaPin) -> Result<Self, TokenSyntaxError> {
        let id = TokenId::new(&random_text(TOKEN_ID_LENGTH)?)?;
        let secret = TokenSecret::new(&random_text(TOKEN_SECRET_LENGTH)?)?;
        Ok(Self { pin, id, secret })
    }

    /// Puts a token together from its parts.
    pub fn from_parts(pin: CaPin, id: TokenId, secret: TokenSecret) -> Self {
        Self { pin, id, secret }
    }

    /// Which authority the joiner must find at the other end.
    pub fn pin(&self) -> CaPin {
        self.pin
    }

    /// The public id.
    pub fn id(&self) -> &TokenId {
        &self.id
    }

    /// The secret.
    pub fn secret(&self) -> &TokenSecret {
        &self.secret
    }

    /// The whole token as text. Named so that it is not printed by accident.
    pub fn expose_text(&self) -> Zeroizing<String> {
        Zeroizing::new(format!("{PREFIX}{}{SEPARATOR}{}.{}", self.pin, self.id, self.secret.expose()))
    }
}

impl fmt::Debug for JoinToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinToken").field("pin", &self.pin).field("id", &self.id).finish_non_exhaustive()
    }
}

impl FromStr for JoinToken {
    type Err = TokenSyntaxError;
    fn from_str(text: &str) -> Result<Self, TokenSyntaxError> {
        let rest = text.trim().strip_prefix(PREFIX).ok_or(TokenSyntaxError::Prefix)?;
        let (pin, bootstrap) = rest.split_once(SEPARATOR).ok_or(TokenSyntaxError::Pin)?;
        if pin.len() != PIN_LENGTH {
            return Err(TokenSyntaxError::Pin);
        }
        let pin = pin.parse().map_err(|_| TokenSyntaxError::Pin)?;
        let (id, secret) = bootstrap.split_once('.').ok_or(TokenSyntaxError::Dot)?;
        Ok(Self { pin, id: TokenId::new(id)?, secret: TokenSecret::new(secret)? })
    }
}

fn in_alphabet(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|byte| ALPHABET.contains(&byte))
}

/// Uniform over the alphabet: bytes from the biased tail (252 and above) are thrown away.
fn random_text(length: usize) -> Result<Zeroizing<String>, TokenSyntaxError> {
    const FAIR: u8 = 252;
    let mut text = Zeroizing::new(String::with_capacity(length));
    let mut pool = Zeroizing::new([0_u8; 64]);
    while text.len() < length {
        aws_lc_rs::rand::fill(&mut pool[..]).map_err(|_| TokenSyntaxError::NoRandomness)?;
        for byte in pool.iter().filter(|byte| **byte < FAIR).take(length - text.len()) {
            text.push(char::from(ALPHABET[usize::from(byte % 36)]));
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PIN: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

    fn text(rest: &str) -> String {
        format!("T1{PIN}::{rest}")
    }

    #[test]
    fn round_trip_and_randomness() {
        let token = JoinToken::generate(PIN.parse().unwrap()).unwrap();
        let again: JoinToken = token.expose_text().parse().unwrap();
        assert_eq!(again.pin(), token.pin());
        assert_eq!(again.id(), token.id());
        assert_eq!(again.secret().expose(), token.secret().expose());
        let other = JoinToken::generate(token.pin()).unwrap();
        assert_ne!(other.secret().expose(), token.secret().expose());
    }

    #[test]
    fn errors_say_what_is_wrong() {
        let parse = |text: &str| text.parse::<JoinToken>().unwrap_err();
        assert_eq!(parse("abcdef.0123456789abcdef"), TokenSyntaxError::Prefix);
        assert_eq!(parse("T1abc::abcdef.0123456789abcdef"), TokenSyntaxError::Pin);
        assert_eq!(parse(&text("abcdef.0123456789abcdef").replace("00", "0G")), TokenSyntaxError::Pin);
        assert_eq!(parse(&text("abcdef")), TokenSyntaxError::Dot);
        assert_eq!(parse(&text("abcde.0123456789abcdef")), TokenSyntaxError::Id);
        assert_eq!(parse(&text("abcdeF.0123456789abcdef")), TokenSyntaxError::Id);
        assert_eq!(parse(&text("abcdef.0123456789abcde")), TokenSyntaxError::Secret);
        assert_eq!(parse(&text("abcdef.0123456789abcdef0")), TokenSyntaxError::Secret);
        assert!(format!(" {}\n", text("abcdef.0123456789abcdef")).parse::<JoinToken>().is_ok());
    }

    #[test]
    fn debug_never_prints_the_secret() {
        let token: JoinToken = text("abcdef.0123456789abcdef").parse().unwrap();
        let debug = format!("{token:?} {:?}", token.secret());
        assert!(!debug.contains("0123456789abcdef\"") && !debug.contains("6789abcdef "), "{debug}");
        assert!(debug.contains("abcdef"), "the id is public: {debug}");
        assert!(!debug.replace(PIN, "").contains("0123456789abcdef"));
    }
}
