//! The API server of a machine, as the command line asks for it, and the kubeconfig that leads to it.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::runtime::Handle;
use trireme_apiserver::features::FeatureGates;
use trireme_apiserver::{ApiService, ApiServiceParts, Mode, ServerConfig};
use trireme_kernel::SupervisorRef;
use trireme_pki::{ClusterAuthority, Credentials, LiveTrust};
use trireme_process::{Admin, random_u64, write_whole};
use trireme_raft::store::{Role, Store};
use trireme_scheduler_host::SchedulerSettings;
use trireme_store::StoreHost;

use crate::api_args::{ApiArgs, Component, KubeconfigArgs, Runtime};
use crate::data_dir;

/// How long the initial objects may take.
const START_LIMIT: Duration = Duration::from_secs(30);
/// How long a server of several waits for the initial objects: they need a majority, which may not be up.
const OTHERS_LIMIT: Duration = Duration::from_secs(2);
/// Pause between two looks at whether it is.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// Who issues service account tokens.
const ISSUER: &str = "https://kubernetes.default.svc";

/// What the API server of a machine needs from it.
pub(crate) struct ApiMachine<'a> {
    pub(crate) store: Arc<StoreHost>,
    pub(crate) authority: Arc<ClusterAuthority>,
    pub(crate) trust: LiveTrust,
    pub(crate) name: &'a str,
    /// Where the bus listens; the API takes the same port of TCP.
    pub(crate) listen: SocketAddr,
    /// The port was chosen by the system: another one will do as well.
    pub(crate) any_port: bool,
    pub(crate) io: &'a Handle,
    /// Where the server's actors are planted.
    pub(crate) root: SupervisorRef,
    /// The machine's path below it.
    pub(crate) path: String,
}

/// Refuses components that cannot stand together, by name.
///
/// # Errors
/// Names the first of them.
pub(crate) fn check_components(components: &[Component]) -> anyhow::Result<()> {
    if components.contains(&Component::None) && components.len() > 1 {
        bail!("--components: none stands alone");
    }
    for needs_api in [Component::Controllers, Component::Scheduler, Component::Node] {
        if components.contains(&needs_api) && !components.contains(&Component::Api) {
            bail!("--components: {needs_api} needs api beside it");
        }
    }
    Ok(())
}

/// Starts the API server.
///
/// # Errors
/// Settings that cannot be used, or an address in use.
pub(crate) async fn start(args: &ApiArgs, machine: ApiMachine<'_>) -> anyhow::Result<ApiService> {
    check_components(&args.components)?;
    let token_file = match &args.token_auth_file {
        None => None,
        Some(file) => Some(
            std::fs::read_to_string(file)
                .with_context(|| format!("--token-auth-file: cannot read {}", file.display()))?,
        ),
    };
    let service_cidr = args.service_cidr.parse().map_err(anyhow::Error::msg).context("--service-cidr")?;
    let config = ServerConfig {
        service_cidr,
        authorization: Mode::parse_list(&args.authorization_mode)?,
        token_file,
        anonymous: true,
        issuer: ISSUER.to_owned(),
        advertise: machine.listen,
        max_requests: args.max_requests_inflight,
        max_mutating: args.max_mutating_requests_inflight,
        request_timeout: args.request_timeout,
        features: FeatureGates::parse(&args.feature_gates).context("--feature-gates")?,
        random: random_u64,
    };
    let parts = |listen| ApiServiceParts {
        config: config.clone(),
        store: machine.store.clone(),
        authority: machine.authority.clone(),
        trust: machine.trust.clone(),
        name: machine.name.to_owned(),
        listen,
        io: machine.io.clone(),
        root: machine.root.clone(),
        machine: machine.path.clone(),
    };
    match ApiService::start(parts(machine.listen)).await {
        Err(_) if machine.any_port => {
            let anywhere = SocketAddr::new(machine.listen.ip(), 0);
            Ok(ApiService::start(parts(anywhere)).await?)
        }
        started => Ok(started?),
    }
}

