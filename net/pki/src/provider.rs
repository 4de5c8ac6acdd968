//! The crypto library, chosen once for the process.

use std::sync::{Arc, OnceLock};

use rustls::crypto::CryptoProvider;

/// Makes aws-lc-rs the process's default provider, for libraries that ask for a default. Call it once, early in
/// `main`; calling it again does nothing. This crate's own configurations name the provider and do not depend on it.
pub fn install_crypto_provider() {
    if CryptoProvider::get_default().is_none()
        && rustls::crypto::aws_lc_rs::default_provider().install_default().is_err()
    {
        tracing::debug!("another thread installed the crypto provider first");
    }
}

pub(crate) fn crypto_provider() -> &'static Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    PROVIDER.get_or_init(|| Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
}
