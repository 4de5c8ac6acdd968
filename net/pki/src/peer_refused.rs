//! Why a handshake was refused, in one line.

use std::fmt;
use std::sync::Arc;

use rustls::{CertificateError, OtherError};
use thiserror::Error;

use crate::ca_certificate::CaPin;
use crate::cluster_id::ClusterId;
use crate::identity::Identity;
use crate::identity_name::IdentityName;
use crate::peer_certificate::{CertificateUnreadable, Serial};
use crate::wall_time::WallTime;

/// The reason in one word that stands in every message as `[word]`. Transports that keep only the text of a TLS
/// error can find it again with [`RefusalCode::in_text`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RefusalCode {
    /// No certificate where one is needed.
    NoCertificate,
    /// Not readable as one of ours.
    Malformed,
    /// Not signed by the cluster's authority.
    WrongAuthority,
    /// Its time has not come.
    NotYetValid,
    /// Its time is over.
    Expired,
    /// Not meant for this end of a connection.
    WrongPurpose,
    /// Names another cluster.
    WrongCluster,
    /// Withdrawn, alone or with its identity.
    Revoked,
    /// A good certificate of somebody else.
    WrongIdentity,
    /// The authority is not the pinned one.
    PinMismatch,
    /// A protocol that is not spoken here.
    UnknownProtocol,
}

impl RefusalCode {
    const ALL: [Self; 11] = [
        Self::NoCertificate,
        Self::Malformed,
        Self::WrongAuthority,
        Self::NotYetValid,
        Self::Expired,
        Self::WrongPurpose,
        Self::WrongCluster,
        Self::Revoked,
        Self::WrongIdentity,
        Self::PinMismatch,
        Self::UnknownProtocol,
    ];

    /// The word, stable for logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoCertificate => "no-certificate",
            Self::Malformed => "malformed",
            Self::WrongAuthority => "wrong-authority",
            Self::NotYetValid => "not-yet-valid",
            Self::Expired => "expired",
            Self::WrongPurpose => "wrong-purpose",
            Self::WrongCluster => "wrong-cluster",
            Self::Revoked => "revoked",
            Self::WrongIdentity => "wrong-identity",
            Self::PinMismatch => "pin-mismatch",
            Self::UnknownProtocol => "unknown-protocol",
        }
    }

    /// Finds the code in the text of an error that a [`PeerRefused`] went into.
    pub fn in_text(text: &str) -> Option<Self> {
        let (_, rest) = text.split_once("peer refused [")?;
        let (word, _) = rest.split_once(']')?;
        Self::ALL.into_iter().find(|code| code.as_str() == word)
    }
}

