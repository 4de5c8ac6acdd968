//! Making, stopping and removing sandboxes.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use tokio::sync::Mutex as Gate;
use trireme_node::{
    Dns, NetworkRequest, PodAddresses, Resources, RuntimeError, RuntimeErrorKind, RuntimeEventKind,
    SandboxConfig, SandboxId,
};

use super::entries::SandboxEntry;
use super::launch::end_process;
use super::records::{Phase, SandboxRecord};
use super::shim_client::ShimClient;
use super::times::Times;
use super::{Builtin, SOCKET_NAME_DIGITS, blocking};
use crate::fail::{OrFail, Outcome, invalid, unavailable};
use crate::image::blob::hex;
use crate::image::files::clear_and_remove;
use crate::shim::protocol::{Request, ShimEvent, VERSION};
use crate::shim::spec::{SandboxSpec, now_nanos};

/// Parent of pods that name none.
const DEFAULT_PARENT: &str = "kubepods";
/// User and group of the pause process of pods that name none, as of upstream's pause image.
const PAUSE_USER: u32 = 65_535;
const BANDWIDTH_IN: &str = "kubernetes.io/ingress-bandwidth";
const BANDWIDTH_OUT: &str = "kubernetes.io/egress-bandwidth";

impl Builtin {
    pub(super) async fn make_sandbox(&self, config: SandboxConfig) -> Outcome<SandboxId> {
        if config.uid.is_empty() || config.name.is_empty() {
            return Err(invalid("a sandbox needs its pod's name and uid"));
        }
        let record = self.new_sandbox(config);
        let gate = Arc::new(Gate::new(()));
        let hold = gate.clone().try_lock_owned().expect("nobody else knows it yet");
        let known = {
            let mut state = self.state.lock();
            let same = |entry: &&SandboxEntry| {
                let (known, new) = (&entry.record.config, &record.config);
                (&known.uid, known.attempt, &known.name, &known.namespace)
                    == (&new.uid, new.attempt, &new.name, &new.namespace)
            };
            let known =
                state.sandboxes.values().find(same).map(|entry| (entry.record.clone(), entry.gate.clone()));
            if known.is_none() {
                state.sandboxes.insert(record.id.clone(), SandboxEntry { record: record.clone(), gate });
            }
            known
        };
        if let Some((known, gate)) = known {
            return self.same_sandbox(&known.id, gate).await;
        }
        let id = record.id.clone();
        // On its own task: a caller that goes away leaves no half sandbox.
        let runtime = self.arc();
        let made = tokio::spawn(async move {
            let _hold = hold;
            let made = runtime.build_sandbox(record.clone()).await;
            if let Err(error) = &made {
                tracing::warn!(sandbox = %record.id, %error, "a sandbox could not be made");
                runtime.take_down(&record).await;
                runtime.state.lock().sandboxes.remove(&record.id);
            }
            made
        });
        made.await.map_err(|error| unavailable(format!("making a sandbox broke off: {error}")))??;
        self.tell(&id, None, RuntimeEventKind::Started);
        Ok(SandboxId(id))
    }

    async fn same_sandbox(&self, id: &str, gate: Arc<Gate<()>>) -> Outcome<SandboxId> {
        let _turn = gate.lock().await;
        match self.state.lock().sandbox(id).map(|record| record.phase) {
            Ok(Phase::Ready) => Ok(SandboxId(id.to_owned())),
            Ok(_) => Err(RuntimeError::new(
                RuntimeErrorKind::AlreadyExists,
                format!(
                    "sandbox {id} of the same pod and attempt is there and stopped; remove it or count the attempt up"
                ),
            )),
            Err(_) => Err(unavailable("the same sandbox was being made and failed; try again")),
        }
    }

    fn new_sandbox(&self, config: SandboxConfig) -> SandboxRecord {
        let id = random_id();
        let parent = if config.cgroup_parent.is_empty() {
            format!("{DEFAULT_PARENT}/pod{}", config.uid)
        } else {
            config.cgroup_parent.trim_matches('/').to_owned()
        };
        let root = self.config.cgroup_root.trim_matches('/');
        SandboxRecord {
            created_at: now_nanos(),
            phase: Phase::Creating,
            pause_pid: 0,
            socket: self.config.run_dir.join(format!("{}.sock", &id[..SOCKET_NAME_DIGITS])),
            addresses: PodAddresses::default(),
            pod_group: if root.is_empty() { parent } else { format!("{root}/{parent}") },
            config,
            id,
        }
    }

