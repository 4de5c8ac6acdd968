//! A cluster of real server processes, each a child of the test, that can be killed and started again.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use trireme_process::Admin;
use trireme_store::StoreClient;
use trireme_store::calls::{GetStateHash, GetStatus, StoreStatus};

/// Generous: the machine may be busy with other things.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);
pub(crate) const CALL_LIMIT: Duration = Duration::from_secs(20);

/// One cluster at a time: several would only slow each other down.
static ONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

pub(crate) struct Cluster {
    folder: TempDir,
    servers: BTreeMap<String, Child>,
    /// Further arguments of every server.
    arguments: Vec<&'static str>,
    _alone: tokio::sync::MutexGuard<'static, ()>,
}

impl Cluster {
    /// Servers `s1` to `sN`, all voting.
    pub(crate) async fn start(servers: usize) -> Self {
        Self::start_with(servers, &[]).await
    }

    /// The same with further arguments of `trireme server`.
    pub(crate) async fn start_with(servers: usize, arguments: &[&'static str]) -> Self {
        let alone = ONE.lock().await;
        let folder = tempfile::tempdir().expect("a folder");
        let mut cluster =
            Self { folder, servers: BTreeMap::new(), arguments: arguments.to_vec(), _alone: alone };
        cluster.spawn("s1", None);
        cluster.until_up("s1").await;
        for index in 2..=servers {
            cluster.join(&format!("s{index}")).await;
        }
        cluster.until_voters(servers).await;
        cluster
    }

    /// Starts a new server that joins through `s1`'s cluster.
    pub(crate) async fn join(&mut self, name: &str) {
        let out = self.run("s1", &["token", "create", "--role=server"]);
        assert!(out.status.success(), "{out:?}");
        let token = String::from_utf8(out.stdout).expect("text").trim().to_owned();
        let through = self.address("s1");
        self.spawn(name, Some((through, token)));
        self.until_up(name).await;
    }

    /// Starts a server that was stopped.
    pub(crate) async fn restart(&mut self, name: &str) {
        self.spawn(name, None);
        self.until_up(name).await;
    }

    pub(crate) fn spawn(&mut self, name: &str, join: Option<(SocketAddr, String)>) {
        let _old = std::fs::remove_file(self.ready(name));
        let mut command = self.command(name);
        command.args(["--log=info,openraft=warn", "--log-format=json", "server", "--listen=127.0.0.1:0"]);
        command
            .arg(format!("--node-name={name}"))
            .args(["--stop-on-stdin-eof", "--components=none"])
            .args(&self.arguments)
            .arg("--ready-file")
            .arg(self.ready(name));
        if let Some((through, token)) = join {
            command.arg(format!("--join={through}")).env("TRIREME_TOKEN", token);
        }
        std::fs::create_dir_all(self.data(name)).expect("a data folder");
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.log(name)).expect("a log");
        let log_too = log.try_clone().expect("a log");
        let child =
            command.stdin(Stdio::piped()).stdout(log).stderr(log_too).spawn().expect("trireme starts");
        self.servers.insert(name.to_owned(), child);
    }

