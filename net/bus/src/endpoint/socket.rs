//! UDP sockets with larger buffers.

use super::error::BusError;
use super::transport::MAX_DATAGRAM_BYTES;
use crate::config::UDP_BUFFER_BYTES;
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;

/// A bound socket. The system may grant smaller buffers than asked; that costs throughput, nothing else.
pub(super) fn udp(address: SocketAddr) -> Result<UdpSocket, BusError> {
    make(address).map_err(|source| BusError::Socket { address, source })
}

fn make(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    for asked in [UDP_BUFFER_BYTES, UDP_BUFFER_BYTES / 4] {
        if socket.set_recv_buffer_size(asked).is_ok() && socket.set_send_buffer_size(asked).is_ok() {
            break;
        }
    }
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// An endpoint on a new socket; one with a server configuration listens.
pub(super) fn endpoint(
    address: SocketAddr,
    server: Option<quinn::ServerConfig>,
) -> Result<quinn::Endpoint, BusError> {
    let socket = udp(address)?;
    let mut config = quinn::EndpointConfig::default();
    config.max_udp_payload_size(MAX_DATAGRAM_BYTES).expect("the constant is within what QUIC allows");
    quinn::Endpoint::new(config, server, socket, Arc::new(quinn::TokioRuntime))
        .map_err(|source| BusError::Socket { address, source })
}
