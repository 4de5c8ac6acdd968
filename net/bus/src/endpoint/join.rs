//! Joining: one bounded request and its answer, from a machine that has a token but no certificate yet.

use super::accept::certificates;
use super::error::{DialError, JoinError};
use super::socket;
use super::transport::Transports;
use super::{BusError, Endpoints};
use crate::admission::Refusal;
use crate::config::BusConfig;
use crate::session::close_code;
use bytes::Bytes;
use quinn::VarInt;
use quinn::crypto::rustls::QuicClientConfig;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use trireme_pki::{CaCertificate, CaPin, TLS_SERVER_NAME, join_client, pinned_authority};

/// Largest join request, in bytes.
pub const JOIN_BODY_LIMIT_BYTES: usize = 16 * 1024;
/// Largest answer to a join, in bytes: certificates and, for a server, the sealed authority.
pub const JOIN_ANSWER_LIMIT_BYTES: usize = 64 * 1024;

/// What a join gives.
#[derive(Debug, Clone)]
pub struct Joined {
    /// The service's answer.
    pub answer: Bytes,
    /// The authority that the pin stood for.
    pub authority: CaCertificate,
}

/// Serves a joiner: exactly one request, then the connection ends.
pub(super) async fn serve_join(endpoints: &Endpoints, connection: quinn::Connection) {
    let engine = &endpoints.engine;
    let from = connection.remote_address();
    let close = |code: u32, why: &'static str| connection.close(VarInt::from_u32(code), why.as_bytes());
    let Some(service) = &endpoints.join else {
        engine.refuse(Refusal::BadJoin, &from, &"this process takes no joins; ask a server");
        return close(close_code::NO_IDENTITY, "no joins here");
    };
    let Ok(_permit) = endpoints.joins.try_acquire() else {
        engine.refuse(Refusal::JoinsFull, &from, &format_args!("limit {}", engine.config.joins_limit));
        return close(close_code::TOO_MANY, "too many joins, try again");
    };
    let exchange = async {
        let (mut send, mut recv) = connection.accept_bi().await.map_err(|error| error.to_string())?;
        let request = recv.read_to_end(JOIN_BODY_LIMIT_BYTES).await.map_err(|error| error.to_string())?;
        let answer = service.join(from, Bytes::from(request)).await;
        if answer.len() > JOIN_ANSWER_LIMIT_BYTES {
            return Err(format!("the answer of {} bytes is above {JOIN_ANSWER_LIMIT_BYTES}", answer.len()));
        }
        send.write_chunk(answer).await.map_err(|error| error.to_string())?;
        send.finish().map_err(|error| error.to_string())?;
        // The answer must be out before the connection goes.
        send.stopped().await.map_err(|error| error.to_string())?;
        Ok(())
    };
    match tokio::time::timeout(engine.config.join_timeout, exchange).await {
        Ok(Ok(())) => close(close_code::DONE, "done"),
        Ok(Err(reason)) => {
            engine.refuse(Refusal::BadJoin, &from, &reason);
            close(close_code::BROKE_PROTOCOL, "bad join request");
        }
        Err(_late) => {
            engine.refuse(Refusal::BadJoin, &from, &"not done in time");
            close(close_code::BROKE_PROTOCOL, "join not done in time");
        }
    }
}

/// Asks the cluster at `to`, of which only the pin is known, to let this machine join. Ends within the join
/// time-out of the default configuration. Must run on a tokio runtime.
pub async fn join(to: SocketAddr, pin: CaPin, request: Bytes) -> Result<Joined, JoinError> {
    if request.len() > JOIN_BODY_LIMIT_BYTES {
        return Err(JoinError::TooLarge { bytes: request.len(), limit_bytes: JOIN_BODY_LIMIT_BYTES });
    }
    let config = BusConfig::default();
    let waited = config.join_timeout;
    match tokio::time::timeout(waited, exchange(to, pin, request, &config)).await {
        Ok(joined) => joined,
        Err(_late) => Err(DialError::Timeout { to, waited }.into()),
    }
}

async fn exchange(
    to: SocketAddr,
    pin: CaPin,
    request: Bytes,
    config: &BusConfig,
) -> Result<Joined, JoinError> {
    // How long the end of the connection may take to be told.
    const GOODBYE: Duration = Duration::from_millis(200);
    let from: SocketAddr =
        if to.is_ipv4() { (Ipv4Addr::UNSPECIFIED, 0).into() } else { (Ipv6Addr::UNSPECIFIED, 0).into() };
    let endpoint = socket::endpoint(from, None)?;
    let crypto =
        QuicClientConfig::try_from(join_client(pin).map_err(BusError::from)?).map_err(BusError::from)?;
    let mut client = quinn::ClientConfig::new(Arc::new(crypto));
    client.transport_config(Transports::new(config).of(to));
    let connection = endpoint
        .connect_with(client, to, TLS_SERVER_NAME)
        .map_err(|source| DialError::Connect { to, source })?
        .await
        .map_err(|source| DialError::Handshake { to, source })?;
    let chain = certificates(&connection).unwrap_or_default();
    let authority = pinned_authority(&chain, &pin).map_err(|source| JoinError::Authority { to, source })?;
    let broken = |reason: String| JoinError::Broken { to, reason };
    let (mut send, mut recv) = connection.open_bi().await.map_err(|error| broken(error.to_string()))?;
    send.write_chunk(request).await.map_err(|error| broken(error.to_string()))?;
    send.finish().map_err(|error| broken(error.to_string()))?;
    let answer =
        recv.read_to_end(JOIN_ANSWER_LIMIT_BYTES).await.map_err(|error| broken(error.to_string()))?;
    connection.close(VarInt::from_u32(close_code::DONE), b"done");
    // A goodbye that does not arrive costs the server its idle time-out, nothing more.
    let _ = tokio::time::timeout(GOODBYE, endpoint.wait_idle()).await;
    Ok(Joined { answer: Bytes::from(answer), authority })
}
