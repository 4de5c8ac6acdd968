//! Who is at the other end, as the bus sees it.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// What kind of subject a certificate speaks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IdentityKind {
    /// A member of the control plane.
    Server,
    /// A machine that runs pods.
    Node,
    /// A person or a client program.
    User,
    /// A part of the control plane that runs apart from a server.
    Component,
}

impl fmt::Display for IdentityKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Server => "server",
            Self::Node => "node",
            Self::User => "user",
            Self::Component => "component",
        })
    }
}

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

impl From<trireme_pki::IdentityKind> for IdentityKind {
    fn from(kind: trireme_pki::IdentityKind) -> Self {
        match kind {
            trireme_pki::IdentityKind::Server => Self::Server,
            trireme_pki::IdentityKind::Node => Self::Node,
            trireme_pki::IdentityKind::User => Self::User,
            trireme_pki::IdentityKind::Component => Self::Component,
        }
    }
}

impl From<IdentityKind> for trireme_pki::IdentityKind {
    fn from(kind: IdentityKind) -> Self {
        match kind {
            IdentityKind::Server => Self::Server,
            IdentityKind::Node => Self::Node,
            IdentityKind::User => Self::User,
            IdentityKind::Component => Self::Component,
        }
    }
}

impl From<&trireme_pki::Identity> for PeerIdentity {
    fn from(identity: &trireme_pki::Identity) -> Self {
        Self {
            kind: identity.kind().into(),
            name: identity.name().into(),
            groups: identity.groups().to_vec(),
        }
    }
}
