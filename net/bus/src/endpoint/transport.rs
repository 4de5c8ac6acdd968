//! How QUIC is tuned.

use super::congestion::ShortQueues;
use super::error::BusError;
use crate::config::{
    BYTE_STREAMS_LIMIT, BusConfig, CLASS_STREAMS_LIMIT, CONNECTION_WINDOW_BYTES, OWN_STREAMS_LIMIT,
    SEND_WINDOW_BYTES, STREAM_WINDOW_BYTES,
};
use quinn::crypto::rustls::QuicServerConfig;
use quinn::{IdleTimeout, MtuDiscoveryConfig, TransportConfig, VarInt};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use trireme_pki::TlsProfile;

/// Largest UDP payload taken. Only loopback carries such; other paths are found out by probing.
pub(super) const MAX_DATAGRAM_BYTES: u16 = LOOPBACK_MTU;
/// Datagrams that quinn hands to the kernel in one piece, at most.
const SEGMENTS: u16 = 10;
/// UDP payload used at once between processes of one machine. [`SEGMENTS`] of them must fit what the kernel takes in one
/// piece, 65,507 bytes: what is larger it refuses, and quinn takes that for loss, again and again.
const LOOPBACK_MTU: u16 = 6_528;
/// Largest UDP payload that probing tries on other paths (jumbo frames); the same bound holds.
const PROBED_MTU: u16 = LOOPBACK_MTU;
const _: () = assert!(LOOPBACK_MTU as u32 * SEGMENTS as u32 <= 65_507, "a piece fits");
/// Heartbeats in flight or unread are few and small.
const DATAGRAM_BUFFER_BYTES: usize = 4 * 1024;
/// Assumed round trip before the first measurement.
const FIRST_ROUND_TRIP: Duration = Duration::from_millis(100);
/// First packets kept for a handshake that was not let in yet, per connection and in total.
const INCOMING_BYTES: u64 = 16 * 1024;
const INCOMING_TOTAL_BYTES: u64 = 4 * 1024 * 1024;
/// Handshakes not yet looked at.
const INCOMING_LIMIT: usize = 1024;

/// One value for paths within the machine, another for all others.
pub(super) struct PerPath<T> {
    pub(super) near: T,
    pub(super) far: T,
}

impl<T> PerPath<T> {
    pub(super) fn of(&self, remote: SocketAddr) -> &T {
        if remote.ip().is_loopback() { &self.near } else { &self.far }
    }
}

/// Transport settings, shared by all connections.
pub(super) struct Transports(PerPath<Arc<TransportConfig>>);

impl Transports {
    pub(super) fn new(config: &BusConfig) -> Self {
        let mut near = base(config);
        near.initial_mtu(LOOPBACK_MTU).mtu_discovery_config(None);
        let mut far = base(config);
        let mut probing = MtuDiscoveryConfig::default();
        probing.upper_bound(PROBED_MTU);
        far.mtu_discovery_config(Some(probing));
        Self(PerPath { near: Arc::new(near), far: Arc::new(far) })
    }

    pub(super) fn of(&self, remote: SocketAddr) -> Arc<TransportConfig> {
        Arc::clone(self.0.of(remote))
    }

    pub(super) fn servers(
        &self,
        profile: &TlsProfile,
        config: &BusConfig,
    ) -> Result<PerPath<Arc<quinn::ServerConfig>>, BusError> {
        let crypto = Arc::new(QuicServerConfig::try_from(profile.bus_server()?)?);
        let make = |transport: &Arc<TransportConfig>| {
            let mut server = quinn::ServerConfig::with_crypto(Arc::clone(&crypto) as Arc<_>);
            server
                .transport_config(Arc::clone(transport))
                .max_incoming(INCOMING_LIMIT)
                .incoming_buffer_size(INCOMING_BYTES)
                .incoming_buffer_size_total(INCOMING_TOTAL_BYTES)
                .retry_token_lifetime(config.handshake_timeout.max(Duration::from_secs(5)))
                .migration(true);
            Arc::new(server)
        };
        Ok(PerPath { near: make(&self.0.near), far: make(&self.0.far) })
    }
}

fn base(config: &BusConfig) -> TransportConfig {
    let mut transport = TransportConfig::default();
    let byte_streams = u32::try_from(BYTE_STREAMS_LIMIT).expect("a hundred or so");
    let idle = IdleTimeout::try_from(config.idle_timeout).expect("idle time-outs are seconds, not centuries");
    transport
        .max_concurrent_uni_streams(VarInt::from_u32(CLASS_STREAMS_LIMIT))
        .max_concurrent_bidi_streams(VarInt::from_u32(OWN_STREAMS_LIMIT + byte_streams))
        .max_idle_timeout(Some(idle))
        // Heartbeats keep a connection alive; a second timer would only cost wake-ups.
        .keep_alive_interval(None)
        .stream_receive_window(VarInt::from_u32(STREAM_WINDOW_BYTES))
        .receive_window(VarInt::from_u32(CONNECTION_WINDOW_BYTES))
        .send_window(SEND_WINDOW_BYTES)
        .congestion_controller_factory(Arc::new(ShortQueues::default()))
        .initial_rtt(FIRST_ROUND_TRIP)
        .datagram_receive_buffer_size(Some(DATAGRAM_BUFFER_BYTES))
        .datagram_send_buffer_size(DATAGRAM_BUFFER_BYTES);
    transport
}
