use std::net::SocketAddr;
use std::time::Duration;

use trireme_core::OpId;
use trireme_pki::{Caller, IdentityName, IssueRequest, JoinRole, SALT_BYTES, TokenId, TokenSecret, WallTime};

use super::Book;

/// Names a caller who waits for an answer; chosen by the shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// A request for a certificate.
#[derive(Clone, Debug)]
pub struct IssueInput {
    /// What is asked for.
    pub request: IssueRequest,
    /// SHA-256 of the key that shall be certified.
    pub public_key_sha256: [u8; 32],
    /// Who asks.
    pub caller: Caller,
    /// Where the machine's bus listens, when it joins as a server.
    pub address: Option<SocketAddr>,
}

/// A token to be written down. The secret is hashed with the salt; both come from the shell's randomness.
#[derive(Clone, Debug)]
pub struct TokenInput {
    /// Public id.
    pub id: TokenId,
    /// Secret.
    pub secret: TokenSecret,
    /// Salt of the hash that is kept.
    pub salt: [u8; SALT_BYTES],
    /// What a bearer may become.
    pub role: JoinRole,
    /// How long it can be used.
    pub lifetime: Duration,
}

/// What the cluster core receives. Moments are wall-clock time, read by the shell.
#[derive(Clone, Debug)]
pub enum ClusterInput {
    /// Somebody asks for a certificate.
    Issue {
        /// Who waits.
        ticket: Ticket,
        /// The request.
        issue: Box<IssueInput>,
        /// Now.
        at: WallTime,
    },
    /// A certificate asked for by `Sign` was made, or not.
    Signed {
        /// The effect's id.
        op: OpId,
        /// Why it was not made.
        outcome: Result<(), String>,
        /// Now.
        at: WallTime,
    },
    /// An administrator makes a token.
    CreateToken {
        /// Who waits.
        ticket: Ticket,
        /// The token.
        token: Box<TokenInput>,
        /// Now.
        at: WallTime,
    },
    /// An administrator withdraws a token.
    RevokeToken {
        /// Who waits.
        ticket: Ticket,
        /// Which.
        id: TokenId,
        /// Now.
        at: WallTime,
    },
    /// An administrator withdraws a machine.
    RevokeMachine {
        /// Who waits.
        ticket: Ticket,
        /// Which.
        name: IdentityName,
        /// Now.
        at: WallTime,
    },
    /// This machine listens at an address.
    Listening {
        /// Where.
        address: Option<SocketAddr>,
        /// Now.
        at: WallTime,
    },
    /// Another machine shows its copy of the book and asks for ours.
    Offered {
        /// Who waits.
        ticket: Ticket,
        /// Its copy.
        book: Box<Book>,
    },
    /// Another machine answered our offer with its copy.
    Learned {
        /// Who answered.
        peer: IdentityName,
        /// Its copy.
        book: Box<Book>,
    },
    /// An offer did not get through.
    OfferFailed {
        /// To whom.
        peer: IdentityName,
    },
    /// A connection to a machine stands.
    PeerUp {
        /// Which.
        peer: IdentityName,
    },
    /// The connection to a machine is lost.
    PeerDown {
        /// Which.
        peer: IdentityName,
    },
    /// The book asked for by `Persist` is on disk, or not.
    Persisted {
        /// The effect's id.
        op: OpId,
        /// Why it is not.
        outcome: Result<(), String>,
    },
}
