//! The garbage collector: objects whose owners are gone go as well, in the order that was asked for.
//!
//! Keys are uids. The world holds every object at one revision, so that an owner which is not there is gone: there is
//! no graph to keep in step, and no virtual nodes.
//!
//! Laws: nothing goes while one of its owners stays; an object deleted in the foreground goes after those dependents
//! that block it; one deleted as `Orphan` leaves its dependents behind, without a reference to it.

mod controller;
mod owners;

pub use controller::GarbageCollector;