/// Why a peer was refused. Its text is one line that names the party, the reason and the times. The peer itself
/// only gets a TLS alert, so that it learns nothing about what is trusted.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PeerRefused {
    /// `trireme/1` needs a certificate.
    #[error("peer refused [no-certificate]: it showed none; only joining works without one")]
    NoCertificate,
    /// Cannot be read as one of ours.
    #[error("peer refused [malformed]: {0}")]
    Malformed(#[from] CertificateUnreadable),
    /// Not signed by this cluster's authority.
    #[error(
        "peer refused [wrong-authority]: it claims {claims}, not signed by the authority of {cluster} ({detail})"
    )]
    WrongAuthority {
        /// What the certificate says, unproven.
        claims: Box<Identity>,
        /// The trusted cluster.
        cluster: ClusterId,
        /// The chain checker's words.
        detail: String,
    },
    /// Clock difference, or a certificate for later.
    #[error(
        "peer refused [not-yet-valid]: certificate of {identity} begins at {not_before}, it is {now}; compare both clocks"
    )]
    NotYetValid {
        /// Whom.
        identity: Identity,
        /// First second of validity.
        not_before: WallTime,
        /// This side's clock.
        now: WallTime,
    },
    /// Not renewed in time, or a clock difference.
    #[error(
        "peer refused [expired]: certificate of {identity} ended at {not_after}, it is {now}; it must join again"
    )]
    Expired {
        /// Whom.
        identity: Identity,
        /// Last second of validity.
        not_after: WallTime,
        /// This side's clock.
        now: WallTime,
    },
    /// The authority itself is outside its validity.
    #[error("peer refused [expired]: the authority of {cluster} is not valid at {now}")]
    AuthorityOutOfTime {
        /// Whose.
        cluster: ClusterId,
        /// This side's clock.
        now: WallTime,
    },
    /// Extended key usage lacks this end of a connection.
    #[error("peer refused [wrong-purpose]: certificate of {identity} may not be used as a TLS {needed}")]
    WrongPurpose {
        /// Whom.
        identity: Identity,
        /// `server` or `client`.
        needed: &'static str,
    },
    /// Signed by our authority, yet for another cluster.
    #[error("peer refused [wrong-cluster]: {identity} is not of cluster {expected}")]
    WrongCluster {
        /// Whom.
        identity: Identity,
        /// This cluster.
        expected: ClusterId,
    },
    /// One certificate was withdrawn.
    #[error("peer refused [revoked]: certificate {serial} of {identity} is revoked")]
    CertificateRevoked {
        /// Whom.
        identity: Identity,
        /// Which.
        serial: Serial,
    },
    /// All earlier certificates of the identity were withdrawn.
    #[error(
        "peer refused [revoked]: {identity} is revoked for certificates from before {issued_before} (this one: {serial}); it must join again"
    )]
    IdentityRevoked {
        /// Whom.
        identity: Identity,
        /// Which certificate was shown.
        serial: Serial,
        /// The moment of withdrawal.
        issued_before: WallTime,
    },
    /// Somebody else answered.
    #[error("peer refused [wrong-identity]: expected {expected}, found {found}")]
    WrongIdentity {
        /// Who should be there.
        expected: ExpectedPeer,
        /// Who is.
        found: Identity,
    },
    /// The other end is not the cluster of the join token.
    #[error(
        "peer refused [pin-mismatch]: no authority with the pin {expected} in its chain; this is not the cluster the join token is for"
    )]
    PinMismatch {
        /// The token's pin.
        expected: CaPin,
    },
    /// ALPN named nothing that is spoken here.
    #[error("peer refused [unknown-protocol]: {found:?}; spoken here: trireme/1, trireme-join/1")]
    UnknownProtocol {
        /// What the peer wanted, cut to 32 characters.
        found: String,
    },
}

impl PeerRefused {
    /// The reason in one word.
    pub fn code(&self) -> RefusalCode {
        match self {
            Self::NoCertificate => RefusalCode::NoCertificate,
            Self::Malformed(_) => RefusalCode::Malformed,
            Self::WrongAuthority { .. } => RefusalCode::WrongAuthority,
            Self::NotYetValid { .. } => RefusalCode::NotYetValid,
            Self::Expired { .. } | Self::AuthorityOutOfTime { .. } => RefusalCode::Expired,
            Self::WrongPurpose { .. } => RefusalCode::WrongPurpose,
            Self::WrongCluster { .. } => RefusalCode::WrongCluster,
            Self::CertificateRevoked { .. } | Self::IdentityRevoked { .. } => RefusalCode::Revoked,
            Self::WrongIdentity { .. } => RefusalCode::WrongIdentity,
            Self::PinMismatch { .. } => RefusalCode::PinMismatch,
            Self::UnknownProtocol { .. } => RefusalCode::UnknownProtocol,
        }
    }

    /// Gets the typed reason back out of a TLS error, where the transport still has it.
    pub fn from_tls(error: &rustls::Error) -> Option<Self> {
        match error {
            rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(inner))) => {
                inner.downcast_ref::<InTls>().map(|carried| carried.0.clone())
            }
            _ => None,
        }
    }

    pub(crate) fn into_tls(self) -> rustls::Error {
        rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(InTls(self)))))
    }
}

/// The text of a TLS error shows its cause by `Debug`; in here that is the one readable line.
#[derive(Error)]
#[error("{0}")]
struct InTls(PeerRefused);

impl fmt::Debug for InTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Whom a dialler wants at the other end.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ExpectedPeer {
    /// Any server of the cluster.
    AnyServer,
    /// This server or node and no other.
    Exactly(IdentityName),
}

impl ExpectedPeer {
    pub(crate) fn admits(&self, found: &Identity) -> bool {
        match self {
            Self::AnyServer => found.kind() == crate::identity_name::IdentityKind::Server,
            Self::Exactly(name) => found.identity_name() == name,
        }
    }
}

impl fmt::Display for ExpectedPeer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AnyServer => f.write_str("any server"),
            Self::Exactly(name) => name.fmt(f),
        }
    }
}
