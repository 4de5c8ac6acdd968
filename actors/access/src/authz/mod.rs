//! Putting authorizers together ([`Union`], [`modes`]), and telling people no ([`forbidden`]).

mod forbidden;
mod modes;
mod simple;
mod union;

pub use forbidden::{authorize, forbidden};
pub use modes::{Mode, ModeError, authorizers};
pub use simple::{AlwaysAllow, AlwaysDeny, Superusers};
pub use union::Union;
