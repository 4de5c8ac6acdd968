//! [`BootstrapTokens`]: tokens with which machines join, kept as secrets in `kube-system`.

use std::sync::Arc;

use aws_lc_rs::constant_time;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use trireme_schema::objects::Objects;
use trireme_schema::time::Moment;
use trireme_schema::view::View;

use super::authentication::{Authenticated, TokenAuthenticator, own_audiences};
use crate::known::BOOTSTRAPPERS;
use crate::user::User;

const NAMESPACE: &str = "kube-system";
const SECRET_TYPE: &str = "bootstrap.kubernetes.io/token";
/// Characters of a token's id and of its secret.
const ID_CHARACTERS: usize = 6;
const SECRET_CHARACTERS: usize = 16;
/// Most characters of an extra group after `system:bootstrappers:`.
const GROUP_CHARACTERS: usize = 256;

/// Reads `<id>.<secret>` tokens from Secrets of type `bootstrap.kubernetes.io/token`.
pub struct BootstrapTokens {
    objects: Arc<dyn Objects>,
    audiences: Vec<String>,
}

impl BootstrapTokens {
    /// Over the cluster's secrets; `audiences` are the server's own.
    pub fn new(objects: Arc<dyn Objects>, audiences: Vec<String>) -> Self {
        Self { objects, audiences }
    }

    fn user(&self, token: &str, now: i64) -> Option<User> {
        let (id, secret) = split(token)?;
        let object = self.objects.get("", "secrets", NAMESPACE, &format!("bootstrap-token-{id}"))?;
        if object.at("metadata").has("deletionTimestamp") || object.text("type") != SECRET_TYPE {
            return None;
        }
        let field = |name: &str| data(&object, name);
        let same =
            constant_time::verify_slices_are_equal(field("token-secret")?.as_bytes(), secret.as_bytes());
        if same.is_err() || field("token-id")? != id || expired(field("expiration").as_deref(), now) {
            return None;
        }
        if field("usage-bootstrap-authentication")? != "true" {
            return None;
        }
        let groups = groups(&field("auth-extra-groups").unwrap_or_default())?;
        Some(User { name: format!("system:bootstrap:{id}"), groups, ..User::default() })
    }
}

fn split(token: &str) -> Option<(&str, &str)> {
    let (id, secret) = token.split_once('.')?;
    let plain = |text: &str, length: usize| {
        text.len() == length && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    };
    (plain(id, ID_CHARACTERS) && plain(secret, SECRET_CHARACTERS)).then_some((id, secret))
}

fn data(secret: &Value, name: &str) -> Option<String> {
    let bytes = STANDARD.decode(secret.at("data").at(name).as_str()?).ok()?;
    String::from_utf8(bytes).ok()
}

/// A token without an end lasts; one whose end cannot be read is over.
fn expired(expiration: Option<&str>, now: i64) -> bool {
    match expiration {
        None | Some("") => false,
        Some(text) => !Moment::parse_time(text).is_ok_and(|end| end.unix_seconds() > now),
    }
}

/// The groups of a token; `None` when one of the extra ones is not allowed.
fn groups(extra: &str) -> Option<Vec<String>> {
    let mut out = vec![BOOTSTRAPPERS.to_owned()];
    for group in extra.split(',').filter(|group| !group.is_empty()) {
        let name = group.strip_prefix(BOOTSTRAPPERS)?.strip_prefix(':')?;
        let last = name.bytes().next_back()?;
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let middle = name.bytes().all(|b| allowed(b) || b == b':' || b == b'-');
        if !allowed(last) || !middle || name.len() > GROUP_CHARACTERS {
            return None;
        }
        if !out.iter().any(|own| own == group) {
            out.push(group.to_owned());
        }
    }
    out.sort();
    Some(out)
}

impl TokenAuthenticator for BootstrapTokens {
    fn authenticate(
        &self,
        token: &str,
        audiences: &[String],
        now: i64,
    ) -> Result<Option<Authenticated>, String> {
        let Some(audiences) = own_audiences(&self.audiences, audiences) else { return Ok(None) };
        Ok(self.user(token, now).map(|user| Authenticated { user: Arc::new(user), audiences }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use trireme_schema::objects::MemoryObjects;

    const TOKEN: &str = "abcdef.0123456789abcdef";

    fn secret(change: impl FnOnce(&mut Value)) -> Option<User> {
        let text = |text: &str| STANDARD.encode(text);
        let mut secret = json!({"metadata":{"namespace":"kube-system","name":"bootstrap-token-abcdef"},
            "type":SECRET_TYPE,"data":{"token-id":text("abcdef"),"token-secret":text("0123456789abcdef"),
            "usage-bootstrap-authentication":text("true"),"expiration":text("2001-01-01T00:00:00Z"),
            "auth-extra-groups":text("system:bootstrappers:worker")}});
        change(&mut secret);
        let mut objects = MemoryObjects::default();
        objects.put("", "secrets", secret);
        let tokens = BootstrapTokens::new(Arc::new(objects), vec!["api".to_owned()]);
        let found = tokens.authenticate(TOKEN, &["api".to_owned()], 978_307_199).unwrap();
        found.map(|found| (*found.user).clone())
    }

    #[test]
    fn a_good_token_gives_name_and_groups() {
        let user = secret(|_| {}).unwrap();
        assert_eq!(user.name, "system:bootstrap:abcdef");
        assert_eq!(user.groups, ["system:bootstrappers", "system:bootstrappers:worker"]);
    }

    #[test]
    fn bootstrap_token_refused_when_over_deleted_or_not_for_this() {
        let text = |text: &str| json!(STANDARD.encode(text));
        for (what, field, value) in [
            ("over", "expiration", text("2000-12-31T23:59:59Z")),
            ("unreadable end", "expiration", text("tomorrow")),
            ("other secret", "token-secret", text("ffffffffffffffff")),
            ("other id", "token-id", text("ffffff")),
            ("usage", "usage-bootstrap-authentication", text("false")),
            ("group", "auth-extra-groups", text("system:masters")),
        ] {
            assert_eq!(secret(|s| s["data"][field] = value), None, "{what}");
        }
        assert_eq!(secret(|s| s["metadata"]["deletionTimestamp"] = json!("2000-01-01T00:00:00Z")), None);
        assert_eq!(secret(|s| s["type"] = json!("Opaque")), None);
    }
}
