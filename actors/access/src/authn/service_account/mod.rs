//! Tokens of service accounts: keys, claims, signing, reading, TokenRequest, OIDC discovery.
//!
//! Two sorts: bound tokens (TokenRequest: an end, audiences, perhaps an object that must live), and the endless ones that
//! Secrets of type `kubernetes.io/service-account-token` hold. Both say nothing that is believed without the
//! ServiceAccount as it is now.

mod claims;
mod der;
mod discovery;
mod issuer;
mod key;
mod legacy;
mod token_request;
mod tokens;
mod verified;

pub use claims::{BoundObject, NewToken};
pub use discovery::{jwks, openid_configuration};
pub use issuer::{Issuer, SignError};
pub use key::{GeneratedKey, KeyError, SigningKey, VerifyingKey};
pub use token_request::{TokenRequest, request_token};
pub use tokens::ServiceAccountTokens;
