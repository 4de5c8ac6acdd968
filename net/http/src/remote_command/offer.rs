//! Which transport and which protocol version a client asks for, and the 101 for it.

use http::header::{CONNECTION, UPGRADE};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Response, StatusCode};

use crate::refusal::Refusal;
use crate::websocket::{
    ChannelProtocol, WebSocketOffer, has_token, is_websocket_request, tokens, tunnel_protocols,
    websocket_offer,
};

/// Value of `Upgrade`.
pub const SPDY_UPGRADE: &str = "SPDY/3.1";
/// Stream protocol of port-forward.
pub const PORT_FORWARD_PROTOCOL: &str = "portforward.k8s.io";

const STREAM_PROTOCOL: HeaderName = HeaderName::from_static("x-stream-protocol-version");
/// Stream protocols of remote commands over SPDY, the best first. v5 exists for WebSockets only.
const SPDY_COMMANDS: [&str; 4] =
    ["v4.channel.k8s.io", "v3.channel.k8s.io", "v2.channel.k8s.io", "channel.k8s.io"];

/// How the streams travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamTransport {
    /// SPDY straight on the connection; the stream protocol's version (1 to 4) for remote commands.
    Spdy {
        /// 1 to 4.
        version: u8,
    },
    /// SPDY inside a WebSocket.
    SpdyTunnel,
    /// WebSocket channels.
    WebSocket(ChannelProtocol),
}

/// An upgrade that was asked for and can be served: send `response`, then speak `transport`.
#[derive(Debug)]
pub struct StreamOffer {
    /// How the streams travel.
    pub transport: StreamTransport,
    /// The 101.
    pub response: Response<()>,
}

impl StreamOffer {
    /// For exec and attach.
    pub fn read(head: &Parts) -> Result<Self, Refusal> {
        if is_websocket_request(head) {
            let offer = websocket_offer(head)?;
            let served = ChannelProtocol::NAMES.map(|(name, _)| name);
            let chosen = offer.choose(&served)?;
            let protocol = ChannelProtocol::named(chosen.unwrap_or_default()).unwrap_or(ChannelProtocol::V1);
            let response = offer.response(chosen);
            return Ok(Self { transport: StreamTransport::WebSocket(protocol), response });
        }
        let (chosen, response) = spdy(head, &SPDY_COMMANDS)?;
        let version = match chosen {
            "v4.channel.k8s.io" => 4,
            "v3.channel.k8s.io" => 3,
            "v2.channel.k8s.io" => 2,
            _ => 1,
        };
        Ok(Self { transport: StreamTransport::Spdy { version }, response })
    }

    /// For port-forward: SPDY, or SPDY in a WebSocket.
    pub fn read_port_forward(head: &Parts) -> Result<Self, Refusal> {
        if is_websocket_request(head) {
            let offer: WebSocketOffer = websocket_offer(head)?;
            let tunnels = tunnel_protocols(&offer);
            let chosen = tunnels.iter().find(|(_, inner)| *inner == PORT_FORWARD_PROTOCOL);
            let Some((name, _)) = chosen else {
                return Err(Refusal::NoCommonProtocol {
                    asked: offer.protocols().to_vec(),
                    served: vec![format!("{SPDY_UPGRADE}+{PORT_FORWARD_PROTOCOL}")],
                });
            };
            let response = offer.response(Some(name));
            return Ok(Self { transport: StreamTransport::SpdyTunnel, response });
        }
        let (_, response) = spdy(head, &[PORT_FORWARD_PROTOCOL])?;
        Ok(Self { transport: StreamTransport::Spdy { version: 1 }, response })
    }
}

/// The stream protocol and the 101. Old clients name no protocol and get the last one.
fn spdy<'a>(head: &Parts, served: &[&'a str]) -> Result<(&'a str, Response<()>), Refusal> {
    let asks =
        has_token(&head.headers, &CONNECTION, "upgrade") && has_token(&head.headers, &UPGRADE, SPDY_UPGRADE);
    if !asks {
        let reason = format!("ask for it with Connection: Upgrade and Upgrade: {SPDY_UPGRADE} or websocket");
        return Err(Refusal::UpgradeRefused { reason });
    }
    let asked: Vec<&str> = tokens(&head.headers, &STREAM_PROTOCOL).collect();
    let chosen = match asked.is_empty() {
        true => served.last(),
        false => asked.iter().find_map(|asked| served.iter().find(|name| *name == asked)),
    };
    let chosen = chosen.ok_or_else(|| Refusal::NoCommonProtocol {
        asked: asked.iter().map(|name| (*name).to_owned()).collect(),
        served: served.iter().map(|name| (*name).to_owned()).collect(),
    })?;
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static(SPDY_UPGRADE));
    if !asked.is_empty() {
        headers.insert(
            STREAM_PROTOCOL,
            HeaderValue::from_str(chosen).expect("a protocol name is a header value"),
        );
    }
    Ok((chosen, response))
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

    #[test]
    fn spdy_versions_go_by_the_clients_order() {
        let upgrade = [("connection", "Upgrade"), ("upgrade", "SPDY/3.1")];
        let asked = |names: &[&'static str]| {
            let fields = names.iter().map(|name| ("x-stream-protocol-version", *name));
            head(&upgrade.into_iter().chain(fields).collect::<Vec<_>>())
        };
        let offer =
            StreamOffer::read(&asked(&["v5.channel.k8s.io", "v4.channel.k8s.io", "channel.k8s.io"])).unwrap();
        assert_eq!(offer.transport, StreamTransport::Spdy { version: 4 });
        assert_eq!(offer.response.headers()["x-stream-protocol-version"], "v4.channel.k8s.io");
        let offer = StreamOffer::read(&asked(&[])).unwrap();
        assert_eq!(offer.transport, StreamTransport::Spdy { version: 1 });
        let refused = StreamOffer::read(&asked(&["v9.channel.k8s.io"])).unwrap_err();
        assert_eq!(refused.status(), StatusCode::FORBIDDEN);
        assert!(StreamOffer::read_port_forward(&asked(&["portforward.k8s.io"])).is_ok());
        assert!(StreamOffer::read(&head(&[])).is_err());
    }

    #[test]
    fn port_forward_tunnels_spdy_in_a_websocket() {
        let fields = [
            ("connection", "Upgrade"),
            ("upgrade", "websocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        let with = |protocol: &'static str| {
            let mut fields = fields.to_vec();
            fields.push(("sec-websocket-protocol", protocol));
            StreamOffer::read_port_forward(&head(&fields))
        };
        for name in ["SPDY/3.1+portforward.k8s.io", "v2.portforward.k8s.io"] {
            let offer = with(name).unwrap();
            assert_eq!(offer.transport, StreamTransport::SpdyTunnel);
            assert_eq!(offer.response.headers()["sec-websocket-protocol"], name);
        }
        assert!(with("v5.channel.k8s.io").is_err());
        assert!(with("SPDY/3.1+other.k8s.io").is_err());
    }
}
