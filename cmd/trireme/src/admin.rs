//! How an administrator reaches a cluster: a folder with a user certificate and the servers' addresses.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use trireme_pki::{
    ClusterAuthority, Credentials, GROUP_MASTERS, Identity, KeyRequest, SigningOrder, USER_LIFETIME, WallTime,
};
use trireme_process::write_whole;

/// The user that administrators' certificates name.
const ADMIN_USER: &str = "trireme-admin";
const SERVERS_FILE: &str = "servers.json";

/// Certificate, key and servers.
pub(crate) struct Admin {
    pub(crate) credentials: Arc<Credentials>,
    pub(crate) servers: Vec<SocketAddr>,
}

#[derive(Serialize, Deserialize)]
struct Servers {
    servers: Vec<SocketAddr>,
}

impl Admin {
    /// Makes an administrator of the authority's cluster.
    pub(crate) fn issue(authority: &ClusterAuthority, servers: Vec<SocketAddr>) -> anyhow::Result<Self> {
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
        let issued = authority.sign_request(&order).context("cannot make the administrator's certificate")?;
        Ok(Self { credentials: Arc::new(Credentials::new(&key, &issued.chain)?), servers })
    }

    /// Reads the folder that [`Admin::save`] wrote.
    ///
    /// # Errors
    /// Says when there is none, which means that no cluster was started with this data folder.
    pub(crate) fn load(folder: &Path) -> anyhow::Result<Self> {
        let file = folder.join(SERVERS_FILE);
        if !file.exists() {
            bail!(
                "{} is not there: no cluster was started with this --data-dir; give the folder of a running server",
                file.display()
            );
        }
        let text = std::fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let Servers { servers } =
            serde_json::from_slice(&text).with_context(|| format!("{} is damaged", file.display()))?;
        let credentials = Credentials::load(folder).context("cannot read the administrator's certificate")?;
        Ok(Self { credentials: Arc::new(credentials), servers })
    }

    /// Writes everything into a folder that only its owner can read.
    pub(crate) fn save(&self, folder: &Path) -> anyhow::Result<()> {
        self.credentials.save(folder)?;
        let text = serde_json::to_vec_pretty(&Servers { servers: self.servers.clone() })?;
        let file = folder.join(SERVERS_FILE);
        write_whole(&file, &text).with_context(|| format!("cannot write {}", file.display()))
    }

    /// Whether the certificate should be made anew: it ends within a third of its life, or is of another cluster.
    pub(crate) fn is_stale(&self, authority: &ClusterAuthority) -> bool {
        !self.credentials.ca().matches(&authority.pin())
            || WallTime::now().plus(Duration::from_secs(USER_LIFETIME.as_secs() / 3)) > self.credentials.facts().not_after
    }
}
