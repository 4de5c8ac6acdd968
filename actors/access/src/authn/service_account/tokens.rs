//! [`ServiceAccountTokens`]: reads tokens of service accounts.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use trireme_schema::objects::Objects;
use trireme_schema::time::Moment;
use trireme_schema::view::View;

use super::super::authentication::{Authenticated, TokenAuthenticator};
use super::claims::{BoundObject, audiences};
use super::key::VerifyingKey;
use super::legacy;
use super::verified::Verified;
use crate::known::{
    CREDENTIAL_ID, NODE_NAME, NODE_UID, POD_NAME, POD_UID, service_account_groups, service_account_user,
};
use crate::quote::quote_list;
use crate::user::User;

/// How far clocks may be apart, in seconds; also how long a token outlives the deletion of what it is bound to.
const LEEWAY_SECONDS: i64 = 60;
/// Longest token that is looked at, in bytes.
const TOKEN_LIMIT_BYTES: usize = 64 * 1024;

/// Checks signature, time and audiences of a token, then what it is bound to, against the cluster as it is.
pub struct ServiceAccountTokens {
    issuers: Vec<String>,
    keys: Vec<VerifyingKey>,
    api_audiences: Vec<String>,
    objects: Arc<dyn Objects>,
    verified: Verified,
}

/// A service account that a token was found to stand for.
pub(super) struct Account {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) uid: String,
    pub(super) extra: BTreeMap<String, Vec<String>>,
}

struct Parsed<'a> {
    key_id: String,
    algorithm: String,
    claims: Value,
    message: &'a str,
    signature: &'a str,
}

fn parse(token: &str) -> Option<Parsed<'_>> {
    if token.len() > TOKEN_LIMIT_BYTES {
        return None;
    }
    let (message, signature) = token.rsplit_once('.')?;
    let (header, claims) = message.split_once('.')?;
    let json = |text: &str| serde_json::from_slice::<Value>(&URL_SAFE_NO_PAD.decode(text).ok()?).ok();
    let (header, claims) = (json(header)?, json(claims)?);
    Some(Parsed {
        key_id: header.text("kid").to_owned(),
        algorithm: header.text("alg").to_owned(),
        claims,
        message,
        signature,
    })
}

impl ServiceAccountTokens {
    /// `issuers` are the names under which tokens are made (the first) or were made; `keys` the public keys, the newest
    /// first; `api_audiences` the server's own, which tokens without audiences are for.
    pub fn new(
        issuers: Vec<String>,
        keys: Vec<VerifyingKey>,
        api_audiences: Vec<String>,
        objects: Arc<dyn Objects>,
    ) -> Self {
        Self { issuers, keys, api_audiences, objects, verified: Verified::default() }
    }

    /// The keys that a token may be signed with: by its `kid`, or all.
    fn signed(&self, token: &Parsed<'_>) -> bool {
        let named = |key: &&VerifyingKey| token.key_id.is_empty() || key.id() == token.key_id;
        // A key is only ever used with its own algorithm, whatever the token claims.
        let fits = |key: &&VerifyingKey| key.algorithm_name() == token.algorithm;
        self.keys.iter().filter(named).filter(fits).any(|key| key.verifies(token.signature, token.message))
    }

    /// The claims of a token that is signed by one of the keys; `None` when it is not one of these issuers'.
    fn claims(&self, text: &str) -> Result<Option<Arc<Value>>, String> {
        if let Some(claims) = self.verified.claims(text) {
            return Ok(Some(claims));
        }
        let Some(token) = parse(text) else { return Ok(None) };
        let issuer = token.claims.text("iss");
        if issuer != legacy::ISSUER && !self.issuers.iter().any(|own| own == issuer) {
            return Ok(None);
        }
        if !self.signed(&token) {
            return Err("go-jose/go-jose: error in cryptographic primitive".to_owned());
        }
        let claims = Arc::new(token.claims);
        self.verified.keep(text, &claims);
        Ok(Some(claims))
    }

    fn check(&self, text: &str, claims: &Value, now: i64) -> Result<Account, String> {
        check_times(claims, now)?;
        let before = now - LEEWAY_SECONDS;
        if claims.text("iss") == legacy::ISSUER {
            legacy::check(text, claims, &*self.objects, before)
        } else {
            check_bound(claims, &*self.objects, before)
        }
    }
}

