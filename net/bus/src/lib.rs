//! The bus: how the machines of a cluster talk.
//!
//! QUIC with mutual TLS; the only crate that names quinn. It knows peers, classes, frames and calls by name; it
//! does not know what a call means, nor any kind of object.
//!
//! **Place in the supervision tree.** Supervisor `/<role>/<me>/bus` with the actor `accept` and the supervisor
//! `peer`, under which every peer machine has its link actor. Sessions are no actors: the process's table owns
//! them, so any of the actors can be killed without touching what is in flight.
//!
//! **Laws.** Identity comes from the certificate and from nothing else. What no rule allows is denied. A request
//! is delivered at most once; its deadline holds at both ends; when its outcome cannot be known it says so. Every
//! queue, frame and table has a limit. Urgent classes go first.
//!
//! **Deliberately absent.** Retries (the caller's decision, with a key), 0-RTT, any store.

mod acceptor;
mod admission;
mod bus;
mod class;
mod clock;
mod config;
mod dedupe;
mod endpoint;
mod engine;
pub mod frame;
mod identity;
mod keyed;
pub mod link;
mod liveness;
mod peer;
pub mod permission;
mod remote;
mod service;
mod session;
mod sessions;
mod subscribe;

pub use admission::{AdmissionLimits, Refusal};
pub use bus::{Bus, BusParts};
pub use class::{ALL_CLASSES, class_code, class_name};
pub use clock::BusClock;
pub use config::{BusConfig, OWN_STREAM_ABOVE_BYTES, SessionLimits};
pub use dedupe::{Begin, Dedupe, DedupeKey, DedupeLimits};
pub use endpoint::{
    BusError, DialError, JOIN_ANSWER_LIMIT_BYTES, JOIN_BODY_LIMIT_BYTES, JoinError, Joined, join,
};
pub use engine::PeerEvent;
pub use identity::{IdentityKind, PeerIdentity};
pub use liveness::{Liveness, LivenessCore, LivenessInput};
pub use peer::{Peer, PeerReport};
pub use permission::PermissionTable;
pub use remote::RegistryService;
pub use service::{
    Handling, Inbound, JoinService, NoPublishers, Publishers, Service, StreamTaker, SubscribeRefused,
};
pub use session::{ByteStream, STREAM_PREFIX};
pub use subscribe::{PublishError, Publisher, PushedItem, SubEnd, Subscription};
