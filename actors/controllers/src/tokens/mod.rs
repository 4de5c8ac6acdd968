//! Secrets with tokens that have served: bootstrap tokens past their time, tokens of service accounts that are gone.
//!
//! Source: upstream's tokencleaner and serviceaccount tokens controllers.

mod bootstrap;
mod service_account;

pub use bootstrap::BootstrapTokenCleaner;
pub use service_account::ServiceAccountTokenCleaner;
