//! What the replay needs.

pub mod bootstrap;
pub mod path;
pub mod world;
