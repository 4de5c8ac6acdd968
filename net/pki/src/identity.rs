//! Who a certificate speaks for.
//!
//! One identity stands in a certificate twice: as a SPIFFE-like URI (the source of truth inside the cluster)
//! and as a Kubernetes-style subject (what an API server derives user and groups from). The two are functions
//! of one [`Identity`], and reading a certificate back refuses any that disagree, so no component can be told
//! one name by the URI and another by the common name.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::cluster_id::ClusterId;
use crate::identity_name::{IdentityKind, IdentityName};

/// Longest group name, in bytes.
pub const GROUP_LIMIT_BYTES: usize = 253;
/// Most groups one user may carry in a certificate.
pub const GROUPS_LIMIT: usize = 32;

/// Group of every node, as upstream's node authorizer expects it.
pub const GROUP_NODES: &str = "system:nodes";
/// Group of every Trireme server.
pub const GROUP_SERVERS: &str = "system:trireme:servers";
/// Kubernetes' group of unrestricted administrators.
pub const GROUP_MASTERS: &str = "system:masters";

/// Why an identity cannot be formed or read back. Never retryable with the same input.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum IdentityError {
    /// Not one lower-case DNS label.
    #[error("cluster id {found:?} is not a DNS label of 1 to 63 of [a-z0-9-]; choose another")]
    BadClusterId {
        /// What was given.
        found: String,
    },
    /// The name breaks the rule of its kind.
    #[error("{kind} name {found:?} is not usable: {why}")]
    BadName {
        /// Kind the name was for.
        kind: IdentityKind,
        /// What was given.
        found: String,
        /// The broken rule.
        why: &'static str,
    },
    /// A group a certificate of this kind may not carry.
    #[error("group {found:?} is not usable: {why}")]
    BadGroup {
        /// What was given.
        found: String,
        /// The broken rule.
        why: &'static str,
    },
    /// The URI does not follow `spiffe://<cluster>.trireme/<kind>/<name>`.
    #[error("identity URI {found:?} is not usable: {why}")]
    BadUri {
        /// What was given.
        found: String,
        /// The broken rule.
        why: &'static str,
    },
    /// URI and subject name different parties.
    #[error("URI says {uri_says:?} but the subject says {subject_says:?}; both must name one identity")]
    Mismatch {
        /// Common name and groups that follow from the URI.
        uri_says: String,
        /// Common name and groups in the subject.
        subject_says: String,
    },
}

/// A party of one cluster. Invariant: the name follows the rule of its kind; groups are sorted, unique, and
/// exactly what the kind prescribes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "IdentityForm", into = "IdentityForm")]
pub struct Identity {
    cluster: ClusterId,
    name: IdentityName,
    groups: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct IdentityForm {
    cluster: ClusterId,
    name: IdentityName,
    groups: Vec<String>,
}

impl TryFrom<IdentityForm> for Identity {
    type Error = IdentityError;
    fn try_from(form: IdentityForm) -> Result<Self, IdentityError> {
        Self::assemble(form.cluster, form.name, form.groups)
    }
}

impl From<Identity> for IdentityForm {
    fn from(identity: Identity) -> Self {
        Self { cluster: identity.cluster, name: identity.name, groups: identity.groups }
    }
}

impl Identity {
    /// `CN=system:trireme:server:<name>`, `O=system:trireme:servers`.
    pub fn server(cluster: &ClusterId, name: &str) -> Result<Self, IdentityError> {
        Self::of(cluster, IdentityKind::Server, name, vec![GROUP_SERVERS.to_owned()])
    }

    /// `CN=system:node:<name>`, `O=system:nodes`.
    pub fn node(cluster: &ClusterId, name: &str) -> Result<Self, IdentityError> {
        Self::of(cluster, IdentityKind::Node, name, vec![GROUP_NODES.to_owned()])
    }

    /// `CN=<name>`, one `O` for each group. The name may not begin with `system:`.
    pub fn user(cluster: &ClusterId, name: &str, groups: &[&str]) -> Result<Self, IdentityError> {
        let groups = groups.iter().map(|group| (*group).to_owned()).collect();
        Self::of(cluster, IdentityKind::User, name, groups)
    }

    /// `CN=system:<name>`, no group.
    pub fn component(cluster: &ClusterId, name: &str) -> Result<Self, IdentityError> {
        Self::of(cluster, IdentityKind::Component, name, Vec::new())
    }

    /// The identity of `name` in `cluster` for the kinds whose groups follow from the kind (a user gets none).
    pub fn from_name(cluster: &ClusterId, name: &IdentityName) -> Self {
        let groups = prescribed_groups(name.kind()).unwrap_or_default();
        Self { cluster: cluster.clone(), name: name.clone(), groups }
    }

    fn of(
        cluster: &ClusterId,
        kind: IdentityKind,
        name: &str,
        groups: Vec<String>,
    ) -> Result<Self, IdentityError> {
        Self::assemble(cluster.clone(), IdentityName::new(kind, name)?, groups)
    }

    fn assemble(
        cluster: ClusterId,
        name: IdentityName,
        mut groups: Vec<String>,
    ) -> Result<Self, IdentityError> {
        groups.sort();
        groups.dedup();
        check_groups(name.kind(), &groups)?;
        Ok(Self { cluster, name, groups })
    }

    /// The cluster it belongs to.
    pub fn cluster(&self) -> &ClusterId {
        &self.cluster
    }

