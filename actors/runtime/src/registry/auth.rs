//! Answering a registry's challenge: basic, or a token from its token server.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderValue, Method, StatusCode, header};
use serde::Deserialize;
use trireme_node::PullCredentials;

use crate::fail::{OrFail, Outcome, invalid};
use crate::registry::client::{Ask, Client, document, empty, whole};

/// What a registry asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    Basic,
    Bearer { realm: String, service: String, scope: String },
}

#[derive(Deserialize)]
struct Token {
    #[serde(default)]
    token: String,
    #[serde(default)]
    access_token: String,
}

impl Challenge {
    /// Reads one `WWW-Authenticate` header.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
        if scheme.eq_ignore_ascii_case("basic") {
            return Some(Self::Basic);
        }
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let mut fields = parameters(rest);
        let mut take = |name: &str| fields.remove(name).unwrap_or_default();
        let (realm, service, scope) = (take("realm"), take("service"), take("scope"));
        (!realm.is_empty()).then_some(Self::Bearer { realm, service, scope })
    }
}

fn parameters(text: &str) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    let mut rest = text;
    while let Some((name, after)) = rest.split_once('=') {
        let name = name.trim_matches([' ', ',']).to_ascii_lowercase();
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => after.split_once(',').unwrap_or((after, "")),
        };
        all.insert(name, value.to_owned());
        rest = after;
    }
    all
}

/// The header that answers a challenge; `None` when there is nothing to answer with.
pub(super) async fn answer(client: &Client<'_>, challenge: &Challenge) -> Outcome<Option<HeaderValue>> {
    let credentials = client.credentials.as_ref();
    let (realm, service, scope) = match challenge {
        Challenge::Basic => return Ok(credentials.and_then(basic)),
        Challenge::Bearer { realm, service, scope } => (realm, service, scope),
    };
    let scope = if scope.is_empty() {
        format!("repository:{}:{}", client.endpoint.repository, client.actions)
    } else {
        scope.clone()
    };
    if client.endpoint.tls && !realm.starts_with("https://") {
        return Err(invalid(format!(
            "the registry's token server {realm} is not https, so it gets no credentials"
        )));
    }
    let identity = credentials.filter(|one| !one.identity_token.is_empty());
    let (ask, body) = match identity {
        Some(identity) => {
            let form = [
                ("grant_type", "refresh_token"),
                ("service", service),
                ("scope", &scope),
                ("client_id", "trireme"),
                ("refresh_token", &identity.identity_token),
            ];
            let form: Vec<String> =
                form.iter().map(|(name, value)| format!("{name}={}", escape(value))).collect();
            let ask = Ask::new(Method::POST, realm.clone());
            let ask = ask.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
            (ask, whole(form.join("&").into_bytes()))
        }
        None => {
            let mark = if realm.contains('?') { '&' } else { '?' };
            let url = format!("{realm}{mark}service={}&scope={}", escape(service), escape(&scope));
            let mut ask = Ask::new(Method::GET, url);
            if let Some(value) = credentials.and_then(basic) {
                ask.headers.insert(header::AUTHORIZATION, value);
            }
            (ask, empty())
        }
    };
    let response = client.send(ask, body).await?;
    if response.status() != StatusCode::OK {
        return Ok(None);
    }
    let token: Token = serde_json::from_slice(&document(response).await?)
        .or_fail(|| format!("the answer of {realm} is damaged"))?;
    let token = if token.token.is_empty() { token.access_token } else { token.token };
    Ok(secret(&format!("Bearer {token}")))
}

fn basic(credentials: &PullCredentials) -> Option<HeaderValue> {
    if credentials.username.is_empty() && credentials.password.is_empty() {
        return None;
    }
    let pair = format!("{}:{}", credentials.username, credentials.password);
    secret(&format!("Basic {}", STANDARD.encode(pair)))
}

fn secret(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Percent-encodes a value of a query or form.
fn escape(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_read() {
        let text = r#"Bearer realm="https://auth.test/token",service="reg",scope="repository:a/b:pull,push""#;
        let want = Challenge::Bearer {
            realm: "https://auth.test/token".into(),
            service: "reg".into(),
            scope: "repository:a/b:pull,push".into(),
        };
        assert_eq!(Challenge::parse(text), Some(want));
        assert_eq!(Challenge::parse("Basic realm=x"), Some(Challenge::Basic));
        assert_eq!(Challenge::parse("Negotiate"), None);
        assert_eq!(Challenge::parse("Bearer service=x"), None);
        assert_eq!(escape("a b:c/d"), "a%20b%3Ac%2Fd");
    }
}
