//! A byte stream inside the binary messages of a WebSocket: how kubectl carries SPDY for port-forward, asking for
//! subprotocols such as `SPDY/3.1+portforward.k8s.io`. The name `v2.portforward.k8s.io` of early releases means the same.

use bytes::BytesMut;
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, duplex};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::handshake::WebSocketOffer;
use super::web_socket_config;

/// What stands in front of the tunnelled protocol's name.
pub const TUNNEL_PREFIX: &str = "SPDY/3.1+";
/// Name used before the prefix came.
const TUNNEL_V2: &str = "v2.portforward.k8s.io";
/// The protocol that it stands for.
const PORT_FORWARD: &str = "portforward.k8s.io";
/// Bytes on their way in each direction.
const TUNNEL_BYTES: usize = 64 * 1024;
/// Largest message that is sent.
const MESSAGE_BYTES: usize = 32 * 1024;

/// The tunnels that a client asks for: the subprotocol's name and the SPDY stream protocol in it.
pub fn tunnel_protocols(offer: &WebSocketOffer) -> Vec<(&str, &str)> {
    let inner =
        |name: &str| name.strip_prefix(TUNNEL_PREFIX).map(str::len).filter(|_| name.ends_with(".k8s.io"));
    let tunnels = offer.protocols().iter().filter_map(|name| match inner(name) {
        Some(length) => Some((name.as_str(), name.split_at(name.len() - length).1)),
        None => (name == TUNNEL_V2).then_some((name.as_str(), PORT_FORWARD)),
    });
    tunnels.collect()
}

/// The inner byte stream of a WebSocket on `io`, and the future that carries it. The future ends when both ends have.
pub fn tunnel<T>(io: T, role: Role) -> (DuplexStream, impl Future<Output = ()> + Send)
where
    T: AsyncRead + AsyncWrite + Unpin + Send,
{
    let (inner, outer) = duplex(TUNNEL_BYTES);
    (inner, carry(io, role, outer))
}

async fn carry<T: AsyncRead + AsyncWrite + Unpin + Send>(io: T, role: Role, outer: DuplexStream) {
    let socket = WebSocketStream::from_raw_socket(io, role, Some(web_socket_config())).await;
    let (mut sink, mut stream) = socket.split();
    let (mut from_inner, mut to_inner) = tokio::io::split(outer);
    let outwards = async {
        let mut buffer = BytesMut::with_capacity(MESSAGE_BYTES);
        while from_inner.read_buf(&mut buffer).await.is_ok_and(|count| count > 0) {
            if sink.send(Message::Binary(buffer.split().freeze())).await.is_err() {
                return;
            }
            buffer.reserve(MESSAGE_BYTES);
        }
        // The peer may be gone already; then there is nobody to tell.
        drop(sink.close().await);
    };
    let inwards = async {
        while let Some(Ok(message)) = stream.next().await {
            match message {
                Message::Binary(bytes) if to_inner.write_all(&bytes).await.is_err() => return,
                Message::Close(_) => break,
                _ => {}
            }
        }
        // An inner reader that is gone needs no end.
        drop(to_inner.shutdown().await);
    };
    tokio::join!(outwards, inwards);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn bytes_pass_in_both_directions_and_the_end_arrives() {
        let (near, far) = duplex(1000);
        let (mut client, client_task) = tunnel(near, Role::Client);
        let (mut server, server_task) = tunnel(far, Role::Server);
        let tasks = tokio::spawn(async { tokio::join!(client_task, server_task) });
        let payload: Vec<u8> = (0..200_000_u32).flat_map(u32::to_le_bytes).collect();
        let copy = payload.clone();
        let echo = tokio::spawn(async move {
            let mut got = vec![0; copy.len()];
            server.read_exact(&mut got).await.unwrap();
            server.write_all(&got).await.unwrap();
            let mut rest = Vec::new();
            server.read_to_end(&mut rest).await.unwrap();
            assert!(got == copy && rest.is_empty());
        });
        let (mut reading, mut writing) = tokio::io::split(client);
        let send = async {
            writing.write_all(&payload).await.unwrap();
        };
        let mut back = vec![0; payload.len()];
        let receive = async { reading.read_exact(&mut back).await.unwrap() };
        tokio::join!(send, receive);
        assert!(back == payload);
        client = reading.unsplit(writing);
        client.shutdown().await.unwrap();
        drop(client);
        echo.await.unwrap();
        tasks.await.unwrap();
    }
}
