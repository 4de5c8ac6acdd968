//! What other actors, machines and administrators may ask the cluster actor.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use trireme_kernel::Call;
use trireme_pki::{AltName, IdentityName, JoinRole, WallTime};

use super::{Book, Member};

/// Shows a copy of the book and asks for the receiver's. For servers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Offer {
    /// The sender's copy.
    pub book: Book,
}

impl Call for Offer {
    type Answer = Book;
    const NAME: &'static str = "cluster.offer";
}

/// Asks for a new certificate for the caller itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RenewCertificate {
    /// The certificate request, DER.
    pub request_der: Vec<u8>,
    /// The certificate the caller holds now, DER.
    pub certificate_der: Vec<u8>,
    /// Names and addresses under which it is reached.
    pub alt_names: Vec<AltName>,
}

/// A signed certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateAnswer {
    /// Certificate, then authority; DER.
    pub chain_der: Vec<Vec<u8>>,
}

impl Call for RenewCertificate {
    type Answer = CertificateAnswer;
    const NAME: &'static str = "cluster.renew-certificate";
}

/// Makes a join token. For administrators.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CreateToken {
    /// What a bearer becomes.
    pub role: JoinRole,
    /// How long it can be used.
    pub lifetime: Duration,
}

impl Call for CreateToken {
    /// The token's text, shown this once.
    type Answer = String;
    const NAME: &'static str = "cluster.create-token";
}

/// Lists the tokens that can still be used. For administrators.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ListTokens {}

/// A token without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenInfo {
    /// The part before the dot.
    pub id: String,
    /// What a bearer becomes.
    pub role: JoinRole,
    /// When it was made.
    pub created: WallTime,
    /// First second at which it is no longer accepted.
    pub expires: WallTime,
}

impl Call for ListTokens {
    type Answer = Vec<TokenInfo>;
    const NAME: &'static str = "cluster.list-tokens";
}

/// Withdraws a join token. For administrators.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RevokeToken {
    /// Its id.
    pub id: String,
}

impl Call for RevokeToken {
    type Answer = ();
    const NAME: &'static str = "cluster.revoke-token";
}

/// Withdraws a machine: its certificates are refused and its connections closed, on every server the change
/// reaches. For administrators.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RevokeMachine {
    /// Which.
    pub name: IdentityName,
}

impl Call for RevokeMachine {
    type Answer = ();
    const NAME: &'static str = "cluster.revoke-machine";
}

/// Lists the machines of the cluster as this one knows them.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ListMembers {}

impl Call for ListMembers {
    type Answer = Vec<(IdentityName, Member)>;
    const NAME: &'static str = "cluster.list-members";
}
