//! How an administrator reaches a cluster: a folder with a user certificate and the servers' addresses.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use trireme_pki::{
    ClusterAuthority, Credentials, CredentialsError, GROUP_MASTERS, Identity, IdentityError, KeyError,
    KeyRequest, SignError, SigningOrder, USER_LIFETIME, WallTime,
};

use crate::files::write_whole;

/// The user that administrators' certificates name.
const ADMIN_USER: &str = "trireme-admin";
const SERVERS_FILE: &str = "servers.json";

/// Why there is no way for an administrator.
#[derive(Debug, Error)]
pub enum AdminError {
    /// Nothing was written into this folder.
    #[error(
        "{0} is not there: no cluster was started with this data folder; give the folder of a running server"
    )]
    Absent(PathBuf),
    /// The list of servers cannot be read or written.
    #[error("{file}: {source}")]
    File {
        /// Which.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The list of servers is no such list.
    #[error("{file} is damaged: {source}")]
    Damaged {
        /// Which.
        file: PathBuf,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// The key pair was not made.
    #[error("administrator: {0}")]
    Key(#[from] KeyError),
    /// The name does not fit.
    #[error("administrator: {0}")]
    Identity(#[from] IdentityError),
    /// The certificate was not made.
    #[error("administrator: {0}")]
    Sign(#[from] SignError),
    /// Certificate or key cannot be used.
    #[error("administrator: {0}")]
    Credentials(#[from] CredentialsError),
}

/// Certificate, key and servers of an administrator.
pub struct Admin {
    /// Certificate and key of a user in group `system:masters`.
    pub credentials: Arc<Credentials>,
    /// Where the servers' buses listen.
    pub servers: Vec<SocketAddr>,
}

#[derive(Serialize, Deserialize)]
struct Servers {
    servers: Vec<SocketAddr>,
}

impl Admin {
    /// Makes an administrator of the authority's cluster.
    ///
    /// # Errors
    /// Says which step failed.
    pub fn issue(authority: &ClusterAuthority, servers: Vec<SocketAddr>) -> Result<Self, AdminError> {
        let key = KeyRequest::generate()?;
        let identity = Identity::user(authority.cluster(), ADMIN_USER, &[GROUP_MASTERS])?;
        let order = SigningOrder {
            request_der: key.request_der(),
            identity: &identity,
            alt_names: &[],
            lifetime: USER_LIFETIME,
            now: WallTime::now(),
            not_before_floor: None,
        };
        let issued = authority.sign_request(&order)?;
        Ok(Self { credentials: Arc::new(Credentials::new(&key, &issued.chain)?), servers })
    }

    /// Reads the folder that [`Admin::save`] wrote.
    ///
    /// # Errors
    /// Says when there is none, which means that no cluster was started with this data folder.
    pub fn load(folder: &Path) -> Result<Self, AdminError> {
        let file = folder.join(SERVERS_FILE);
        let text = match std::fs::read(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(AdminError::Absent(file));
            }
            Err(source) => return Err(AdminError::File { file, source }),
        };
        let Servers { servers } =
            serde_json::from_slice(&text).map_err(|source| AdminError::Damaged { file, source })?;
        let credentials = Credentials::load(folder)?;
        Ok(Self { credentials: Arc::new(credentials), servers })
    }

    /// Writes everything into a folder that only its owner can read.
    ///
    /// # Errors
    /// Says which file could not be written.
    pub fn save(&self, folder: &Path) -> Result<(), AdminError> {
        self.credentials.save(folder)?;
        let text = serde_json::to_vec_pretty(&Servers { servers: self.servers.clone() });
        let text = text.expect("a list of addresses is always JSON");
        let file = folder.join(SERVERS_FILE);
        write_whole(&file, &text).map_err(|source| AdminError::File { file, source })
    }

    /// Whether the certificate should be made anew: it ends within a third of its life, or is of another cluster.
    pub fn is_stale(&self, authority: &ClusterAuthority) -> bool {
        !self.credentials.ca().matches(&authority.pin())
            || WallTime::now().plus(Duration::from_secs(USER_LIFETIME.as_secs() / 3))
                > self.credentials.facts().not_after
    }
}
