//! Our servers: `trireme server` processes, and sessions of [`StoreClient`].

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinSet;
use trireme_kernel::Call;
use trireme_mvcc::{Key, Operation, Proposal, Revision};
use trireme_pki::JoinRole;
use trireme_process::cluster::CreateToken;
use trireme_process::{Admin, Client};
use trireme_raft::store::Role;
use trireme_store::calls::{Consistency, Get, GetStatus, Propose, StoreStatus};
use trireme_store::{StoreClient, WatchFilter, WatchMessage, WatchTopic};

use crate::system::{Arrivals, Session, System, Watching};

/// Longest time for a server to come up, for a leader to be found and for a call.
const LIMIT: Duration = Duration::from_secs(60);
/// Time that a proposal may look for a quorum: below the call's deadline.
const PROPOSE_MS: u64 = 50_000;
/// Life of join tokens.
const TOKEN_LIFE: Duration = Duration::from_secs(600);

/// A cluster of server processes. They end with it.
pub(crate) struct Ours {
    program: PathBuf,
    dir: PathBuf,
    servers: Vec<Server>,
}

struct Server {
    name: String,
    data: PathBuf,
    process: Child,
}

impl Ours {
    /// Starts `members` servers, all voting.
    pub(crate) async fn start(program: &Path, dir: &Path, members: usize) -> Result<Self> {
        let mut ours = Self { program: program.to_owned(), dir: dir.join("ours"), servers: Vec::new() };
        for _ in 0..members {
            ours.grow().await?;
        }
        Ok(ours)
    }

    /// Starts one more server and waits until it votes.
    pub(crate) async fn grow(&mut self) -> Result<()> {
        let index = self.servers.len();
        let (name, data) = (format!("s{}", index + 1), self.dir.join(format!("s{}", index + 1)));
        std::fs::create_dir_all(&data).with_context(|| format!("creating {}", data.display()))?;
        let join = match self.servers.first() {
            None => None,
            Some(first) => {
                let admin = Admin::load(&first.data.join("admin"))?;
                let client = Client::connect(&admin, LIMIT).await?;
                let create = CreateToken { role: JoinRole::Server, lifetime: TOKEN_LIFE };
                Some((admin.servers[0], client.call("cluster", create).await?))
            }
        };
        let process = spawn(&self.program, &name, &data, join).await?;
        self.servers.push(Server { name, data, process });
        self.until_voters(index + 1).await
    }

