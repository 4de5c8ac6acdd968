//! [`Authentication`]: from what a request shows to a user.

use std::fmt;
use std::sync::Arc;

use thiserror::Error;
use trireme_pki::ClientCertificate;
use trireme_schema::status::{Failure, Status};

use super::bearer;
use crate::known::{ANONYMOUS, AUTHENTICATED, CREDENTIAL_ID, UNAUTHENTICATED};
use crate::quote::aggregate;
use crate::user::User;

/// What a request shows.
#[derive(Clone, Copy, Default)]
pub struct Credentials<'a> {
    /// The `Authorization` header.
    pub authorization: Option<&'a str>,
    /// The `Sec-WebSocket-Protocol` header of an upgrade.
    pub protocols: Option<&'a str>,
    /// The client certificate, judged by `trireme_pki::ClientAuthorities`, if the connection has one.
    pub certificate: Option<&'a ClientCertificate>,
    /// Why the certificate that was shown does not count, if it does not.
    pub certificate_refused: Option<&'a str>,
}

impl fmt::Debug for Credentials<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Tokens stay out of logs.
        f.debug_struct("Credentials")
            .field("token", &self.authorization.is_some())
            .field("certificate", &self.certificate.map(|certificate| &certificate.common_name))
            .field("certificate_refused", &self.certificate_refused)
            .finish_non_exhaustive()
    }
}

/// A user, and for which audiences the credentials count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authenticated {
    /// Who.
    pub user: Arc<User>,
    /// Audiences that were asked for and that the credentials are good for.
    pub audiences: Vec<String>,
}

/// Why a request has no identity. Its text goes to TokenReview; a client hears no more than `Unauthorized`.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{}", aggregate(.reasons))]
pub struct NotAuthenticated {
    /// What each part said.
    pub reasons: Vec<String>,
}

impl NotAuthenticated {
    /// The 401.
    pub fn failure(&self) -> Failure {
        Status::unauthorized("")
    }
}

/// Something that can read a bearer token. `Ok(None)` means: not one of mine.
pub trait TokenAuthenticator: Send + Sync {
    /// Reads a token for certain audiences (at least one); `now` is in Unix seconds.
    ///
    /// # Errors
    /// Why a token of this kind is not good.
    fn authenticate(
        &self,
        token: &str,
        audiences: &[String],
        now: i64,
    ) -> Result<Option<Authenticated>, String>;
}

/// Tries a client certificate, then a bearer token with each of its authenticators; without any credentials the user is
/// anonymous, if that is allowed.
pub struct Authentication {
    tokens: Vec<Arc<dyn TokenAuthenticator>>,
    audiences: Vec<String>,
    anonymous: bool,
}

/// What upstream says when no authenticator knows a token.
const INVALID_TOKEN: &str = "invalid bearer token";

impl Authentication {
    /// `audiences` are the server's own (`--api-audiences`, by default the issuer); `anonymous` is `--anonymous-auth`.
    pub fn new(audiences: Vec<String>, anonymous: bool) -> Self {
        Self { tokens: Vec::new(), audiences, anonymous }
    }

    /// Adds an authenticator of tokens, after those that are there.
    #[must_use]
    pub fn with_tokens(mut self, tokens: Arc<dyn TokenAuthenticator>) -> Self {
        self.tokens.push(tokens);
        self
    }

    /// The server's own audiences.
    pub fn audiences(&self) -> &[String] {
        &self.audiences
    }

    /// Finds out who a request comes from; `now` is in Unix seconds.
    ///
    /// # Errors
    /// Credentials were shown and none is good, or none was shown and the anonymous user is off: answer
    /// [`NotAuthenticated::failure`].
    pub fn authenticate(&self, shown: &Credentials<'_>, now: i64) -> Result<Authenticated, NotAuthenticated> {
        let mut reasons = Vec::new();
        if let Some(user) = shown.certificate.and_then(certificate_user) {
            return Ok(Authenticated { user: Arc::new(user), audiences: self.audiences.clone() });
        }
        reasons.extend(shown.certificate_refused.map(str::to_owned));
        let header = shown.authorization.and_then(bearer::of_header).map(str::to_owned);
        if let Some(token) = header.or_else(|| shown.protocols.and_then(bearer::of_protocols)) {
            match self.authenticate_token(&token, &self.audiences, now) {
                Ok(user) => return Ok(user),
                Err(error) => reasons.extend(error.reasons),
            }
        }
        if reasons.is_empty() && self.anonymous {
            let user = User::internal(ANONYMOUS, &[UNAUTHENTICATED]);
            return Ok(Authenticated { user: Arc::new(user), audiences: self.audiences.clone() });
        }
        Err(NotAuthenticated { reasons })
    }

    /// Reads a bearer token for certain audiences, as TokenReview does.
    ///
    /// # Errors
    /// Why it is not good, in upstream's words.
    pub fn authenticate_token(
        &self,
        token: &str,
        audiences: &[String],
        now: i64,
    ) -> Result<Authenticated, NotAuthenticated> {
        let mut reasons = vec![INVALID_TOKEN.to_owned()];
        for authenticator in &self.tokens {
            match authenticator.authenticate(token, audiences, now) {
                Ok(Some(found)) => return Ok(with_group(found)),
                Ok(None) => {}
                Err(reason) => reasons.push(reason),
            }
        }
        Err(NotAuthenticated { reasons })
    }
}

/// Adds the group of everybody who showed credentials.
fn with_group(mut found: Authenticated) -> Authenticated {
    if !found.user.is_in(AUTHENTICATED) && !found.user.is_in(UNAUTHENTICATED) {
        let user = Arc::make_mut(&mut found.user);
        user.groups.push(AUTHENTICATED.to_owned());
    }
    found
}

/// The user of a certificate: common name and organizations; `None` without a common name.
fn certificate_user(certificate: &ClientCertificate) -> Option<User> {
    if certificate.common_name.is_empty() {
        return None;
    }
    let mut groups = certificate.organizations.clone();
    if !groups.iter().any(|group| group == AUTHENTICATED) {
        groups.push(AUTHENTICATED.to_owned());
    }
    let fingerprint: String = certificate.sha256.iter().map(|byte| format!("{byte:02x}")).collect();
    Some(User {
        name: certificate.common_name.clone(),
        groups,
        extra: [(CREDENTIAL_ID.to_owned(), vec![format!("X509SHA256={fingerprint}")])].into(),
        ..User::default()
    })
}

/// Audiences asked for that a token without audiences of its own is good for: the server's.
pub(super) fn own_audiences(own: &[String], asked: &[String]) -> Option<Vec<String>> {
    let both: Vec<String> = asked.iter().filter(|audience| own.contains(audience)).cloned().collect();
    (!both.is_empty()).then_some(both)
}

#[cfg(test)]
#[path = "authentication_test.rs"]
mod tests;
