//! [`ClusterTokens`]: the keys of service account tokens and of bootstrap tokens' signatures.

use std::sync::Arc;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use trireme_apiserver::Server;
use trireme_controllers::TokenPowers;

/// See the module.
pub struct ClusterTokens {
    server: Arc<Server>,
    root_certificates: String,
}

impl ClusterTokens {
    /// With this server's key; `root_certificates` (PEM) is what pods know the API server by.
    pub fn new(server: Arc<Server>, root_certificates: String) -> Self {
        Self { server, root_certificates }
    }
}

fn detached(content: &str, token_id: &str, token_secret: &str) -> String {
    let header = serde_json::json!({"alg": "HS256", "kid": token_id}).to_string();
    let header = URL_SAFE_NO_PAD.encode(header);
    let message = format!("{header}.{}", URL_SAFE_NO_PAD.encode(content));
    let key = hmac::Key::new(hmac::HMAC_SHA256, token_secret.as_bytes());
    format!("{header}..{}", URL_SAFE_NO_PAD.encode(hmac::sign(&key, message.as_bytes())))
}

impl TokenPowers for ClusterTokens {
    fn account_data(&self, account: &Value, secret: &Value) -> Option<Value> {
        let issuer = self.server.token_issuer()?;
        let made = issuer.legacy_data(account, secret, &self.root_certificates);
        made.inspect_err(|error| tracing::error!(%error, "a service account's token is not signed")).ok()
    }

    fn detached_signature(&self, content: &str, token_id: &str, token_secret: &str) -> String {
        detached(content, token_id, token_secret)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_upstreams() {
        // From the tests of k8s.io/cluster-bootstrap: content, id and secret, and their signature.
        let wanted = "eyJhbGciOiJIUzI1NiIsImtpZCI6Impvc2h1YSJ9..VShe2taLd-YTrmWuRkcL_8QTNDHYxQIEBsAYYiIj1_8";
        assert_eq!(
            detached(
                "Hello from the other side. I must have called a thousand times.",
                "joshua",
                "my voice is my passcode"
            ),
            wanted
        );
    }
}
