//! Who may have which certificate: a pure decision. Signing what was decided is the authority's work.
//!
//! Laws: a token makes servers or nodes, by its role, never users; a machine renews itself and nobody else; a name
//! that is held under another key is not given away until its identity is revoked; only servers and
//! administrators have user and component certificates made.

use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::alt_name::{ALT_NAMES_LIMIT, AltName};
use crate::authority::CERTIFICATE_LIFETIME_LIMIT;
use crate::cluster_id::ClusterId;
use crate::identity::{GROUP_MASTERS, Identity, IdentityError};
use crate::identity_name::{IdentityKind, IdentityName};
use crate::join_token::{TokenId, TokenSecret};
use crate::peer_certificate::PeerCertificate;
use crate::token_record::{JoinRole, TokenRefused};
use crate::trust_ledger::TrustLedger;
use crate::wall_time::WallTime;

/// Life of a machine's certificate unless configured: 30 days, renewed after 20.
pub const MACHINE_LIFETIME: Duration = Duration::from_secs(30 * 86_400);
/// Life of a user's or component's certificate unless configured: 365 days.
pub const USER_LIFETIME: Duration = Duration::from_secs(365 * 86_400);

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum IssueRequest {
    /// A machine that joins as a server or as an agent (a node). A machine that is both asks twice.
    Join {
        /// What it wants to be.
        role: JoinRole,
        /// Its name.
        name: String,
        /// Names and addresses under which it will be reached.
        alt_names: Vec<AltName>,
    },
    /// A machine, user or component with a valid certificate that wants a new one.
    Renew {
        /// For whom. Must be the caller.
        name: IdentityName,
        /// Names and addresses under which it will be reached.
        alt_names: Vec<AltName>,
    },
    /// The node certificate of a server that also runs pods. The node has the server's name.
    OwnNode {
        /// Names and addresses under which it will be reached.
        alt_names: Vec<AltName>,
    },
    /// A user or component certificate, made for somebody by a server or an administrator.
    Client {
        /// Whom; must be of kind user or component.
        identity: Identity,
        /// Life; at most 366 d.
        lifetime: Duration,
    },
}

/// Who asks.
#[derive(Clone, Debug)]
pub enum Caller {
    /// Nobody in particular, with a bootstrap token or without.
    Anonymous {
        /// Id and secret.
        token: Option<(TokenId, TokenSecret)>,
    },
    /// The party of a verified handshake.
    Known(Box<PeerCertificate>),
}

/// What to sign. Lifetime and floor go into [`crate::SigningOrder`] as they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuePlan {
    /// Whom the certificate names.
    pub identity: Identity,
    /// Checked alternative names.
    pub alt_names: Vec<AltName>,
    /// Its life.
    pub lifetime: Duration,
    /// See [`crate::SigningOrder::not_before_floor`].
    pub not_before_floor: Option<WallTime>,
    /// True when the answer carries the sealed authority, which every server needs in order to sign.
    pub export_authority: bool,
    /// True when the key must be remembered with [`TrustLedger::enrol`].
    pub enrol: bool,
}

/// Why no certificate is given. The text is for this side's log; to a stranger say only "join refused".
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// Joining needs a token.
    #[error("certificate refused: an unknown caller showed no join token")]
    NoToken,
    /// The token is not accepted.
    #[error("certificate refused: {0}")]
    Token(#[from] TokenRefused),
    /// The token is for the other role.
    #[error("certificate refused: the join token is for the role {token}, asked for was {asked}")]
    WrongRole {
        /// What the token allows.
        token: JoinRole,
        /// What was asked.
        asked: JoinRole,
    },
    /// The caller's own certificate is withdrawn or over.
    #[error(
        "certificate refused: the certificate of {caller} is revoked or expired; join again with a token"
    )]
    CallerNotValid {
        /// Who asked.
        caller: Box<Identity>,
    },
    /// Not the caller's to ask.
    #[error("certificate refused: {caller} may not have a certificate for {asked}")]
    NotYours {
        /// Who asked.
        caller: Box<Identity>,
        /// For whom.
        asked: IdentityName,
    },
    /// Only a token makes a member.
    #[error(
        "certificate refused: {caller} is a member already; joining is for machines without a certificate"
    )]
    AlreadyMember {
        /// Who asked.
        caller: Box<Identity>,
    },
    /// Held under another key.
    #[error(
        "certificate refused: {name} joined before with another key; if that machine is gone, revoke it and join again"
    )]
    NameTaken {
        /// The name.
        name: IdentityName,
    },
    /// Malformed, too many, or names that belong to others.
    #[error("certificate refused: alternative name {name}: {why}")]
    AltName {
        /// Which.
        name: String,
        /// The broken rule.
        why: &'static str,
    },
    /// The name breaks the rule of its kind.
    #[error("certificate refused: {0}")]
    Identity(#[from] IdentityError),
    /// Longer than allowed.
    #[error("certificate refused: a lifetime of {asked_seconds} s is not within 1 s to 366 d")]
    Lifetime {
        /// What was asked.
        asked_seconds: u64,
    },
}