    /// Stops a server as an operator would, and starts it again. Gives the time from its start to its first answer
    /// to a linearizable read of `key`.
    pub(crate) async fn restart(&mut self, index: usize, key: &str) -> Result<Duration> {
        let server = &mut self.servers[index];
        drop(server.process.stdin.take());
        tokio::time::timeout(LIMIT, server.process.wait()).await.context("the server does not stop")??;
        let started = Instant::now();
        server.process = spawn(&self.program, &server.name, &server.data, None).await?;
        let session = self.session(index).await?;
        while session.get(key).await.ok().flatten().is_none() {
            if started.elapsed() > LIMIT {
                bail!("{key} cannot be read after the restart");
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        Ok(started.elapsed())
    }

    /// A connection to one member.
    pub(crate) async fn session(&self, index: usize) -> Result<OurSession> {
        let admin = Admin::load(&self.servers[index].data.join("admin"))?;
        let to = admin.servers.first().copied().context("a server without an address")?;
        Ok(OurSession { client: StoreClient::connect_to(&admin, &[to], LIMIT).await? })
    }

    /// Which member leads.
    pub(crate) async fn leader(&self) -> Result<usize> {
        let started = Instant::now();
        loop {
            for index in 0..self.servers.len() {
                let status = self.session(index).await?.status().await?;
                if status.raft.leader == Some(status.raft.member) {
                    return Ok(index);
                }
            }
            if started.elapsed() > LIMIT {
                bail!("no member leads");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn until_voters(&self, count: usize) -> Result<()> {
        let (started, first) = (Instant::now(), self.session(0).await?);
        loop {
            let status = first.status().await?;
            let voters = status.raft.members.values().filter(|member| member.role == Role::Voter);
            if voters.count() == count {
                return Ok(());
            }
            if started.elapsed() > LIMIT {
                bail!("{count} servers do not all vote: {status:?}");
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl System for Ours {
    fn name(&self) -> &'static str {
        "ours"
    }

    /// By member.
    fn pids(&self) -> Vec<u32> {
        self.servers.iter().filter_map(|server| server.process.id()).collect()
    }

    fn connect(&self) -> BoxFuture<'_, Result<Box<dyn Session>>> {
        async move {
            let leader = self.leader().await?;
            Ok(Box::new(self.session(leader).await?) as Box<dyn Session>)
        }
        .boxed()
    }
}

/// Starts a process and waits for its word that it serves.
async fn spawn(program: &Path, name: &str, data: &Path, join: Option<(SocketAddr, String)>) -> Result<Child> {
    let log = data.with_extension("log");
    let log = std::fs::File::options()
        .create(true)
        .append(true)
        .open(&log)
        .with_context(|| format!("{}", log.display()))?;
    let mut command = Command::new(program);
    command
        .args([
            "--log=warn",
            "--log-format=text",
            "server",
            "--stop-on-stdin-eof",
            "--components=none",
            "--listen=127.0.0.1:0",
        ])
        .arg(format!("--data-dir={}", data.display()))
        .arg(format!("--node-name={name}"))
        .env_remove("TRIREME_TOKEN")
        .env_remove("TRIREME_LOG")
        .env_remove("TRIREME_DATA_DIR")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(log)
        .kill_on_drop(true);
    if let Some((through, token)) = join {
        command.arg(format!("--join={through}")).env("TRIREME_TOKEN", token);
    }
    let mut child = command.spawn().with_context(|| format!("starting {}", program.display()))?;
    let mut lines = BufReader::new(child.stdout.take().expect("piped above")).lines();
    let ready = async {
        while let Some(line) = lines.next_line().await? {
            if line.starts_with("ready in ") {
                return Ok(());
            }
        }
        Err(anyhow!("{name} ended before it was ready; its log is {}", data.with_extension("log").display()))
    };
    tokio::time::timeout(LIMIT, ready).await.with_context(|| format!("{name} does not come up"))??;
    // Read to its end, lest the process waits for a reader.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    Ok(child)
}

/// One bus session.
pub(crate) struct OurSession {
    client: StoreClient,
}

impl OurSession {
    /// Any call to the member's store.
    pub(crate) async fn call<C: Call>(&self, call: C) -> Result<C::Answer> {
        Ok(self.client.call(call).await?)
    }

    pub(crate) async fn status(&self) -> Result<StoreStatus> {
        self.call(GetStatus {}).await
    }
}

impl Session for OurSession {
    fn put<'a>(&'a self, key: &'a str, value: Bytes) -> BoxFuture<'a, Result<()>> {
        async move {
            let put = Operation::Put { key: Key::from(key), value, lease: None };
            let call =
                Propose { proposal: Proposal::transaction(Vec::new(), vec![put]), timeout_ms: PROPOSE_MS };
            self.client.call(call).await??.outcome.map_err(|refusal| anyhow!("refused: {refusal:?}"))?;
            Ok(())
        }
        .boxed()
    }

    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<usize>>> {
        async move {
            let get = Get { key: Key::from(key), consistency: Consistency::Linearizable };
            Ok(self.client.call(get).await??.item.map(|item| item.value.len()))
        }
        .boxed()
    }

    fn watch<'a>(
        &'a self,
        prefix: &'a str,
        watchers: usize,
        arrivals: &'static Arrivals,
    ) -> BoxFuture<'a, Result<Watching>> {
        async move {
            // From the state that the last acknowledged write left: a watch that is opened late misses nothing.
            let get = Get { key: Key::from(prefix), consistency: Consistency::Linearizable };
            let after: Revision = self.client.call(get).await??.revision;
            let filter = WatchFilter::Prefix(Key::from(prefix));
            let topic = WatchTopic { filter, after, previous: false, bookmark_ms: 0 };
            let mut tasks = JoinSet::new();
            for _ in 0..watchers {
                let mut stream = self.client.watch(&topic)?;
                tasks.spawn(async move {
                    while let Ok(message) = stream.next().await {
                        let WatchMessage::Events { events, .. } = message else { continue };
                        events
                            .iter()
                            .filter_map(|e| e.item.as_ref())
                            .for_each(|item| arrivals.note(item.key.as_ref()));
                    }
                });
            }
            Ok(Watching { _open: tasks })
        }
        .boxed()
    }
}
