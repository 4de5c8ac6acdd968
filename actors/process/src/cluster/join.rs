//! How a machine without a certificate gets one: a token, a certificate request, one question and one answer.
//!
//! Both travel as JSON: the asker is nobody yet, and only authenticated peers' frames are decoded as bincode.

use std::net::SocketAddr;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use rustls_pki_types::CertificateDer;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use trireme_bus::{JoinService, join as bus_join};
use trireme_kernel::{ActorPath, Registry};
use trireme_pki::{
    AltName, ClusterAuthority, Credentials, IdentityName, JoinRole, JoinToken, KeyRequest, SealOpener,
    SealTo, TokenId, TokenSecret,
};

use super::message::ClusterMessage;

/// How long the cluster actor may take for one join.
const JOIN_DEADLINE: Duration = Duration::from_secs(8);

/// What a joining machine sends.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JoinRequest {
    /// The token's public part.
    pub token_id: TokenId,
    /// The token's secret part.
    pub token_secret: TokenSecret,
    /// What the machine wants to be.
    pub role: JoinRole,
    /// Its name.
    pub name: String,
    /// Where its bus listens; servers only.
    pub address: Option<SocketAddr>,
    /// Names and addresses for its certificate.
    pub alt_names: Vec<AltName>,
    /// The certificate request, DER in base64.
    pub request: String,
    /// Where to seal the authority to; servers only.
    pub seal_to: Option<SealTo>,
}

/// What it is told.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JoinAnswer {
    /// Welcome.
    Joined {
        /// Certificate, then authority; DER in base64.
        chain: Vec<String>,
        /// The sealed authority in base64; for servers.
        authority: Option<String>,
        /// The servers of the cluster.
        servers: Vec<(IdentityName, SocketAddr)>,
    },
    /// No.
    Refused(String),
}

/// The door for joining machines: hands their requests to the cluster actor of this server.
#[derive(Clone, Debug)]
pub struct JoinDoor {
    registry: Registry,
    cluster: ActorPath,
}

impl JoinDoor {
    /// In front of the cluster actor at `cluster`.
    pub fn new(registry: Registry, cluster: ActorPath) -> Self {
        Self { registry, cluster }
    }
}

impl JoinService for JoinDoor {
    fn join(&self, from: SocketAddr, request: Bytes) -> BoxFuture<'static, Bytes> {
        let Self { registry, cluster } = self.clone();
        async move {
            let answer = match serde_json::from_slice::<JoinRequest>(&request) {
                Ok(request) => ask(&registry, &cluster, from, request).await,
                Err(error) => JoinAnswer::Refused(format!("the join request cannot be read: {error}")),
            };
            Bytes::from(serde_json::to_vec(&answer).expect("an answer of strings and numbers is always JSON"))
        }
        .boxed()
    }
}

async fn ask(registry: &Registry, cluster: &ActorPath, from: SocketAddr, request: JoinRequest) -> JoinAnswer {
    let (name, role) = (request.name.clone(), request.role);
    let address = match registry.address::<ClusterMessage>(cluster) {
        Ok(address) => address,
        Err(error) => {
            return JoinAnswer::Refused(format!("this server cannot take in machines now: {error}"));
        }
    };
    let answer = address.ask(|reply| ClusterMessage::Join(Box::new(request), reply), JOIN_DEADLINE).await;
    match answer {
        Ok(answer) => {
            match &answer {
                JoinAnswer::Joined { .. } => tracing::info!(%from, %name, %role, "a machine joined"),
                JoinAnswer::Refused(public) => {
                    tracing::warn!(%from, %name, %role, %public, "a join was refused")
                }
            }
            answer
        }
        Err(error) => {
            JoinAnswer::Refused(format!("this server could not finish the join: {error}; try again"))
        }
    }
}

