//! Endless tokens in Secrets: what they claim and when that is believed.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use trireme_schema::objects::Objects;
use trireme_schema::view::View;

use super::tokens::{Account, check_account, deleted_before};
use crate::known::split_service_account;
use crate::quote::quote;

/// The issuer such tokens name.
pub(super) const ISSUER: &str = "kubernetes/serviceaccount";
pub(super) const NAMESPACE: &str = "kubernetes.io/serviceaccount/namespace";
pub(super) const ACCOUNT_NAME: &str = "kubernetes.io/serviceaccount/service-account.name";
pub(super) const ACCOUNT_UID: &str = "kubernetes.io/serviceaccount/service-account.uid";
pub(super) const SECRET_NAME: &str = "kubernetes.io/serviceaccount/secret.name";
/// Label of a Secret whose token nobody may use any more.
const INVALID_SINCE: &str = "kubernetes.io/legacy-token-invalid-since";

/// Checks the claims against the Secret and the ServiceAccount as they are; `before` is the moment before which a
/// deletion ends the token.
pub(super) fn check(
    token: &str,
    claims: &Value,
    objects: &dyn Objects,
    before: i64,
) -> Result<Account, String> {
    let [namespace, name, uid, secret] =
        [NAMESPACE, ACCOUNT_NAME, ACCOUNT_UID, SECRET_NAME].map(|claim| claims.text(claim).to_owned());
    for (claim, what) in [
        (&namespace, "namespace"),
        (&secret, "secretName"),
        (&name, "serviceAccountName"),
        (&uid, "serviceAccountUID"),
    ] {
        if claim.is_empty() {
            return Err(format!("{what} claim is missing"));
        }
    }
    if claims.has("sub") && split_service_account(claims.text("sub")) != Some((&namespace, &name)) {
        return Err("sub claim is invalid".to_owned());
    }
    let invalidated = || "service account token has been invalidated".to_owned();
    let found = objects.get("", "secrets", &namespace, &secret).ok_or_else(invalidated)?;
    if deleted_before(&found, before) {
        return Err(invalidated());
    }
    let kept = STANDARD.decode(found.at("data").text("token")).unwrap_or_default();
    if kept != token.as_bytes() {
        return Err("token does not match server's copy".to_owned());
    }
    let since = found.at("metadata").at("labels").text(INVALID_SINCE);
    if !since.is_empty() {
        return Err(format!(
            "the token in secret {} for service account {} has been marked invalid since {since}. Use tokens from the \
             TokenRequest API or manually created secret-based tokens, or remove the {} label from the secret to \
             temporarily allow use of this token",
            quote(&format!("{namespace}/{secret}")),
            quote(&format!("{namespace}/{name}")),
            quote(INVALID_SINCE),
        ));
    }
    check_account(objects, &namespace, &name, &uid, before)
}
