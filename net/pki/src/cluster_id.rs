//! The name that tells one cluster's certificates from another's.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::identity::IdentityError;

/// Longest cluster id, in bytes (one DNS label).
pub const CLUSTER_ID_LIMIT_BYTES: usize = 63;

/// One DNS label, `[a-z0-9]([-a-z0-9]*[a-z0-9])?`, chosen when the cluster's authority is made.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ClusterId(Arc<str>);

impl ClusterId {
    /// Checks the syntax.
    pub fn new(text: &str) -> Result<Self, IdentityError> {
        let label = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
        let good = !text.is_empty()
            && text.len() <= CLUSTER_ID_LIMIT_BYTES
            && text.bytes().all(label)
            && !text.starts_with('-')
            && !text.ends_with('-');
        if good { Ok(Self(text.into())) } else { Err(IdentityError::BadClusterId { found: text.to_owned() }) }
    }

    /// The label.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `spiffe://<cluster-id>.trireme`: the trust domain, and the URI of the authority itself.
    pub fn trust_domain_uri(&self) -> String {
        format!("spiffe://{}.trireme", self.0)
    }
}

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ClusterId {
    type Err = IdentityError;
    fn from_str(text: &str) -> Result<Self, IdentityError> {
        Self::new(text)
    }
}

impl TryFrom<String> for ClusterId {
    type Error = IdentityError;
    fn try_from(text: String) -> Result<Self, IdentityError> {
        Self::new(&text)
    }
}

impl From<ClusterId> for String {
    fn from(id: ClusterId) -> Self {
        id.as_str().to_owned()
    }
}