    async fn build_sandbox(&self, mut record: SandboxRecord) -> Outcome<()> {
        let runtime = self.arc();
        let prepared = record.clone();
        let mut times = Times::start(&record.config.uid);
        blocking(move || runtime.prepare_sandbox(&prepared)).await?;
        times.note("sandbox: prepare");
        record.pause_pid = self.launch_shim(&record).await?;
        times.note("sandbox: start shim");
        if !record.config.namespaces.host_network {
            record.addresses = self.config.network.attach(network_request(&record)).await?;
            times.note("sandbox: network");
        }
        let shim = ShimClient::new(&record.socket);
        let stream = self.meet(&record.id, &shim).await?;
        times.note("sandbox: meet shim");
        record.phase = Phase::Ready;
        self.layout.save_sandbox(&record)?;
        let id = record.id.clone();
        if let Some(entry) = self.state.lock().sandboxes.get_mut(&id) {
            entry.record = record;
        }
        self.follow(&id, Some(stream));
        Ok(())
    }

    fn prepare_sandbox(&self, record: &SandboxRecord) -> Outcome<()> {
        let folder = self.layout.sandbox(&record.id);
        let made = fs::create_dir_all(folder.join("containers"));
        made.or_fail(|| format!("cannot make {}", folder.display()))?;
        self.layout.save_sandbox(record)?;
        self.cgroups.create(&record.pod_group)?;
        self.cgroups.limit(&record.pod_group, &record.config.resources)?;
        self.cgroups.create(&record.group())?;
        let config = &record.config;
        let write = |name: &str, text: &str| {
            let path = folder.join(name);
            fs::write(&path, text).or_fail(|| format!("cannot write {}", path.display()))
        };
        write("hostname", &format!("{}\n", config.hostname))?;
        write("hosts", "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n")?;
        let resolver = match &config.dns {
            Some(dns) => resolv_conf(dns),
            None => fs::read_to_string("/etc/resolv.conf").unwrap_or_default(),
        };
        write("resolv.conf", &resolver)?;
        let spec = SandboxSpec {
            version: VERSION,
            id: record.id.clone(),
            socket: record.socket.clone(),
            folder: folder.clone(),
            host_name: config.hostname.clone(),
            host_network: config.namespaces.host_network,
            host_ipc: config.namespaces.host_ipc,
            host_pid: config.namespaces.host_pid,
            sysctls: config.sysctls.clone(),
            group: self.cgroups.files(&record.group()),
            user: (
                config.security.run_as_user.unwrap_or(PAUSE_USER),
                config.security.run_as_group.unwrap_or(PAUSE_USER),
                config.security.supplemental_groups.clone(),
            ),
            filters: super::compile::seccomp_filters(&config.security.seccomp, 0)?,
        };
        super::records::save(&folder.join("shim.json"), &spec)
    }

    /// Takes away all that a sandbox has but its records; goes on past errors and logs them.
    pub(super) async fn take_down(&self, record: &SandboxRecord) {
        let id = &record.id;
        if let Err(error) = self.release(record).await {
            tracing::warn!(sandbox = %id, %error, "cannot release a sandbox");
        }
        let runtime = self.arc();
        let gone = record.clone();
        let done = blocking(move || {
            clear_and_remove(&runtime.layout.sandbox(&gone.id));
            runtime.drop_groups(&gone)
        });
        if let Err(error) = done.await {
            tracing::warn!(sandbox = %id, %error, "cannot remove a sandbox");
        }
    }

    /// Ends processes, shim and network.
    async fn release(&self, record: &SandboxRecord) -> Outcome<()> {
        let shim = ShimClient::new(&record.socket);
        if let Err(error) = shim.call(Request::Shutdown).await
            && !shim.is_gone().await
        {
            return Err(error);
        }
        let (runtime, gone) = (self.arc(), record.clone());
        let containers = self.state.lock().containers_of(&record.id);
        blocking(move || {
            end_process(&runtime.layout.sandbox(&gone.id));
            runtime.cgroups.kill(&gone.group());
            // The shim wrote ends down before it went; what it could not see, nobody saw.
            for id in containers {
                runtime.settle_lost(&gone.id, &id);
            }
            let _ = fs::remove_file(&gone.socket);
            Ok(())
        })
        .await?;
        if !record.config.namespaces.host_network {
            self.config.network.detach(network_request(record)).await?;
        }
        Ok(())
    }

    fn drop_groups(&self, record: &SandboxRecord) -> Outcome<()> {
        self.cgroups.remove(&record.group())?;
        let shared = self
            .state
            .lock()
            .sandboxes
            .values()
            .any(|entry| entry.record.id != record.id && entry.record.pod_group == record.pod_group);
        if shared { Ok(()) } else { self.cgroups.remove(&record.pod_group) }
    }

    pub(super) async fn end_sandbox(&self, id: &str) -> Outcome<()> {
        let Some(gate) = self.state.lock().gate(id) else { return Ok(()) };
        let _turn = gate.lock_owned().await;
        let record = match self.state.lock().sandbox(id) {
            Ok(record) => record.clone(),
            Err(_) => return Ok(()),
        };
        // In memory at once, so that the end of its shim is no surprise; on disk when it is done.
        self.state.lock().set_phase(id, Phase::Stopped);
        self.release(&record).await?;
        let stopped = self.state.lock().set_phase(id, Phase::Stopped);
        if let Some(stopped) = stopped {
            self.layout.save_sandbox(&stopped)?;
        }
        if record.phase == Phase::Ready {
            self.tell(id, None, RuntimeEventKind::Stopped);
        }
        Ok(())
    }