impl Refusal {
    /// What a caller may be told: strangers learn nothing about tokens and names.
    pub fn public_text(&self, caller: &Caller) -> String {
        match caller {
            Caller::Known(_) => self.to_string(),
            Caller::Anonymous { .. } => match self {
                Self::NameTaken { .. }
                | Self::AltName { .. }
                | Self::Identity(_)
                | Self::WrongRole { .. } => self.to_string(),
                _ => "certificate refused: the join token is not accepted; create another one".to_owned(),
            },
        }
    }
}

/// The issuing policy of one cluster.
#[derive(Clone, Debug)]
pub struct Issuer {
    cluster: ClusterId,
    machine_lifetime: Duration,
    reserved: Vec<AltName>,
}

impl Issuer {
    /// The default policy.
    pub fn new(cluster: ClusterId) -> Self {
        Self { cluster, machine_lifetime: MACHINE_LIFETIME, reserved: Vec::new() }
    }

    /// Sets the life of machines' certificates.
    #[must_use]
    pub fn with_machine_lifetime(mut self, lifetime: Duration) -> Self {
        self.machine_lifetime = lifetime;
        self
    }

    /// Names and addresses no node may claim: those of the API service and of the servers.
    #[must_use]
    pub fn with_reserved(mut self, reserved: Vec<AltName>) -> Self {
        self.reserved = reserved;
        self
    }

    /// Decides. `public_key_sha256` is that of the key in the certificate request, so that a repeated request of the
    /// same machine is recognised.
    pub fn decide(
        &self,
        request: &IssueRequest,
        public_key_sha256: &[u8; 32],
        caller: &Caller,
        ledger: &TrustLedger,
        now: WallTime,
    ) -> Result<IssuePlan, Refusal> {
        match caller {
            Caller::Anonymous { token } => {
                self.decide_stranger(request, public_key_sha256, token.as_ref(), ledger, now)
            }
            Caller::Known(peer) => {
                let revoked = ledger.is_revoked(&peer.identity, &peer.serial, peer.not_before).is_some();
                if revoked || now > peer.not_after || peer.identity.cluster() != &self.cluster {
                    return Err(Refusal::CallerNotValid { caller: Box::new(peer.identity.clone()) });
                }
                self.decide_known(request, public_key_sha256, peer, ledger)
            }
        }
    }

    fn decide_stranger(
        &self,
        request: &IssueRequest,
        public_key_sha256: &[u8; 32],
        token: Option<&(TokenId, TokenSecret)>,
        ledger: &TrustLedger,
        now: WallTime,
    ) -> Result<IssuePlan, Refusal> {
        let (id, secret) = token.ok_or(Refusal::NoToken)?;
        let allowed = ledger.check_token(id, secret, now)?;
        // A token is worth nothing but joining.
        let IssueRequest::Join { role, name, alt_names } = request else { return Err(Refusal::NoToken) };
        if *role != allowed {
            return Err(Refusal::WrongRole { token: allowed, asked: *role });
        }
        let identity = match role {
            JoinRole::Server => Identity::server(&self.cluster, name)?,
            JoinRole::Agent => Identity::node(&self.cluster, name)?,
        };
        self.plan_machine(identity, alt_names, public_key_sha256, ledger, *role == JoinRole::Server)
    }

