//! Secrets with tokens: bootstrap tokens, which sign `cluster-info` and go when they expire, and the endless tokens of
//! service accounts, which are made where a Secret asks for one and go with their account.
//!
//! Source: upstream's bootstrapsigner, tokencleaner and serviceaccount tokens controllers.

mod bootstrap;
mod service_account;
mod signer;

pub use bootstrap::BootstrapTokenCleaner;
pub use service_account::ServiceAccountTokenController;
pub use signer::BootstrapSigner;

use serde_json::Value;

/// What the controllers of tokens need of the world outside: keys.
pub trait TokenPowers: Send + Sync {
    /// The `data` of the Secret of a service account's token: `token`, `namespace`, `ca.crt`, each in base64; `None` while
    /// the cluster's key is not known.
    fn account_data(&self, account: &Value, secret: &Value) -> Option<Value>;

    /// The JWS of `content` without the content (RFC 7515, appendix F), HS256 under a bootstrap token.
    fn detached_signature(&self, content: &str, token_id: &str, token_secret: &str) -> String;
}

#[cfg(test)]
mod testing {
    use serde_json::json;
    use trireme_schema::view::View;

    use super::*;

    /// Powers that show what they were given.
    pub(super) struct Fake;

    impl TokenPowers for Fake {
        fn account_data(&self, account: &Value, secret: &Value) -> Option<Value> {
            let name = |object: &Value| object.at("metadata").text("name").to_owned();
            let token = format!("{} for {}", name(secret), name(account));
            Some(json!({"token": token, "namespace": "ns", "ca.crt": "ca"}))
        }

        fn detached_signature(&self, content: &str, token_id: &str, token_secret: &str) -> String {
            format!("{content}/{token_id}/{token_secret}")
        }
    }
}