/// Why a machine could not join.
#[derive(Debug, Error)]
pub enum JoinError {
    /// No connection, the wrong cluster, or no answer in time.
    #[error("cannot join through {server}: {reason}")]
    Transport {
        /// Whom we asked.
        server: SocketAddr,
        /// What went wrong.
        reason: String,
    },
    /// The server said no.
    #[error("{server} refused the join: {reason}")]
    Refused {
        /// Whom we asked.
        server: SocketAddr,
        /// Its reason.
        reason: String,
    },
    /// The answer makes no sense.
    #[error("{server} answered the join with something unusable: {reason}")]
    BadAnswer {
        /// Whom we asked.
        server: SocketAddr,
        /// What is wrong with it.
        reason: String,
    },
}

/// What a machine has after joining.
#[derive(Debug)]
pub struct Joined {
    /// Its own certificate and key.
    pub credentials: Credentials,
    /// The cluster's authority; servers only.
    pub authority: Option<ClusterAuthority>,
    /// The servers it can dial.
    pub servers: Vec<(IdentityName, SocketAddr)>,
}

/// How a machine presents itself when it joins.
#[derive(Clone, Debug)]
pub struct Applicant {
    /// Its name.
    pub name: String,
    /// What it wants to be.
    pub role: JoinRole,
    /// Where its bus listens; servers only.
    pub address: Option<SocketAddr>,
    /// Names and addresses for its certificate.
    pub alt_names: Vec<AltName>,
}

/// Joins through one server with a token. `key` should be kept on disk until this has succeeded, so that a repeated
/// attempt counts as the same machine.
///
/// # Errors
/// Says whom it asked and what came back. A transport error can be retried.
pub async fn join(
    server: SocketAddr,
    token: &JoinToken,
    applicant: &Applicant,
    key: &KeyRequest,
) -> Result<Joined, JoinError> {
    let transport = |reason: String| JoinError::Transport { server, reason };
    let opener = match applicant.role {
        JoinRole::Server => Some(SealOpener::generate().map_err(|error| transport(error.to_string()))?),
        JoinRole::Agent => None,
    };
    let request = JoinRequest {
        token_id: token.id().clone(),
        token_secret: token.secret().clone(),
        role: applicant.role,
        name: applicant.name.clone(),
        address: applicant.address,
        alt_names: applicant.alt_names.clone(),
        request: BASE64_STANDARD.encode(key.request_der()),
        seal_to: opener.as_ref().map(SealOpener::seal_to),
    };
    let body = serde_json::to_vec(&request).expect("a request of strings and numbers is always JSON");
    let answer = bus_join(server, token.pin(), Bytes::from(body)).await;
    let answer = answer.map_err(|error| transport(error.to_string()))?.answer;
    read_answer(server, token, key, opener.as_ref(), &answer)
}

fn read_answer(
    server: SocketAddr,
    token: &JoinToken,
    key: &KeyRequest,
    opener: Option<&SealOpener>,
    answer: &[u8],
) -> Result<Joined, JoinError> {
    let bad = |reason: String| JoinError::BadAnswer { server, reason };
    let answer = serde_json::from_slice(answer).map_err(|error| bad(error.to_string()))?;
    let (chain, authority, servers) = match answer {
        JoinAnswer::Joined { chain, authority, servers } => (chain, authority, servers),
        JoinAnswer::Refused(reason) => return Err(JoinError::Refused { server, reason }),
    };
    let decode = |text: &String| BASE64_STANDARD.decode(text).map_err(|error| bad(error.to_string()));
    let chain: Result<Vec<_>, _> = chain.iter().map(|one| decode(one).map(CertificateDer::from)).collect();
    let credentials = Credentials::new(key, &chain?).map_err(|error| bad(error.to_string()))?;
    if !credentials.ca().matches(&token.pin()) {
        return Err(bad("the certificate comes from another authority than the token names".to_owned()));
    }
    let authority = match (opener, authority) {
        (Some(opener), Some(sealed)) => Some(
            ClusterAuthority::import_sealed(&decode(&sealed)?, opener, &token.pin())
                .map_err(|error| bad(error.to_string()))?,
        ),
        (Some(_), None) => return Err(bad("the authority that a server needs is missing".to_owned())),
        (None, _) => None,
    };
    Ok(Joined { credentials, authority, servers })
}