fn check_times(claims: &Value, now: i64) -> Result<(), String> {
    // Whole seconds or fractions, as RFC 7519 allows.
    #[allow(clippy::cast_possible_truncation)] // saturates, and no moment lies out there
    let moment = |name: &str| claims.at(name).as_f64().map(|seconds| seconds as i64);
    let text = |text: &str| Err(text.to_owned());
    if moment("nbf").is_some_and(|start| now + LEEWAY_SECONDS < start) {
        return text("service account token is not valid yet");
    }
    if moment("exp").is_some_and(|end| now - LEEWAY_SECONDS > end) {
        return text("service account token has expired");
    }
    if moment("iat").is_some_and(|made| now + LEEWAY_SECONDS < made) {
        return text("service account token is issued in the future");
    }
    Ok(())
}

/// Whether an object was deleted before a moment (its deletion may still wait for finalizers).
pub(super) fn deleted_before(object: &Value, before: i64) -> bool {
    let deleted = object.at("metadata").text("deletionTimestamp");
    !deleted.is_empty() && Moment::parse_time(deleted).is_ok_and(|moment| moment.unix_seconds() < before)
}

pub(super) fn check_account(
    objects: &dyn Objects,
    namespace: &str,
    name: &str,
    uid: &str,
    before: i64,
) -> Result<Account, String> {
    let found = objects.get("", "serviceaccounts", namespace, name);
    let found = found.ok_or_else(|| format!("serviceaccounts {} not found", crate::quote::quote(name)))?;
    if deleted_before(&found, before) {
        return Err(format!("service account {namespace}/{name} has been deleted"));
    }
    let own = found.at("metadata").text("uid");
    if own != uid {
        return Err(format!("service account UID ({own}) does not match claim ({uid})"));
    }
    Ok(Account {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        uid: uid.to_owned(),
        extra: BTreeMap::new(),
    })
}

fn check_reference(
    objects: &dyn Objects,
    resource: &str,
    namespace: &str,
    bound: &BoundObject,
    before: i64,
) -> Result<(), String> {
    let kind = resource.trim_end_matches('s');
    let invalidated = || "service account token has been invalidated".to_owned();
    let found = objects.get("", resource, namespace, &bound.name).ok_or_else(invalidated)?;
    if deleted_before(&found, before) {
        return Err(invalidated());
    }
    let own = found.at("metadata").text("uid");
    if own != bound.uid {
        return Err(format!(
            "{kind} UID ({own}) does not match service account {kind} ref claim ({})",
            bound.uid
        ));
    }
    Ok(())
}

fn check_bound(claims: &Value, objects: &dyn Objects, before: i64) -> Result<Account, String> {
    let own = claims.at("kubernetes.io");
    let namespace = own.text("namespace");
    let account = BoundObject::from_claim(own.at("serviceaccount"));
    let account = account.ok_or("service account token claims could not be validated")?;
    let mut found = check_account(objects, namespace, &account.name, &account.uid, before)?;
    let [secret, pod, node] = ["secret", "pod", "node"].map(|name| BoundObject::from_claim(own.at(name)));
    if let Some(secret) = secret {
        check_reference(objects, "secrets", namespace, &secret, before)?;
    }
    let mut extra = |key: &str, value: String| {
        if !value.is_empty() {
            found.extra.insert(key.to_owned(), vec![value]);
        }
    };
    match (&pod, &node) {
        (Some(pod), _) => {
            check_reference(objects, "pods", namespace, pod, before)?;
            extra(POD_NAME, pod.name.clone());
            extra(POD_UID, pod.uid.clone());
        }
        (None, Some(node)) => check_reference(objects, "nodes", "", node, before)?,
        (None, None) => {}
    }
    if let Some(node) = node {
        extra(NODE_NAME, node.name);
        extra(NODE_UID, node.uid);
    }
    let id = claims.text("jti");
    if !id.is_empty() {
        extra(CREDENTIAL_ID, format!("JTI={id}"));
    }
    Ok(found)
}

impl TokenAuthenticator for ServiceAccountTokens {
    fn authenticate(&self, text: &str, asked: &[String], now: i64) -> Result<Option<Authenticated>, String> {
        let Some(claims) = self.claims(text)? else { return Ok(None) };
        let old = claims.text("iss") == legacy::ISSUER;
        let mut good_for = audiences(&claims);
        if good_for.is_empty() && old {
            good_for.clone_from(&self.api_audiences);
        }
        let audiences: Vec<String> = asked.iter().filter(|one| good_for.contains(one)).cloned().collect();
        if audiences.is_empty() {
            return Err(format!(
                "token audiences {} is invalid for the target audiences {}",
                quote_list(&good_for),
                quote_list(asked)
            ));
        }
        let account = self.check(text, &claims, now)?;
        let user = User {
            name: service_account_user(&account.namespace, &account.name),
            uid: account.uid,
            groups: service_account_groups(&account.namespace),
            extra: account.extra,
        };
        Ok(Some(Authenticated { user: Arc::new(user), audiences }))
    }
}

#[cfg(test)]
#[path = "tokens_test.rs"]
mod tests;
