use std::net::SocketAddr;

use trireme_core::OpId;
use trireme_pki::{IdentityName, IssuePlan, TrustLedger};

use super::{Book, Ticket};

/// What the cluster core asks its shell to do.
#[derive(Clone, Debug, PartialEq)]
pub enum ClusterEffect {
    /// Make the certificate of a plan for the request behind `ticket`; answer by `Signed`.
    Sign {
        /// Named by the answer.
        op: OpId,
        /// Whose request it is; the shell keeps its key.
        ticket: Ticket,
        /// What to sign.
        plan: Box<IssuePlan>,
    },
    /// Put the book on disk; answer by `Persisted`.
    Persist {
        /// Named by the answer.
        op: OpId,
        /// The book.
        book: Box<Book>,
    },
    /// Show the book to a machine and ask for its copy; answer by `Learned` or `OfferFailed`.
    Offer {
        /// To whom.
        peer: IdentityName,
        /// Our copy.
        book: Box<Book>,
    },
    /// From now on handshakes go by this.
    Trust(Box<TrustLedger>),
    /// From now on keep connections to these servers.
    Dial(Vec<(IdentityName, SocketAddr)>),
    /// Close the connections of a machine that was withdrawn.
    Close(IdentityName),
    /// Answer the caller behind a ticket.
    Answer {
        /// Whom.
        ticket: Ticket,
        /// What.
        answer: ClusterAnswer,
    },
}

/// What a caller is told.
#[derive(Clone, Debug, PartialEq)]
pub enum ClusterAnswer {
    /// It is done and on this machine's disk.
    Done,
    /// The certificate that was signed for this ticket may be handed out; these are the servers.
    Issued(Vec<(IdentityName, SocketAddr)>),
    /// Our copy of the book.
    Book(Box<Book>),
    /// It is not done.
    Refused {
        /// For this side's log.
        reason: String,
        /// What the caller may be told.
        public: String,
    },
}

impl ClusterAnswer {
    /// Refused for a reason that is no secret.
    pub(crate) fn refused(reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self::Refused { public: reason.clone(), reason }
    }
}
