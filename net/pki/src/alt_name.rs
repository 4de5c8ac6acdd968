//! Names and addresses under which ordinary TLS clients reach a server or kubelet.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// Most alternative names in one certificate.
pub const ALT_NAMES_LIMIT: usize = 64;

/// One DNS or IP subject alternative name. The bus itself never trusts these: it goes by the identity URI.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum AltName {
    /// A host name in lower case.
    Dns(String),
    /// An address.
    Ip(IpAddr),
}

impl AltName {
    /// True for an address, or a DNS subdomain of `[a-z0-9.-]` (one leading `*.` allowed).
    pub fn is_well_formed(&self) -> bool {
        let Self::Dns(name) = self else { return true };
        let name = name.strip_prefix("*.").unwrap_or(name);
        let label = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        name.len() <= 253 && name.split('.').all(label)
    }
}

impl fmt::Display for AltName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(name) => write!(f, "dns:{name}"),
            Self::Ip(address) => write!(f, "ip:{address}"),
        }
    }
}