    fn decide_known(
        &self,
        request: &IssueRequest,
        public_key_sha256: &[u8; 32],
        peer: &PeerCertificate,
        ledger: &TrustLedger,
    ) -> Result<IssuePlan, Refusal> {
        let caller = &peer.identity;
        let not_yours = |asked: &IdentityName| Refusal::NotYours {
            caller: Box::new(caller.clone()),
            asked: asked.clone(),
        };
        match request {
            IssueRequest::Join { .. } => Err(Refusal::AlreadyMember { caller: Box::new(caller.clone()) }),
            IssueRequest::Renew { name, .. } if name != caller.identity_name() => Err(not_yours(name)),
            IssueRequest::Renew { alt_names, .. } => match caller.kind() {
                IdentityKind::Server | IdentityKind::Node => {
                    self.plan_renewal(caller.clone(), alt_names, ledger)
                }
                // Withdrawing a user would be pointless if it could extend itself for ever.
                IdentityKind::User | IdentityKind::Component => Err(not_yours(caller.identity_name())),
            },
            IssueRequest::OwnNode { alt_names } => {
                let node = Identity::node(&self.cluster, caller.name())?;
                match caller.kind() {
                    IdentityKind::Server => {
                        self.plan_machine(node, alt_names, public_key_sha256, ledger, false)
                    }
                    _ => Err(not_yours(node.identity_name())),
                }
            }
            IssueRequest::Client { identity, lifetime } => {
                let may = caller.kind() == IdentityKind::Server || is_administrator(caller);
                let machine = matches!(identity.kind(), IdentityKind::Server | IdentityKind::Node);
                if !may || machine || identity.cluster() != &self.cluster {
                    return Err(not_yours(identity.identity_name()));
                }
                self.plan_client(identity.clone(), *lifetime, ledger)
            }
        }
    }

    fn plan_machine(
        &self,
        identity: Identity,
        alt_names: &[AltName],
        public_key_sha256: &[u8; 32],
        ledger: &TrustLedger,
        export_authority: bool,
    ) -> Result<IssuePlan, Refusal> {
        let held = ledger.enrolment(identity.identity_name());
        if held.is_some_and(|held| held.public_key_sha256 != *public_key_sha256) {
            return Err(Refusal::NameTaken { name: identity.identity_name().clone() });
        }
        let plan = self.plan_renewal(identity, alt_names, ledger)?;
        Ok(IssuePlan { export_authority, ..plan })
    }

    fn plan_renewal(
        &self,
        identity: Identity,
        alt_names: &[AltName],
        ledger: &TrustLedger,
    ) -> Result<IssuePlan, Refusal> {
        let alt_names = self.check_alt_names(&identity, alt_names)?;
        Ok(IssuePlan {
            not_before_floor: ledger.earliest_begin(identity.identity_name()),
            identity,
            alt_names,
            lifetime: self.machine_lifetime,
            export_authority: false,
            enrol: true,
        })
    }

    fn plan_client(
        &self,
        identity: Identity,
        lifetime: Duration,
        ledger: &TrustLedger,
    ) -> Result<IssuePlan, Refusal> {
        if lifetime.as_secs() == 0 || lifetime > CERTIFICATE_LIFETIME_LIMIT {
            return Err(Refusal::Lifetime { asked_seconds: lifetime.as_secs() });
        }
        Ok(IssuePlan {
            not_before_floor: ledger.earliest_begin(identity.identity_name()),
            identity,
            alt_names: Vec::new(),
            lifetime,
            export_authority: false,
            enrol: false,
        })
    }

    /// A kubelet's certificate is valid for TLS servers, and clients trust the authority for the API as well: a node
    /// that could choose its names could pose as the API server. A server may, being one.
    fn check_alt_names(&self, identity: &Identity, names: &[AltName]) -> Result<Vec<AltName>, Refusal> {
        let refuse = |name: &AltName, why| Err(Refusal::AltName { name: name.to_string(), why });
        for (count, name) in names.iter().enumerate() {
            if count >= ALT_NAMES_LIMIT {
                return refuse(name, "more than 64 alternative names");
            }
            if !name.is_well_formed() {
                return refuse(name, "not a lower-case DNS name");
            }
            if identity.kind() == IdentityKind::Server {
                continue;
            }
            match name {
                AltName::Dns(dns) if dns != identity.name() => {
                    return refuse(name, "a node may only use its own name");
                }
                AltName::Ip(address) if !is_unicast(address) => {
                    return refuse(name, "not the address of one machine");
                }
                _ if self.reserved.contains(name) => {
                    return refuse(name, "it belongs to the API or to a server");
                }
                _ => {}
            }
        }
        let mut names = names.to_vec();
        names.sort();
        names.dedup();
        Ok(names)
    }
}

fn is_administrator(caller: &Identity) -> bool {
    caller.kind() == IdentityKind::User && caller.groups().iter().any(|group| group == GROUP_MASTERS)
}

fn is_unicast(address: &IpAddr) -> bool {
    !address.is_unspecified() && !address.is_multicast()
}

#[cfg(test)]
#[path = "issuer_test.rs"]
mod tests;
