//! The short name of a party: its sort and its name.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::identity::IdentityError;

/// Longest name of an identity, in bytes (a DNS subdomain, as Kubernetes bounds node names).
pub const NAME_LIMIT_BYTES: usize = 253;

/// What sort of party an identity names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IdentityKind {
    /// A member that runs the API and may vote.
    Server,
    /// A machine that runs pods.
    Node,
    /// A person or tool.
    User,
    /// A part of Kubernetes outside the servers, such as a stock scheduler.
    Component,
}

impl IdentityKind {
    /// The path segment of the URI.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Node => "node",
            Self::User => "user",
            Self::Component => "component",
        }
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        [Self::Server, Self::Node, Self::User, Self::Component].into_iter().find(|kind| kind.as_str() == text)
    }
}

impl fmt::Display for IdentityKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Kind and name without cluster and groups: what revocation and expectations refer to. Text form `node/n1`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct IdentityName {
    kind: IdentityKind,
    name: String,
}

impl IdentityName {
    /// Checks the name against the rule of its kind.
    pub fn new(kind: IdentityKind, name: &str) -> Result<Self, IdentityError> {
        check_name(kind, name)?;
        Ok(Self { kind, name: name.to_owned() })
    }

    /// What sort of party.
    pub fn kind(&self) -> IdentityKind {
        self.kind
    }

    /// The bare name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for IdentityName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.name)
    }
}

impl FromStr for IdentityName {
    type Err = IdentityError;
    fn from_str(text: &str) -> Result<Self, IdentityError> {
        let bad = |why| IdentityError::BadUri { found: text.to_owned(), why };
        let (kind, name) = text.split_once('/').ok_or_else(|| bad("expected <kind>/<name>"))?;
        let kind =
            IdentityKind::parse(kind).ok_or_else(|| bad("kind is none of server, node, user, component"))?;
        Self::new(kind, name)
    }
}

impl TryFrom<String> for IdentityName {
    type Error = IdentityError;
    fn try_from(text: String) -> Result<Self, IdentityError> {
        text.parse()
    }
}

impl From<IdentityName> for String {
    fn from(name: IdentityName) -> Self {
        name.to_string()
    }
}

fn check_name(kind: IdentityKind, name: &str) -> Result<(), IdentityError> {
    let bad = |why| Err(IdentityError::BadName { kind, found: name.to_owned(), why });
    if name.is_empty() || name.len() > NAME_LIMIT_BYTES {
        return bad("a name has 1 to 253 bytes");
    }
    if kind == IdentityKind::User {
        if name.chars().any(char::is_control) {
            return bad("a user name has no control characters");
        }
        // A user certificate must never read as a node, a component or a service account.
        if name.starts_with("system:") {
            return bad("names beginning with system: are kept for the cluster's own parties");
        }
        return Ok(());
    }
    let inner = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-' || c == b'.';
    let edge = |c: &u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    let bytes = name.as_bytes();
    if !bytes.iter().copied().all(inner)
        || !bytes.first().is_some_and(edge)
        || !bytes.last().is_some_and(edge)
    {
        return bad("it must be a DNS subdomain of [a-z0-9.-] that begins and ends with [a-z0-9]");
    }
    if kind == IdentityKind::Component && name == "anonymous" {
        return bad("system:anonymous means a caller without credentials");
    }
    Ok(())
}
