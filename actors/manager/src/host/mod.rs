//! Hosting controllers: one supervised actor each, [`ControllerActor`].
//!
//! **Laws.** One look at a key is in flight at a time, and its key is looked at again only when the feed shows all that
//! the look before wrote. What a killed incarnation set out to write is carried out to its end, and the next one waits
//! for it. A look that panics costs its key a wait, not the controller its other keys. Nothing is polled.

mod actor;
mod calls;
mod carrier;
mod hosted;

pub use actor::{CarriedOut, ControllerActor, ControllerInput};
pub use calls::{EXPLAINED_KEYS, ExplainKeys, KeyExplained, QueueReport};
pub(crate) use hosted::Hosted;
pub use hosted::controller_client;
