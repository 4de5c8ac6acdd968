//! [`TokenKeys`]: the key that signs service account tokens, one for the cluster.
//!
//! The key lives in the replicated store under a name that no API path leads to, made by whichever server is first. All
//! servers sign and check with it.

use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwapOption;
use trireme_access::authn::service_account::{Issuer, ServiceAccountTokens, SigningKey, VerifyingKey};
use trireme_access::authn::{Authenticated, TokenAuthenticator};
use trireme_mvcc::{Key, State};
use trireme_schema::objects::Objects;

use crate::records::{Commit, ROOT, Records, RecordsError};

/// Where the key is, as PEM text.
const PLACE: &str = "~keys/service-accounts";

/// The cluster's key, once it is known.
#[derive(Default)]
pub(crate) struct TokenKeys {
    issuer: ArcSwapOption<Issuer>,
    keys: OnceLock<Vec<VerifyingKey>>,
    tokens: OnceLock<ServiceAccountTokens>,
}

impl TokenKeys {
    /// Who signs.
    pub(crate) fn issuer(&self) -> Option<Arc<Issuer>> {
        self.issuer.load_full()
    }

    /// What tokens are checked with.
    pub(crate) fn keys(&self) -> &[VerifyingKey] {
        self.keys.get().map_or(&[], Vec::as_slice)
    }

    /// Loads the key, or makes it when there is none.
    ///
    /// # Errors
    /// The store, or a key that cannot be read.
    pub(crate) async fn load(
        &self,
        records: &Records,
        name: &str,
        objects: Arc<dyn Objects>,
    ) -> Result<(), RecordsError> {
        if self.issuer.load().is_some() {
            return Ok(());
        }
        let key = Key::from(format!("{ROOT}{PLACE}").as_str());
        let refused = |error: &dyn std::fmt::Display| RecordsError::Refused(format!("{PLACE}: {error}"));
        let known = |state: &State| state.get(&key).map(|object| object.value().clone());
        let mut found = records.read_local(known).flatten();
        if found.is_none() {
            let made = SigningKey::generate_p256().map_err(|error| refused(&error))?;
            let mut commit = Commit::default();
            commit.create(key.clone(), made.pem.into_bytes().into());
            match records.commit(commit).await {
                // Another server was faster: its key is the key.
                Ok(_) | Err(RecordsError::Changed) => {}
                Err(error) => return Err(error),
            }
            found = records.read_local(known).flatten();
        }
        let pem = found.ok_or_else(|| refused(&"not there after it was written"))?;
        let pem = String::from_utf8_lossy(&pem).into_owned();
        let signing = SigningKey::from_pem(&pem).map_err(|error| refused(&error))?;
        let keys = VerifyingKey::from_pem(&pem).map_err(|error| refused(&error))?;
        let names = vec![name.to_owned()];
        let tokens = ServiceAccountTokens::new(names.clone(), keys.clone(), names, objects);
        // Set once: a second load finds the issuer.
        drop(self.keys.set(keys));
        drop(self.tokens.set(tokens));
        self.issuer.store(Some(Arc::new(Issuer::new(name, signing))));
        Ok(())
    }
}

/// The authenticator of service account tokens; knows none before the key is loaded.
pub(crate) struct LateTokens(pub(crate) Arc<TokenKeys>);

impl TokenAuthenticator for LateTokens {
    fn authenticate(
        &self,
        token: &str,
        audiences: &[String],
        now: i64,
    ) -> Result<Option<Authenticated>, String> {
        match self.0.tokens.get() {
            Some(tokens) => tokens.authenticate(token, audiences, now),
            None => Ok(None),
        }
    }
}