    pub(crate) async fn until_up(&mut self, name: &str) {
        let started = Instant::now();
        while !self.ready(name).exists() {
            let ended = self.servers.get_mut(name).expect("started").try_wait().expect("our own child");
            assert!(ended.is_none() && started.elapsed() < LIMIT, "{name} is not up:\n{}", self.said(name));
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// kill -9.
    pub(crate) fn kill(&mut self, name: &str) {
        let mut child = self.servers.remove(name).expect("runs");
        child.kill().expect("our own child");
        child.wait().expect("our own child");
    }

    /// SIGSTOP, or SIGCONT.
    pub(crate) fn signal(&self, name: &str, signal: rustix::process::Signal) {
        let id = i32::try_from(self.servers[name].id()).expect("a pid");
        let pid = rustix::process::Pid::from_raw(id).expect("a pid");
        rustix::process::kill_process(pid, signal).expect("our own child");
    }

    /// Stops it in order.
    pub(crate) async fn stop(&mut self, name: &str) {
        let mut child = self.servers.remove(name).expect("runs");
        drop(child.stdin.take());
        let started = Instant::now();
        while child.try_wait().expect("our own child").is_none() {
            assert!(started.elapsed() < LIMIT, "{name} does not stop:\n{}", self.said(name));
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits until a server process ends by itself; gives whether it called that a success.
    pub(crate) async fn until_ended(&mut self, name: &str) -> bool {
        let mut child = self.servers.remove(name).expect("runs");
        let started = Instant::now();
        loop {
            if let Some(status) = child.try_wait().expect("our own child") {
                return status.success();
            }
            assert!(started.elapsed() < LIMIT, "{name} goes on:\n{}", self.said(name));
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.servers.keys().cloned().collect()
    }

    pub(crate) fn data(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn log(&self, name: &str) -> PathBuf {
        self.folder.path().join(format!("{name}.log"))
    }

    fn ready(&self, name: &str) -> PathBuf {
        self.folder.path().join(format!("{name}.ready"))
    }

    pub(crate) fn said(&self, name: &str) -> String {
        std::fs::read_to_string(self.log(name)).unwrap_or_default()
    }

    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_trireme"));
        command
            .env("TRIREME_DATA_DIR", self.data(name))
            .env_remove("TRIREME_TOKEN")
            .env_remove("TRIREME_LOG");
        command
    }

    /// A command of an administrator of this server.
    pub(crate) fn run(&self, name: &str, arguments: &[&str]) -> Output {
        self.command(name).args(arguments).stdin(Stdio::null()).output().expect("trireme runs")
    }

    /// The same, which must succeed; gives what it printed.
    pub(crate) fn must(&self, name: &str, arguments: &[&str]) -> String {
        let out = self.run(name, arguments);
        let said = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success(), "trireme {arguments:?}: {said}");
        String::from_utf8(out.stdout).expect("text").trim().to_owned()
    }

    /// The same, asked again while it is refused.
    pub(crate) async fn until_done(&self, name: &str, arguments: &[&str]) -> String {
        let started = Instant::now();
        loop {
            let out = self.run(name, arguments);
            if out.status.success() {
                return String::from_utf8(out.stdout).expect("text").trim().to_owned();
            }
            let said = String::from_utf8_lossy(&out.stderr);
            assert!(started.elapsed() < LIMIT, "trireme {arguments:?}: {said}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Waits until every server that runs knows this one as the leader.
    pub(crate) async fn until_led_by(&self, leader: &str) {
        let started = Instant::now();
        for name in self.names() {
            loop {
                let raft = self.status(&name).await.raft;
                let led_by = raft.leader.and_then(|id| Some(raft.members.get(&id)?.peer.address.clone()));
                if led_by.as_deref() == Some(leader) {
                    break;
                }
                assert!(started.elapsed() < LIMIT, "{name} is led by {led_by:?}, not by {leader}");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }

    fn admin(&self, name: &str) -> Admin {
        Admin::load(&self.data(name).join("admin")).expect("an administrator")
    }

    pub(crate) fn address(&self, name: &str) -> SocketAddr {
        self.admin(name).servers[0]
    }

    /// A session with this server, if it answers.
    pub(crate) async fn try_client(&self, name: &str) -> Option<StoreClient> {
        let admin = self.admin(name);
        StoreClient::connect_to(&admin, &admin.servers[..1], CALL_LIMIT).await.ok()
    }

    pub(crate) async fn client(&self, name: &str) -> StoreClient {
        let started = Instant::now();
        loop {
            if let Some(client) = self.try_client(name).await {
                return client;
            }
            assert!(started.elapsed() < LIMIT, "{name} does not answer:\n{}", self.said(name));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) async fn status(&self, name: &str) -> StoreStatus {
        self.client(name).await.call(GetStatus {}).await.expect("a status")
    }

    /// The leader, as this server knows, once it knows one that lives.
    pub(crate) async fn leader(&self) -> String {
        let started = Instant::now();
        loop {
            for name in self.names() {
                let Some(client) = self.try_client(&name).await else { continue };
                let Ok(status) = client.call(GetStatus {}).await else { continue };
                let leader = status.raft.leader.and_then(|leader| status.raft.members.get(&leader));
                if let Some(leader) = leader
                    && self.servers.contains_key(&leader.peer.address)
                {
                    return leader.peer.address.clone();
                }
            }
            assert!(started.elapsed() < LIMIT, "nobody leads");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) async fn until_voters(&self, count: usize) {
        let started = Instant::now();
        loop {
            let mut agreed = true;
            for name in self.names() {
                let status = self.status(&name).await;
                let voters = status.raft.members.values();
                let voters = voters.filter(|one| one.role == trireme_raft::store::Role::Voter).count();
                agreed &= voters == count && status.raft.leader.is_some();
            }
            if agreed {
                return;
            }
            assert!(started.elapsed() < LIMIT, "no {count} voters");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until all running members stand at one index with one hash.
    pub(crate) async fn until_equal(&self) {
        let started = Instant::now();
        let mut clients = Vec::new();
        for name in self.names() {
            clients.push(self.client(&name).await);
        }
        loop {
            let mut hashes = Vec::new();
            for client in &clients {
                hashes.push(client.call(GetStateHash { at_least: 0 }).await.expect("a hash"));
            }
            if hashes.iter().all(|hash| hash.index == hashes[0].index) {
                assert!(hashes.iter().all(|hash| *hash == hashes[0]), "members differ: {hashes:?}");
                return;
            }
            assert!(started.elapsed() < LIMIT, "members do not come to one index: {hashes:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for child in self.servers.values_mut() {
            let _gone = child.kill();
            let _reaped = child.wait();
        }
        if std::thread::panicking() {
            for name in ["s1", "s2", "s3", "s4", "s5"] {
                let said = self.said(name);
                let tail: Vec<&str> = said.lines().rev().take(40).collect();
                eprintln!("--- {name}");
                tail.iter()
                    .rev()
                    .for_each(|line| eprintln!("{}", line.chars().take(400).collect::<String>()));
            }
        }
    }
}
