//! [`ServerConfig`]: what an API server is told.

use std::net::SocketAddr;
use std::time::Duration;

use trireme_access::authz::Mode;

use crate::cidr::Cidr;
use crate::features::FeatureGates;

/// Settings of one API server.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// Where the addresses of Services come from.
    pub service_cidr: Cidr,
    /// Who decides what is allowed, in order.
    pub authorization: Vec<Mode>,
    /// The text of the static token file, if there is one.
    pub token_file: Option<String>,
    /// Requests without credentials are the anonymous user's.
    pub anonymous: bool,
    /// The issuer of service account tokens, which is also the server's audience.
    pub issuer: String,
    /// Where clients reach this server.
    pub advertise: SocketAddr,
    /// Short reads answered at the same time (upstream's `--max-requests-inflight`); together with `max_mutating` the
    /// seats that priority and fairness deals out.
    pub max_requests: u32,
    /// Writes carried out at the same time (upstream's `--max-mutating-requests-inflight`).
    pub max_mutating: u32,
    /// How long a request may take that is no watch and no connection to a node (upstream's `--request-timeout`).
    pub request_timeout: Duration,
    /// Which features are on.
    pub features: FeatureGates,
    /// Gives random numbers.
    pub random: fn() -> u64,
}

impl ServerConfig {
    /// Upstream's limits: 400 reads and 200 writes at a time, a minute for a request.
    pub const MAX_REQUESTS: u32 = 400;
    /// See [`ServerConfig::MAX_REQUESTS`].
    pub const MAX_MUTATING: u32 = 200;
    /// See [`ServerConfig::MAX_REQUESTS`].
    pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
}
