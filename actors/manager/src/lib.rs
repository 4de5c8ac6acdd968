//! trireme-manager: the leader's deciding actors: the feed of changes, the recorder of events, and the controllers.
//!
//! **Place in the supervision tree.** Below `/cluster`, which runs where the leader is: `/cluster/feed` ([`FeedActor`]),
//! `/cluster/events` ([`EventRecorder`]) and `/cluster/controllers/<name>` ([`ControllerActor`]), all permanent, made
//! for one reign. [`Manager`] adds them to the scope; another deciding actor (the scheduler) takes the same [`Feed`] and
//! [`EventSink`].
//!
//! **Laws.** Writes go through the API's pipeline under the controller's own RBAC subject and carry the reign's term.
//! Decisions read one revision of the applied state, which holds what the decider wrote before. Any of the actors may be
//! killed at any moment: nothing is doubled, nothing is lost but events. At rest nothing runs.
//!
//! **Deliberately absent.** What controllers decide (trireme-controllers), sockets, caches of objects.

mod certificates;
mod clock;
mod events;
mod feed;
mod host;
mod kinds;
mod manager;
mod roster;
mod tokens;

pub use certificates::ClusterCertificates;
pub use events::{EventInput, EventRecorder, EventSink, Told};
pub use feed::{Applied, Feed, FeedActor, FeedReader, FeedWorld, Missed, READ_CHANGES, READER_CHANGES};
pub use host::{
    CarriedOut, ControllerActor, ControllerInput, EXPLAINED_KEYS, ExplainKeys, KeyExplained, QueueReport,
    controller_client,
};
pub use manager::Manager;
pub use roster::{ControllerSettings, controllers};
pub use tokens::ClusterTokens;
pub use trireme_controllers::{Certificates, ClusterRange, RangeError, TokenPowers};
