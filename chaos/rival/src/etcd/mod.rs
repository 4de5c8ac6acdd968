//! etcd: a cluster of its servers, and sessions over its gRPC interface (version 3 of the API).

mod messages;
mod session;

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::process::{Child, Command};

use self::session::EtcdSession;
use crate::system::{Session, System};

/// Longest time until a leader is found.
const LIMIT: Duration = Duration::from_secs(60);
/// Room for the run, in bytes: etcd's default of 2 GiB ends long runs with an alarm.
const QUOTA_BYTES: u64 = 8 * 1024 * 1024 * 1024;

/// A cluster of etcd processes. They end with it.
pub(crate) struct Etcd {
    clients: Vec<String>,
    servers: Vec<Child>,
}

/// Where etcd is installed.
pub(crate) fn installed() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join("etcd")).find(|program| program.is_file())
}

impl Etcd {
    /// Starts `members` servers with their default settings: fsync on, no TLS.
    pub(crate) async fn start(program: &Path, dir: &Path, members: usize) -> Result<Self> {
        let ports = free_ports(members * 2)?;
        let url = |port: &u16| format!("http://127.0.0.1:{port}");
        let (clients, peers) = ports.split_at(members);
        let (clients, peers): (Vec<_>, Vec<_>) =
            (clients.iter().map(url).collect(), peers.iter().map(url).collect());
        let named = peers.iter().enumerate().map(|(index, peer)| format!("e{index}={peer}"));
        let cluster = named.collect::<Vec<_>>().join(",");
        let mut etcd = Self { clients, servers: Vec::new() };
        for (index, (client, peer)) in etcd.clients.iter().zip(&peers).enumerate() {
            let data = dir.join(format!("etcd-{index}"));
            let log = std::fs::File::create(data.with_extension("log"))?;
            let server = Command::new(program)
                .args(["--name", &format!("e{index}"), "--initial-cluster", &cluster, "--data-dir"])
                .arg(&data)
                .args(["--listen-client-urls", client, "--advertise-client-urls", client])
                .args(["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer])
                .arg(format!("--quota-backend-bytes={QUOTA_BYTES}"))
                .stdin(Stdio::null())
                .stdout(log.try_clone()?)
                .stderr(log)
                .kill_on_drop(true)
                .spawn()
                .with_context(|| format!("starting {}", program.display()))?;
            etcd.servers.push(server);
        }
        etcd.leader().await?;
        Ok(etcd)
    }

    async fn leader(&self) -> Result<EtcdSession> {
        let started = Instant::now();
        loop {
            for client in &self.clients {
                let Ok(session) = EtcdSession::connect(client).await else { continue };
                if session.leads().await.unwrap_or(false) {
                    return Ok(session);
                }
            }
            if started.elapsed() > LIMIT {
                bail!("no etcd server leads");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl System for Etcd {
    fn name(&self) -> &'static str {
        "etcd"
    }

    fn pids(&self) -> Vec<u32> {
        self.servers.iter().filter_map(Child::id).collect()
    }

    fn connect(&self) -> BoxFuture<'_, Result<Box<dyn Session>>> {
        async move { Ok(Box::new(self.leader().await?) as Box<dyn Session>) }.boxed()
    }
}

/// Ports that are free now; etcd needs to be told its ports beforehand.
fn free_ports(count: usize) -> Result<Vec<u16>> {
    let held: Vec<TcpListener> = (0..count)
        .map(|_| TcpListener::bind("127.0.0.1:0"))
        .collect::<Result<_, _>>()
        .context("finding free ports")?;
    held.iter().map(|listener| Ok(listener.local_addr()?.port())).collect()
}
