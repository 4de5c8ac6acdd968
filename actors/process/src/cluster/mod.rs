//! The cluster actor: this machine's copy of the book of members, tokens and revocations.
//!
//! Place in the tree: `/server/<name>/cluster` (on agents `/node/<name>/cluster`), permanent, a child of the root.
//! It issues certificates to machines that join, hands the live trust to TLS handshakes, tells the bus whom to dial,
//! and spreads each change to every connected machine.
//!
//! Laws: an answer is given only when the change is on this machine's disk; copies on different machines converge
//! whatever the order of messages; a revoked machine's connections are closed wherever the revocation arrives.
//! Deliberately absent: agreement. The book merges without a leader, so that machines can join and be revoked
//! while servers are down.

mod actor;
mod book;
mod calls;
mod core;
#[cfg(test)]
mod core_test;
mod effect;
mod input;
mod join;
mod message;
mod waiter;

use std::time::Duration;

pub(crate) use actor::cluster_path;
pub use actor::{ClusterActor, ClusterParts};
pub use book::{Book, BookFileError, Member};
pub use calls::{
    CertificateAnswer, CreateToken, ListMembers, ListTokens, Offer, RenewCertificate, RevokeMachine,
    RevokeToken, TokenInfo,
};
pub use core::ClusterCore;
pub use effect::{ClusterAnswer, ClusterEffect};
pub use input::{ClusterInput, IssueInput, Ticket, TokenInput};
pub use join::{Applicant, JoinAnswer, JoinDoor, JoinError, JoinRequest, Joined, join};
pub use message::ClusterMessage;

/// Certificates being signed at a time; one more is refused.
pub const SIGNATURES_LIMIT: usize = 64;
/// Callers waiting for an answer at a time; one more is refused.
pub const CALLERS_LIMIT: usize = 1_024;
/// Wait before an offer that did not get through is made again.
pub const OFFER_RETRY: Duration = Duration::from_millis(500);
/// Wait before the book is written again after a failure.
pub const PERSIST_RETRY: Duration = Duration::from_secs(1);
/// How long an offer may take.
pub const OFFER_DEADLINE: Duration = Duration::from_secs(5);
