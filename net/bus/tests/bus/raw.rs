//! A peer that speaks QUIC and frames by hand, so that it can misbehave.

use crate::kit::Cluster;
use bytes::{Bytes, BytesMut};
use std::net::SocketAddr;
use std::sync::Arc;
use trireme_bus::class_code;
use trireme_bus::frame::{Decoder, Frame, Hello, PROTOCOL_VERSION, Request, encode};
use trireme_kernel::Class;
use trireme_pki::{ExpectedPeer, Identity, TLS_SERVER_NAME, TlsProfile};

pub struct Raw {
    pub connection: quinn::Connection,
    pub control: quinn::SendStream,
    pub incoming: quinn::RecvStream,
    pub decoder: Decoder,
    _endpoint: quinn::Endpoint,
}

pub fn client(profile: &TlsProfile) -> quinn::ClientConfig {
    let crypto = profile.bus_client(ExpectedPeer::AnyServer).unwrap();
    quinn::ClientConfig::new(Arc::new(quinn::crypto::rustls::QuicClientConfig::try_from(crypto).unwrap()))
}

pub async fn connect(
    profile: &TlsProfile,
    to: SocketAddr,
) -> Result<(quinn::Endpoint, quinn::Connection), String> {
    let endpoint = quinn::Endpoint::client(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let connection = endpoint.connect_with(client(profile), to, TLS_SERVER_NAME).unwrap().await;
    connection.map(|connection| (endpoint, connection)).map_err(|error| error.to_string())
}

impl Raw {
    pub async fn greet(cluster: &Cluster, identity: &Identity, to: SocketAddr) -> Self {
        let (endpoint, connection) = connect(&cluster.profile(identity), to).await.unwrap();
        let mut control = connection.open_uni().await.unwrap();
        let hello = Hello { version: PROTOCOL_VERSION, class: class_code(Class::Control), instance: 1 };
        control.write_chunk(wire(&Frame::Hello(hello))).await.unwrap();
        let incoming = connection.accept_uni().await.unwrap();
        let mut raw =
            Self { connection, control, incoming, decoder: Decoder::new(1 << 20), _endpoint: endpoint };
        assert!(matches!(raw.next().await, Some(Frame::Hello(_))));
        raw
    }

    pub async fn send(&mut self, frame: &Frame) {
        self.control.write_chunk(wire(frame)).await.unwrap();
    }

    /// The next frame of the peer's control stream; `None` once the connection is over.
    pub async fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.decoder.next_frame().unwrap() {
                return Some(frame);
            }
            let chunk = self.incoming.read_chunk(64 * 1024, true).await.ok()??;
            self.decoder.push(chunk.bytes);
        }
    }
}

pub fn wire(frame: &Frame) -> Bytes {
    let mut out = BytesMut::new();
    if let Some(body) = encode(&mut out, frame) {
        out.extend_from_slice(&body);
    }
    out.freeze()
}

pub fn request(id: u64, deadline_ms: u32, path: &str, name: &str, body: &[u8]) -> Frame {
    let body = Bytes::copy_from_slice(body);
    Frame::Request(Request { id, deadline_ms, path: path.into(), name: name.into(), key: None, body })
}
