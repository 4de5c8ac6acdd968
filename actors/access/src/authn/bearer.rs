//! Where a request carries its bearer token.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// A WebSocket subprotocol that carries a token, as browsers cannot set headers.
const WEBSOCKET_PREFIX: &str = "base64url.bearer.authorization.k8s.io.";

/// The token of an `Authorization` header; `None` when it is of another scheme or empty.
pub(super) fn of_header(header: &str) -> Option<&str> {
    let mut words = header.trim().splitn(3, ' ');
    let scheme = words.next()?;
    let token = words.next()?;
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

/// The token in a `Sec-WebSocket-Protocol` header, if one of its protocols carries one.
pub(super) fn of_protocols(header: &str) -> Option<String> {
    let encoded = header.split(',').map(str::trim).find_map(|name| name.strip_prefix(WEBSOCKET_PREFIX))?;
    let bytes = URL_SAFE_NO_PAD.decode(encoded).ok()?;
    String::from_utf8(bytes).ok().filter(|token| !token.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_bearer_headers_carry_a_token() {
        assert_eq!(of_header("Bearer abc"), Some("abc"));
        assert_eq!(of_header("  bearer abc def"), Some("abc"));
        for none in ["", "Bearer", "Bearer ", "Basic YTpi", "Bearer  abc"] {
            assert_eq!(of_header(none), None, "{none:?}");
        }
    }

    #[test]
    fn browsers_send_it_as_a_protocol() {
        let header = format!("v4.channel.k8s.io, {WEBSOCKET_PREFIX}YWJj");
        assert_eq!(of_protocols(&header), Some("abc".to_owned()));
        assert_eq!(of_protocols("v4.channel.k8s.io"), None);
        assert_eq!(of_protocols(&format!("{WEBSOCKET_PREFIX}!!")), None);
    }
}
