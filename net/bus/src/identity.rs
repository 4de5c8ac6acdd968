//! Who is at the other end, as the bus sees it.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

pub use trireme_pki::IdentityKind;

/// An identity taken from a verified certificate. Written `server:s1`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PeerIdentity {
    /// What it is.
    pub kind: IdentityKind,
    /// Its name, unique within the kind.
    pub name: Arc<str>,
    /// Groups the certificate puts it in, as `system:masters`.
    pub groups: Vec<String>,
}

impl PeerIdentity {
    /// An identity without groups.
    pub fn new(kind: IdentityKind, name: &str) -> Self {
        Self { kind, name: name.into(), groups: Vec::new() }
    }

    /// Whether this is a machine, that is a peer with a link of its own and at most one session.
    pub fn is_machine(&self) -> bool {
        matches!(self.kind, IdentityKind::Server | IdentityKind::Node)
    }
}

impl fmt::Display for PeerIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind, self.name)
    }
}

impl From<&trireme_pki::Identity> for PeerIdentity {
    fn from(identity: &trireme_pki::Identity) -> Self {
        Self { kind: identity.kind(), name: identity.name().into(), groups: identity.groups().to_vec() }
    }
}