/// The scheduler's settings, from the file that the flags name.
///
/// # Errors
/// The file cannot be read, or says what is not allowed.
pub(crate) fn scheduler_settings(args: &ApiArgs) -> anyhow::Result<SchedulerSettings> {
    let Some(file) = &args.scheduler_config else { return Ok(SchedulerSettings::default()) };
    let shown = file.display();
    let text =
        std::fs::read_to_string(file).with_context(|| format!("--scheduler-config: cannot read {shown}"))?;
    SchedulerSettings::read(&text).with_context(|| format!("--scheduler-config: {shown}"))
}

/// Whether this member has nobody to wait for. Whether others are up is not for one machine to wait for.
fn is_alone(store: &StoreHost) -> bool {
    let Some(member) = store.member() else { return true };
    let status = member.store.status();
    status.members.values().filter(|other| other.role == Role::Voter).count() <= 1
}

/// Waits until the API is complete, and writes the kubeconfig where it was asked for.
///
/// # Errors
/// The initial objects do not come, or a file cannot be written.
pub(crate) async fn ready(
    api: &ApiService,
    store: &StoreHost,
    args: &ApiArgs,
    admin_folder: &Path,
    data_dir: &Path,
) -> anyhow::Result<()> {
    let started = Instant::now();
    while !api.ready(LOOK_AGAIN).await {
        if !is_alone(store) && started.elapsed() > OTHERS_LIMIT {
            tracing::info!("the API serves once enough servers are up");
            break;
        }
        if started.elapsed() > START_LIMIT {
            bail!("the API server did not make its first objects within {START_LIMIT:?}; see its log");
        }
    }
    write_whole(&data_dir.join(API_FILE), api.address().to_string().as_bytes())?;
    let text = kubeconfig(&Admin::load(admin_folder)?.credentials, api.address());
    if args.runtime == Runtime::Hollow {
        crate::hollow::start_here(&text, args.hollow_nodes).await.context("--runtime hollow")?;
    }
    write_whole(&data_dir.join(KUBECONFIG_FILE), text.as_bytes())?;
    if let Some(file) = &args.kubeconfig {
        write_whole(file, text.as_bytes())
            .with_context(|| format!("--kubeconfig: cannot write {}", file.display()))?;
    }
    Ok(())
}

/// Where a server's API listens, in its data folder.
const API_FILE: &str = "api.address";
/// The administrator's kubeconfig, in a server's data folder.
const KUBECONFIG_FILE: &str = "kubeconfig.yaml";

/// `trireme kubeconfig`
///
/// # Errors
/// No server with an API was started with the data folder.
pub(crate) fn print_kubeconfig(args: &KubeconfigArgs) -> anyhow::Result<()> {
    let root = &args.data.data_dir;
    // A cluster of several machines in one folder keeps each server's in a folder of its own.
    let folder = [root.clone(), root.join("s1")].into_iter().find(|folder| folder.join(API_FILE).exists());
    let Some(folder) = folder else {
        bail!("{}: no server with an API was started with this data folder", root.display());
    };
    let known = std::fs::read_to_string(folder.join(API_FILE))?;
    let address = match args.server {
        Some(address) => address,
        None => known.trim().parse().with_context(|| format!("{API_FILE} is damaged"))?,
    };
    let admin = Admin::load(&data_dir::admin_folder(&folder))?;
    crate::progress::print(kubeconfig(&admin.credentials, address).trim_end());
    Ok(())
}

/// A kubeconfig for whom the papers name. Any kubectl takes it.
pub(crate) fn kubeconfig(credentials: &Credentials, address: SocketAddr) -> String {
    let (key, certificate) = credentials.to_pem();
    let authority = credentials.ca().to_pem();
    let encode = |text: &str| STANDARD.encode(text);
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: trireme\nclusters:\n- name: trireme\n  cluster:\n    server: \
         https://{address}\n    certificate-authority-data: {}\nusers:\n- name: admin\n  user:\n    \
         client-certificate-data: {}\n    client-key-data: {}\ncontexts:\n- name: trireme\n  context:\n    cluster: \
         trireme\n    user: admin\n    namespace: default\n",
        encode(&authority),
        encode(&certificate),
        encode(&key),
    )
}
