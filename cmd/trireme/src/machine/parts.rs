//! Parts of a machine that only servers have: the store's slot, the API, the administrator's way in.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::bail;
use trireme_apiserver::ApiService;
use trireme_kernel::Kernel;
use trireme_pki::{IdentityKind, LiveTrust};
use trireme_process::Admin;
use trireme_raft::store::StoreConfig;
use trireme_store::{HostParts, StoreHost};

use super::Serving;
use crate::api::ApiMachine;
use crate::api_args::{ApiArgs, Component};
use crate::data_dir::DataDir;
use crate::membership::Membership;

/// Starts the API server, where one is to run.
pub(super) fn start_api(
    serving: Option<Serving<'_>>,
    address: Option<SocketAddr>,
    store: Option<&Arc<StoreHost>>,
    membership: &Membership,
    trust: LiveTrust,
    kernel: &Kernel,
) -> anyhow::Result<Option<(ApiService, ApiArgs)>> {
    let served = serving.filter(|serving| serving.api.runs(Component::Api));
    let parts = served.zip(address).zip(store.zip(membership.authority.as_ref()));
    let Some(((serving, listen), (store, authority))) = parts else { return Ok(None) };
    let me = membership.credentials.identity().identity_name().clone();
    let machine = ApiMachine {
        store: Arc::clone(store),
        authority: Arc::clone(authority),
        trust,
        name: me.name(),
        listen,
        any_port: serving.listen.port() == 0,
        io: kernel.io(),
        root: kernel.root(),
        path: me.to_string(),
    };
    let started = kernel.io().block_on(crate::api::start(serving.api, machine))?;
    Ok(Some((started, serving.api.clone())))
}

/// The slot of a server's member of the replicated store.
pub(super) fn store_host(data: &DataDir, membership: &Membership, kernel: &Kernel) -> Option<Arc<StoreHost>> {
    let identity = membership.credentials.identity();
    let me = identity.identity_name();
    if me.kind() != IdentityKind::Server {
        return None;
    }
    let others = membership.book.servers().any(|(name, _)| name.kind() == IdentityKind::Server && name != me);
    Some(StoreHost::new(HostParts {
        me: me.clone(),
        cluster: identity.cluster().to_string(),
        dir: data.store(),
        member_file: data.store_member(),
        alone: !others,
        config: StoreConfig::default(),
        io: kernel.io().clone(),
    }))
}

/// Servers leave a way for their administrator in the data folder.
pub(super) fn save_admin(
    data: &DataDir,
    membership: &Membership,
    address: Option<SocketAddr>,
) -> anyhow::Result<()> {
    let (Some(authority), Some(address)) = (&membership.authority, address) else { return Ok(()) };
    let mut servers = vec![address];
    let known = membership.book.servers().filter(|(name, _)| name.kind() == IdentityKind::Server);
    servers.extend(known.map(|(_, known)| known).filter(|known| *known != address));
    if address.ip().is_unspecified() {
        bail!("--listen {address}: name an address that other machines can dial, not all of them");
    }
    let admin = match Admin::load(&data.admin()) {
        // Nothing to write: a full disk is no obstacle.
        Ok(admin) if !admin.is_stale(authority) && admin.servers == servers => return Ok(()),
        Ok(admin) if !admin.is_stale(authority) => Admin { servers, ..admin },
        _ => Admin::issue(authority, servers)?,
    };
    Ok(admin.save(&data.admin())?)
}
