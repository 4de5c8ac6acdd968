//! [`TokenCache`]: tokens of service accounts for projected volumes, renewed before they end.

use std::collections::BTreeMap;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::{Value, json};
use trireme_core::Tick;
use trireme_kubelet_core::pod;
use trireme_schema::view::View;

use crate::clock::tick_now;
use crate::shared::Shared;

/// A token is renewed once this part of its life has passed (of ten).
const RENEW_AT_TENTHS: u32 = 8;
/// No token is kept longer than this (upstream: 24 h).
const AGE_LIMIT: Duration = Duration::from_secs(24 * 3_600);
/// Life of a token whose source names none.
const DEFAULT_SECONDS: i64 = 3_600;

/// Pod, service account, audience.
type Key = (String, String, String);

/// Tokens by pod, service account and audience, with the moment of renewal. A restart forgets them and asks anew.
#[derive(Default)]
pub(crate) struct TokenCache {
    tokens: Mutex<BTreeMap<Key, (String, Tick)>>,
}

impl TokenCache {
    pub(crate) fn forget_pod(&self, uid: &str) {
        self.tokens.lock().retain(|(pod, ..), _| pod != uid);
    }

    /// The token that a `serviceAccountToken` source asks for.
    pub(super) async fn token(&self, shared: &Shared, pod: &Value, source: &Value) -> Result<String, String> {
        let account = match pod.at("spec").text("serviceAccountName") {
            "" => "default",
            name => name,
        };
        let audience = source.text("audience");
        let key = (pod::uid(pod).to_owned(), account.to_owned(), audience.to_owned());
        let now = tick_now();
        let known =
            self.tokens.lock().get(&key).filter(|(_, renew)| now < *renew).map(|(token, _)| token.clone());
        if let Some(token) = known {
            return Ok(token);
        }
        let seconds = source.int("expirationSeconds").unwrap_or(DEFAULT_SECONDS);
        let audiences: Vec<&str> = Some(audience).filter(|own| !own.is_empty()).into_iter().collect();
        let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {
            "audiences": audiences, "expirationSeconds": seconds,
            "boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": pod::name(pod), "uid": pod::uid(pod)}}});
        let made = shared.api.create_token(pod::namespace(pod), account, request).await;
        let made = made.map_err(|error| format!("failed to fetch token: {error}"))?;
        let token = made.at("status").text("token").to_owned();
        if token.is_empty() {
            return Err("failed to fetch token: the answer holds none".to_owned());
        }
        let life = pod::seconds(made.at("spec").int("expirationSeconds").unwrap_or(seconds));
        let renew = now + (life * RENEW_AT_TENTHS / 10).min(AGE_LIMIT);
        self.tokens.lock().insert(key, (token.clone(), renew));
        Ok(token)
    }
}
