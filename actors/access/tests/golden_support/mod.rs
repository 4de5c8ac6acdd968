//! What the replay needs.

pub(crate) mod bootstrap;
pub(crate) mod path;
pub(crate) mod world;
