//! trireme-access: who is asking, and may they? Identities, authentication, authorisation.
//!
//! Reads the cluster through [`trireme_schema::objects::Objects`]; knows neither stores nor sockets.

mod attributes;
mod user;

pub use attributes::{Attributes, Authorizer, Decision, NonResourceRule, ResourceRule, Rules};
pub use user::User;
