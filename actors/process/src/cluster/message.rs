use trireme_kernel::{Caller, Reply};
use trireme_pki::IdentityName;

use super::calls::{
    CertificateAnswer, CreateToken, Offer, RenewCertificate, RevokeMachine, RevokeToken, TokenInfo,
};
use super::input::ClusterInput;
use super::join::{JoinAnswer, JoinRequest};
use super::{Book, Member};

/// What the cluster actor receives.
#[derive(Debug)]
pub enum ClusterMessage {
    /// A machine without a certificate asks to join.
    Join(Box<JoinRequest>, Reply<JoinAnswer>),
    /// A machine asks for a new certificate.
    Renew(Caller, Box<RenewCertificate>, Reply<CertificateAnswer>),
    /// An administrator makes a token.
    CreateToken(CreateToken, Reply<String>),
    /// An administrator lists the tokens.
    ListTokens(Reply<Vec<TokenInfo>>),
    /// Somebody lists the machines.
    ListMembers(Reply<Vec<(IdentityName, Member)>>),
    /// An administrator withdraws a token.
    RevokeToken(RevokeToken, Reply<()>),
    /// An administrator withdraws a machine.
    RevokeMachine(RevokeMachine, Reply<()>),
    /// Another machine shows its book.
    Offered(Box<Offer>, Reply<Book>),
    /// For the core.
    Core(Box<ClusterInput>),
}

impl ClusterMessage {
    pub(super) fn core(input: ClusterInput) -> Self {
        Self::Core(Box::new(input))
    }

    pub(super) fn label(&self) -> &'static str {
        match self {
            ClusterMessage::Join(..) => "join",
            ClusterMessage::Renew(..) => "renew",
            ClusterMessage::CreateToken(..) => "create-token",
            ClusterMessage::ListTokens(..) => "list-tokens",
            ClusterMessage::ListMembers(..) => "list-members",
            ClusterMessage::RevokeToken(..) => "revoke-token",
            ClusterMessage::RevokeMachine(..) => "revoke-machine",
            ClusterMessage::Offered(..) => "offered",
            ClusterMessage::Core(input) => match **input {
                ClusterInput::PeerUp { .. } => "peer-up",
                ClusterInput::PeerDown { .. } => "peer-down",
                ClusterInput::Learned { .. } => "learned",
                ClusterInput::OfferFailed { .. } => "offer-failed",
                ClusterInput::Persisted { .. } => "persisted",
                _ => "core",
            },
        }
    }
}