    /// What sort of party.
    pub fn kind(&self) -> IdentityKind {
        self.name.kind()
    }

    /// The bare name, such as `n1`.
    pub fn name(&self) -> &str {
        self.name.name()
    }

    /// Kind and name.
    pub fn identity_name(&self) -> &IdentityName {
        &self.name
    }

    /// Kubernetes groups, sorted.
    pub fn groups(&self) -> &[String] {
        &self.groups
    }

    /// The Kubernetes user name, which is the certificate's common name.
    pub fn user_name(&self) -> String {
        let name = self.name.name();
        match self.name.kind() {
            IdentityKind::Server => format!("system:trireme:server:{name}"),
            IdentityKind::Node => format!("system:node:{name}"),
            IdentityKind::User => name.to_owned(),
            IdentityKind::Component => format!("system:{name}"),
        }
    }

    /// `spiffe://<cluster>.trireme/<kind>/<name>`, the name percent-encoded.
    pub fn uri(&self) -> String {
        format!(
            "{}/{}/{}",
            self.cluster.trust_domain_uri(),
            self.name.kind(),
            percent_encode(self.name.name())
        )
    }

    /// Rebuilds the identity from the URI and checks that common name and organizations say the same.
    pub fn from_certificate_parts(
        uri: &str,
        common_name: &str,
        organizations: &[&str],
    ) -> Result<Self, IdentityError> {
        let (cluster, name) = parse_uri(uri)?;
        let mut found: Vec<String> = organizations.iter().map(|group| (*group).to_owned()).collect();
        found.sort();
        found.dedup();
        let groups = prescribed_groups(name.kind()).unwrap_or_else(|| found.clone());
        let identity = Self::assemble(cluster, name, groups)?;
        if identity.user_name() != common_name || identity.groups != found {
            return Err(IdentityError::Mismatch {
                uri_says: format!("CN={} O={}", identity.user_name(), identity.groups.join(",")),
                subject_says: format!("CN={common_name} O={}", found.join(",")),
            });
        }
        Ok(identity)
    }
}

impl fmt::Display for Identity {
    /// `node/n1@cluster`, for logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.cluster)
    }
}

/// The groups a kind must carry; `None` when the certificate chooses (users).
fn prescribed_groups(kind: IdentityKind) -> Option<Vec<String>> {
    match kind {
        IdentityKind::Server => Some(vec![GROUP_SERVERS.to_owned()]),
        IdentityKind::Node => Some(vec![GROUP_NODES.to_owned()]),
        IdentityKind::Component => Some(Vec::new()),
        IdentityKind::User => None,
    }
}

fn check_groups(kind: IdentityKind, groups: &[String]) -> Result<(), IdentityError> {
    if let Some(prescribed) = prescribed_groups(kind) {
        return match groups == prescribed.as_slice() {
            true => Ok(()),
            false => Err(IdentityError::BadGroup {
                found: groups.join(","),
                why: "the groups of a server, node or component follow from its kind",
            }),
        };
    }
    if groups.len() > GROUPS_LIMIT {
        return Err(IdentityError::BadGroup {
            found: format!("{} groups", groups.len()),
            why: "a certificate carries at most 32 groups",
        });
    }
    groups.iter().try_for_each(|group| check_user_group(group))
}

fn check_user_group(group: &str) -> Result<(), IdentityError> {
    let bad = |why| Err(IdentityError::BadGroup { found: group.to_owned(), why });
    if group.is_empty() || group.len() > GROUP_LIMIT_BYTES || group.chars().any(char::is_control) {
        return bad("a group has 1 to 253 bytes and no control characters");
    }
    let reserved = [GROUP_NODES, GROUP_SERVERS, "system:authenticated", "system:unauthenticated"];
    if reserved.contains(&group) || group.starts_with("system:serviceaccounts") {
        return bad("this group is given by the cluster, not by a user's certificate");
    }
    Ok(())
}

fn parse_uri(uri: &str) -> Result<(ClusterId, IdentityName), IdentityError> {
    let bad = |why| IdentityError::BadUri { found: uri.to_owned(), why };
    let rest = uri.strip_prefix("spiffe://").ok_or_else(|| bad("it must begin with spiffe://"))?;
    let (domain, path) = rest.split_once('/').ok_or_else(|| bad("it has no path"))?;
    let cluster =
        domain.strip_suffix(".trireme").ok_or_else(|| bad("the trust domain must end in .trireme"))?;
    let (kind, encoded) = path.split_once('/').ok_or_else(|| bad("the path must be /<kind>/<name>"))?;
    let kind =
        IdentityKind::parse(kind).ok_or_else(|| bad("kind is none of server, node, user, component"))?;
    let name = percent_decode(encoded).ok_or_else(|| bad("the name is not percent-encoded UTF-8"))?;
    // One identity has one spelling, so that comparing URIs and comparing identities agree.
    if percent_encode(&name) != encoded {
        return Err(bad("the name is not in canonical percent-encoding"));
    }
    Ok((ClusterId::new(cluster)?, IdentityName::new(kind, &name)?))
}

fn percent_encode(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

fn percent_decode(encoded: &str) -> Option<String> {
    let mut bytes = encoded.bytes();
    let mut out = Vec::with_capacity(encoded.len());
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let high = char::from(bytes.next()?).to_digit(16)?;
        let low = char::from(bytes.next()?).to_digit(16)?;
        out.push(u8::try_from(high * 16 + low).ok()?);
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
#[path = "identity_test.rs"]
mod tests;
