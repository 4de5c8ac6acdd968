//! Subscriptions: a publisher pushes events, the subscriber grants credit.
//!
//! Laws: the publisher never sends more events than it has credit for; what waits for credit is bounded, and a
//! subscriber that does not keep up gets [`SubEndReason::Lagged`](crate::frame::SubEndReason) instead of
//! unbounded memory; events carry a sequence without gaps, and a subscriber that misses one is told. To subscribe
//! again is the caller's decision, since only it knows from which state.

mod publisher;
mod subscription;

pub(crate) use publisher::PublisherCore;
pub use publisher::{PublishError, Publisher};
pub use subscription::{PushedItem, SubEnd, Subscription};
pub(crate) use subscription::{SubscriptionState, TakeEvent};
