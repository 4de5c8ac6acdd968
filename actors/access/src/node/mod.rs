//! What node agents may do: [`NodeAuthorizer`], and who is one ([`node_of`]).
//!
//! A node reads the secrets, config maps, claims and volumes that pods bound to it use, requests tokens for their
//! service accounts, keeps its own Lease and CSINode, and does what the rules of `system:node` say.

mod authorizer;
mod identity;
mod references;
mod relations;

pub use authorizer::{NodeAuthorizer, NodeReads};
pub use identity::{NodeIdentity, node_of};
