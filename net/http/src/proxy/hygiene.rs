//! Which headers pass a proxy: pure.

use std::net::IpAddr;

use http::header::{
    AUTHORIZATION, CONNECTION, HOST, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING,
    UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::websocket::{has_token, tokens};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_URI: HeaderName = HeaderName::from_static("x-forwarded-uri");

/// Headers that belong to one hop (RFC 9110, section 7.6.1).
const HOP_BY_HOP: [HeaderName; 9] = [
    CONNECTION,
    KEEP_ALIVE,
    PROXY_CONNECTION,
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];
/// Who the client says it is: the API server has read it, and the backend must not be able to use or believe it.
const IDENTITY_PREFIXES: [&str; 2] = ["impersonate-", "x-remote-"];

/// What the backend is told about the front.
#[derive(Clone, Debug)]
pub struct ForwardedBy {
    /// The client's address.
    pub client: IpAddr,
    /// Path under which the client reaches the backend's root, such as `/api/v1/namespaces/a/services/b/proxy/`.
    pub prefix: String,
}

/// Whether a client asks for another protocol on its connection.
pub fn wants_upgrade(headers: &HeaderMap) -> bool {
    has_token(headers, &CONNECTION, "upgrade") && headers.contains_key(UPGRADE)
}

/// Makes a client's headers fit for a backend. Gives the protocol of an upgrade, which then is to be passed on.
pub fn clean_request_headers(headers: &mut HeaderMap, by: &ForwardedBy) -> Option<HeaderValue> {
    let upgrade = has_token(headers, &CONNECTION, "upgrade").then(|| headers.get(UPGRADE).cloned()).flatten();
    let trailers = has_token(headers, &TE, "trailers");
    remove_hop_by_hop(headers);
    headers.remove(AUTHORIZATION);
    let is_identity =
        |name: &HeaderName| IDENTITY_PREFIXES.iter().any(|prefix| name.as_str().starts_with(prefix));
    let identity: Vec<HeaderName> = headers.keys().filter(|name| is_identity(name)).cloned().collect();
    identity.iter().for_each(|name| drop(headers.remove(name)));
    if trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    let before: Vec<String> = tokens(headers, &FORWARDED_FOR).map(str::to_owned).collect();
    let chain = before.into_iter().chain([by.client.to_string()]).collect::<Vec<_>>().join(", ");
    set(headers, FORWARDED_FOR, &chain);
    if let Some(host) = headers.get(HOST).cloned() {
        headers.insert(FORWARDED_HOST, host);
    }
    set(headers, FORWARDED_PROTO, "https");
    set(headers, FORWARDED_URI, &by.prefix);
    if let Some(protocol) = &upgrade {
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, protocol.clone());
    }
    upgrade
}

/// Makes a backend's headers fit for the client.
pub fn clean_response_headers(headers: &mut HeaderMap) {
    remove_hop_by_hop(headers);
}

fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> =
        tokens(headers, &CONNECTION).filter_map(|token| token.parse::<HeaderName>().ok()).collect();
    named.iter().chain(&HOP_BY_HOP).for_each(|name| drop(headers.remove(name)));
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&str, &str)| {
            (name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap())
        };
        fields.iter().map(pair).collect()
    }

    fn by() -> ForwardedBy {
        ForwardedBy { client: IpAddr::from([10, 0, 0, 9]), prefix: "/api/v1/proxy/".to_owned() }
    }

    #[test]
    fn hops_and_identities_do_not_pass() {
        let mut fields = headers(&[
            ("connection", "close, x-secret"),
            ("x-secret", "1"),
            ("keep-alive", "5"),
            ("te", "gzip"),
            ("authorization", "Bearer t"),
            ("impersonate-user", "root"),
            ("x-remote-group", "system:masters"),
            ("x-forwarded-for", "1.2.3.4"),
            ("host", "api:6443"),
            ("accept", "*/*"),
        ]);
        assert_eq!(clean_request_headers(&mut fields, &by()), None);
        let expected = headers(&[
            ("x-forwarded-for", "1.2.3.4, 10.0.0.9"),
            ("x-forwarded-host", "api:6443"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-uri", "/api/v1/proxy/"),
            ("host", "api:6443"),
            ("accept", "*/*"),
        ]);
        assert_eq!(fields, expected);
    }

    #[test]
    fn an_upgrade_passes_and_only_with_its_connection_token() {
        let mut fields = headers(&[("connection", "Upgrade"), ("upgrade", "SPDY/3.1"), ("te", "trailers")]);
        assert_eq!(clean_request_headers(&mut fields, &by()), Some(HeaderValue::from_static("SPDY/3.1")));
        let passed = ["connection", "upgrade", "te"].map(|name| fields[name].to_str().unwrap());
        assert_eq!(passed, ["Upgrade", "SPDY/3.1", "trailers"]);
        let mut fields = headers(&[("upgrade", "SPDY/3.1")]);
        assert_eq!(clean_request_headers(&mut fields, &by()), None);
        assert!(!fields.contains_key("upgrade"));
        let mut fields = headers(&[("transfer-encoding", "chunked"), ("content-type", "text/plain")]);
        clean_response_headers(&mut fields);
        assert_eq!(fields, headers(&[("content-type", "text/plain")]));
    }
}
