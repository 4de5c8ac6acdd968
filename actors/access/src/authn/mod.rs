//! Who is asking: [`Authentication`] tries what a request shows, [`impersonate`] lets it act as somebody else.

mod authentication;
mod bearer;
mod bootstrap_token;
mod impersonation;
pub mod service_account;
mod token_file;

pub use authentication::{Authenticated, Authentication, Credentials, NotAuthenticated, TokenAuthenticator};
pub use bootstrap_token::BootstrapTokens;
pub use impersonation::{ImpersonationError, impersonate};
pub use token_file::{TokenFile, TokenFileError};
