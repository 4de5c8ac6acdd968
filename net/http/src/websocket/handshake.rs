//! The opening handshake, as a pure decision on a request's head.

use http::header::{
    CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION,
    UPGRADE,
};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::refusal::Refusal;

/// Most subprotocols of one request that are looked at.
const PROTOCOLS_LIMIT: usize = 32;

/// True when the request asks for a WebSocket.
pub fn is_websocket_request(head: &Parts) -> bool {
    has_token(&head.headers, &CONNECTION, "upgrade") && has_token(&head.headers, &UPGRADE, "websocket")
}

/// A request for a WebSocket that can be answered.
#[derive(Clone, Debug)]
pub struct WebSocketOffer {
    accept: HeaderValue,
    protocols: Vec<String>,
}

impl WebSocketOffer {
    /// Subprotocols that the client asks for, in its order.
    pub fn protocols(&self) -> &[String] {
        &self.protocols
    }

    /// The client's first subprotocol that is among `served`; `None` when it asked for none, which is served only
    /// when `served` has the empty name.
    pub fn choose<'a>(&self, served: &[&'a str]) -> Result<Option<&'a str>, Refusal> {
        if self.protocols.is_empty() && served.contains(&"") {
            return Ok(None);
        }
        let chosen = self.protocols.iter().find_map(|asked| served.iter().find(|name| *name == asked));
        chosen.map(|name| Some(*name)).ok_or_else(|| Refusal::NoCommonProtocol {
            asked: self.protocols.clone(),
            served: served.iter().map(|name| (*name).to_owned()).collect(),
        })
    }

    /// The 101.
    pub fn response(&self, protocol: Option<&str>) -> Response<()> {
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(SEC_WEBSOCKET_ACCEPT, self.accept.clone());
        if let Some(value) = protocol.and_then(|name| HeaderValue::from_str(name).ok()) {
            headers.insert(SEC_WEBSOCKET_PROTOCOL, value);
        }
        response
    }
}

/// Reads a WebSocket request; see [`is_websocket_request`].
pub fn websocket_offer(head: &Parts) -> Result<WebSocketOffer, Refusal> {
    let refused = |reason: &str| Refusal::UpgradeRefused { reason: reason.to_owned() };
    if !is_websocket_request(head) {
        return Err(refused("the request is no WebSocket request (Connection: Upgrade, Upgrade: websocket)"));
    }
    if head.method != http::Method::GET {
        return Err(refused("a WebSocket request is a GET"));
    }
    if head.headers.get(SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        return Err(refused("Sec-WebSocket-Version must be 13"));
    }
    let key = head.headers.get(SEC_WEBSOCKET_KEY).filter(|key| key.len() == 24);
    let key = key.ok_or_else(|| refused("Sec-WebSocket-Key must be 16 bytes in base64"))?;
    let accept = HeaderValue::from_str(&derive_accept_key(key.as_bytes())).expect("base64 is a header value");
    let protocols = tokens(&head.headers, &SEC_WEBSOCKET_PROTOCOL).take(PROTOCOLS_LIMIT).map(str::to_owned);
    Ok(WebSocketOffer { accept, protocols: protocols.collect() })
}

/// Comma-separated tokens of all fields with a name.
pub(crate) fn tokens<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    headers
        .get_all(name)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|text| text.split(','))
        .map(str::trim)
        .filter(|token| !token.is_empty())
}

pub(crate) fn has_token(headers: &HeaderMap, name: &HeaderName, wanted: &str) -> bool {
    tokens(headers, name).any(|token| token.eq_ignore_ascii_case(wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(fields: &[(&str, &str)]) -> Parts {
        let mut request = http::Request::builder().uri("/x");
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    const GOOD: [(&str, &str); 4] = [
        ("connection", "keep-alive, Upgrade"),
        ("upgrade", "WebSocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];

    #[test]
    fn the_handshake_of_the_rfc() {
        let mut fields = GOOD.to_vec();
        fields.push(("sec-websocket-protocol", "a, v4.channel.k8s.io"));
        fields.push(("sec-websocket-protocol", "v5.channel.k8s.io"));
        let offer = websocket_offer(&head(&fields)).unwrap();
        let chosen = offer.choose(&["v5.channel.k8s.io", "v4.channel.k8s.io"]).unwrap();
        assert_eq!(chosen, Some("v4.channel.k8s.io"), "the client's order counts");
        let response = offer.response(chosen);
        assert_eq!(response.headers()["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert_eq!(response.headers()["sec-websocket-protocol"], "v4.channel.k8s.io");
        assert!(matches!(offer.choose(&["x"]), Err(Refusal::NoCommonProtocol { .. })));
    }

    #[test]
    fn a_request_that_lacks_something_is_refused() {
        for missing in 0..GOOD.len() {
            let fields: Vec<_> =
                GOOD.iter().enumerate().filter(|(at, _)| *at != missing).map(|(_, f)| *f).collect();
            assert!(websocket_offer(&head(&fields)).is_err(), "{missing}");
        }
        let offer = websocket_offer(&head(&GOOD)).unwrap();
        assert!(offer.choose(&["v5.channel.k8s.io"]).is_err());
        assert_eq!(offer.choose(&["", "x"]), Ok(None));
    }
}
