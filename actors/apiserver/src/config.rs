//! [`ServerConfig`]: what an API server is told.

use std::net::SocketAddr;

use trireme_access::authz::Mode;

use crate::cidr::Cidr;

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
    /// Gives random numbers.
    pub random: fn() -> u64,
}