    pub(super) async fn forget_sandbox(&self, id: &str) -> Outcome<()> {
        self.end_sandbox(id).await?;
        let Some(gate) = self.state.lock().gate(id) else { return Ok(()) };
        let _turn = gate.lock_owned().await;
        let containers = self.state.lock().containers_of(id);
        for container in containers {
            self.erase_container(&container).await?;
        }
        let record = match self.state.lock().sandbox(id) {
            Ok(record) => record.clone(),
            Err(_) => return Ok(()),
        };
        let runtime = self.arc();
        let gone = record.clone();
        blocking(move || {
            runtime.drop_groups(&gone)?;
            clear_and_remove(&runtime.layout.sandbox(&gone.id));
            Ok(())
        })
        .await?;
        self.tell(id, None, RuntimeEventKind::Removed);
        self.state.lock().sandboxes.remove(id);
        Ok(())
    }

    pub(super) async fn resize_sandbox(&self, id: &str, resources: Resources) -> Outcome<()> {
        let (runtime, group) = (self.arc(), self.state.lock().sandbox(id)?.pod_group.clone());
        let limits = resources.clone();
        blocking(move || runtime.cgroups.limit(&group, &limits)).await?;
        let record = {
            let mut state = self.state.lock();
            let Some(entry) = state.sandboxes.get_mut(id) else { return Ok(()) };
            super::container::merge(&mut entry.record.config.resources, resources);
            entry.record.clone()
        };
        self.layout.save_sandbox(&record)
    }

    /// The pause process as its shim told it.
    pub(super) fn pause_exited(&self, sandbox: &str) {
        self.happened(sandbox, ShimEvent::PauseExited);
    }
}

/// What the network is asked for a sandbox.
pub(super) fn network_request(record: &SandboxRecord) -> NetworkRequest {
    let config = &record.config;
    let bandwidth = |name: &str| config.annotations.get(name).and_then(|text| quantity(text));
    NetworkRequest {
        sandbox: record.id.clone(),
        pod: (config.namespace.clone(), config.name.clone()),
        netns: format!("/proc/{}/ns/net", record.pause_pid),
        host_ports: config.host_ports.clone(),
        ingress_bandwidth: bandwidth(BANDWIDTH_IN),
        egress_bandwidth: bandwidth(BANDWIDTH_OUT),
    }
}

/// `10M`, `1Gi`, `500k`: what bandwidth annotations hold.
fn quantity(text: &str) -> Option<u64> {
    let text = text.trim();
    let at = text.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(text.len());
    let factor: f64 = match &text[at..] {
        "" => 1.0,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "Ki" => 1024.0,
        "Mi" => 1_048_576.0,
        "Gi" => 1_073_741_824.0,
        _ => return None,
    };
    let value = text[..at].parse::<f64>().ok()? * factor;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "range is checked")]
    (1.0..1e18).contains(&value).then_some(value as u64)
}

fn resolv_conf(dns: &Dns) -> String {
    let mut text = String::new();
    if !dns.searches.is_empty() {
        text.push_str(&format!("search {}\n", dns.searches.join(" ")));
    }
    for server in &dns.servers {
        text.push_str(&format!("nameserver {server}\n"));
    }
    if !dns.options.is_empty() {
        text.push_str(&format!("options {}\n", dns.options.join(" ")));
    }
    text
}

/// 64 hexadecimal digits.
pub(super) fn random_id() -> String {
    let mut bytes = [0_u8; 32];
    let mut filled = 0;
    while filled < bytes.len() {
        let flags = rustix::rand::GetRandomFlags::empty();
        filled += rustix::rand::getrandom(&mut bytes[filled..], flags).expect("the pool is ready after boot");
    }
    hex(&bytes)
}

/// Whether a folder's name is an id.
pub(super) fn is_id(name: &str) -> bool {
    crate::image::reference::is_hex64(name)
}

/// The folder of a sandbox that is there without a whole record.
pub(super) fn remove_orphan(folder: &Path) {
    clear_and_remove(folder);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bandwidths_and_resolvers_are_written_as_asked() {
        assert_eq!(quantity("10M"), Some(10_000_000));
        assert_eq!(quantity("1Ki"), Some(1_024));
        assert_eq!((quantity("x"), quantity("-1"), quantity("")), (None, None, None));
        let dns = Dns {
            servers: vec!["10.0.0.10".into()],
            searches: vec!["a.svc".into(), "svc".into()],
            options: vec!["ndots:5".into()],
        };
        assert_eq!(resolv_conf(&dns), "search a.svc svc\nnameserver 10.0.0.10\noptions ndots:5\n");
    }
}
