//! One server process.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex as Lock;
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::{Mutex, oneshot};
use trireme_core::Rng;
use trireme_process::{Admin, random_u64};

use super::tmpfs::Tmpfs;
use super::torn::{Torn, tear};
use super::{FleetError, START_LIMIT};
use crate::link::{Link, Server};

/// Ports of the servers: below those that the system hands out by itself, so that nobody takes the port of a server
/// while it is dead.
const PORTS: std::ops::Range<u64> = 20_000..32_000;
/// Ports that are tried.
const PORTS_TRIED: usize = 64;

/// A UDP port of loopback that nobody uses at the moment.
fn free_port() -> std::io::Result<u16> {
    let mut last = std::io::Error::from(std::io::ErrorKind::AddrInUse);
    for _ in 0..PORTS_TRIED {
        let port = PORTS.start + random_u64() % (PORTS.end - PORTS.start);
        let port = u16::try_from(port).expect("the range lies within 16 bits");
        match std::net::UdpSocket::bind((std::net::Ipv4Addr::LOCALHOST, port)) {
            Ok(_free) => return Ok(port),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// See the module.
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) folder: PathBuf,
    program: PathBuf,
    port: u16,
    log: PathBuf,
    disk: Option<Tmpfs>,
    process: Mutex<Option<Child>>,
    server: Lock<Option<Server>>,
    /// How processes ended that nobody had killed.
    ended: Arc<Lock<Vec<String>>>,
    /// The cluster has removed it, and has not been asked to take it back yet.
    removed: AtomicBool,
}

impl Member {
    pub(crate) fn new(
        index: usize,
        program: &Path,
        folder: &Path,
        small_disk: bool,
    ) -> Result<Self, FleetError> {
        let name = format!("s{}", index + 1);
        let log = folder.join(format!("{name}.log"));
        let folder = folder.join(&name);
        std::fs::create_dir_all(&folder).map_err(FleetError::io(format!("{}", folder.display())))?;
        let disk = small_disk.then(|| Tmpfs::mount(&folder)).transpose()?;
        Ok(Self {
            name,
            folder,
            program: program.to_owned(),
            port: free_port().map_err(FleetError::io("a port".to_owned()))?,
            log,
            disk,
            process: Mutex::default(),
            server: Lock::default(),
            ended: Arc::default(),
            removed: AtomicBool::new(false),
        })
    }

    /// A new way to it, for one client.
    pub(crate) fn link(&self) -> Link {
        Link::new(self.server())
    }

    /// Where it is. Only after its first start.
    pub(crate) fn server(&self) -> Server {
        self.server.lock().clone().expect("a member is used after its first start")
    }

    /// Starts it unless it lives, and waits until it says that it is ready; the first time with a way into the
    /// cluster. Whether it had to be started.
    pub(crate) async fn start(&self, join: Option<(SocketAddr, String)>) -> Result<bool, FleetError> {
        let mut process = self.process.lock().await;
        // Looked at and replaced under one lock: two faults may end at once and both want it back.
        if self.lives(&mut process) {
            return Ok(false);
        }
        let (child, ready) = self.spawn(join)?;
        *process = Some(child);
        drop(process);
        let not_up =
            |why: &str| FleetError::NotUp { name: self.name.clone(), why: why.into(), log: self.log.clone() };
        match tokio::time::timeout(START_LIMIT, ready).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return Err(not_up("it ended first")),
            Err(_) => return Err(not_up("it took too long")),
        }
        if self.server.lock().is_none() {
            let admin = Admin::load(&self.folder.join("admin"))?;
            let address = *admin.servers.first().ok_or_else(|| not_up("it names no address"))?;
            let server = Server { name: self.name.clone(), address, credentials: admin.credentials };
            *self.server.lock() = Some(server);
        }
        Ok(true)
    }

    /// Whether its process lives. One that ended by itself is noted.
    pub(crate) async fn is_running(&self) -> bool {
        self.lives(&mut *self.process.lock().await)
    }

    fn lives(&self, process: &mut Option<Child>) -> bool {
        let Some(child) = process else { return false };
        match child.try_wait() {
            Ok(None) => true,
            Ok(Some(status)) => {
                // A server that starts while it is removed says so and ends, as it should.
                if !self.removed.load(Ordering::SeqCst) {
                    self.ended.lock().push(format!("{} ended by itself ({status})", self.name));
                }
                *process = None;
                false
            }
            Err(_) => false,
        }
    }

    /// SIGKILL, and waits until it is gone. Whether it was alive.
    pub(crate) async fn kill(&self) -> bool {
        let mut process = self.process.lock().await;
        if !self.lives(&mut process) {
            return false;
        }
        let Some(mut child) = process.take() else { return false };
        // Fails only for a process that is gone already; either way it is reaped.
        let _gone = child.kill().await;
        true
    }

    /// Says whether the cluster is about to remove it, until it is to be taken back.
    pub(crate) async fn set_removed(&self, removed: bool) {
        let mut process = self.process.lock().await;
        // What ended before is judged by what held before.
        self.lives(&mut process);
        self.removed.store(removed, Ordering::SeqCst);
    }

    /// SIGSTOP.
    pub(crate) async fn freeze(&self) -> bool {
        self.signal(Signal::STOP).await
    }

    /// SIGCONT; nothing happens to a process that runs.
    pub(crate) async fn thaw(&self) -> bool {
        self.signal(Signal::CONT).await
    }

    /// Leaves its file system without room, until [`Member::empty_disk`]. False without a file system of its own.
    pub(crate) fn fill_disk(&self) -> Result<bool, FleetError> {
        self.disk.as_ref().map_or(Ok(false), |disk| disk.fill().map(|()| true))
    }

    /// Gives the room back.
    pub(crate) fn empty_disk(&self) {
        if let Some(disk) = &self.disk {
            disk.empty();
        }
    }

    /// Tears the end of its log that no sync covered, as a power cut may. Only while its process is dead.
    pub(crate) fn tear_log(&self, rng: &mut Rng) -> std::io::Result<Torn> {
        tear(&self.folder.join("store").join("log"), rng)
    }

    /// Takes the file system away, once the process is gone.
    pub(crate) fn release_disk(&self) {
        if let Some(disk) = &self.disk {
            disk.unmount();
        }
    }

    /// How its processes ended that nobody had killed.
    pub(crate) fn ended(&self) -> Vec<String> {
        self.ended.lock().clone()
    }

    async fn signal(&self, signal: Signal) -> bool {
        let process = self.process.lock().await;
        let pid = process.as_ref().and_then(Child::id).and_then(|id| i32::try_from(id).ok());
        pid.and_then(Pid::from_raw).is_some_and(|pid| kill_process(pid, signal).is_ok())
    }

    fn spawn(
        &self,
        join: Option<(SocketAddr, String)>,
    ) -> Result<(Child, oneshot::Receiver<()>), FleetError> {
        let log = File::options().create(true).append(true).open(&self.log);
        let log = log.map_err(FleetError::io(format!("{}", self.log.display())))?;
        let mut command = Command::new(&self.program);
        command
            .args([
                "--log=info",
                "--log-format=text",
                "server",
                "--stop-on-stdin-eof",
                // The laws judge every write in the log: nobody else writes.
                "--components=none",
                // The whole log is read at the end.
                "--store-history=24h",
            ])
            .arg(format!("--listen=127.0.0.1:{}", self.port))
            .arg(format!("--data-dir={}", self.folder.display()))
            .arg(format!("--node-name={}", self.name))
            .env_remove("TRIREME_TOKEN")
            .env_remove("TRIREME_LOG")
            .env_remove("TRIREME_DATA_DIR")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .process_group(0)
            .kill_on_drop(true);
        if let Some((address, token)) = join {
            command.arg(format!("--join={address}")).env("TRIREME_TOKEN", token);
        }
        let mut child =
            command.spawn().map_err(FleetError::io(format!("{} server", self.program.display())))?;
        let stdout = child.stdout.take().expect("piped above");
        let (tell, ready) = oneshot::channel();
        tokio::spawn(async move {
            let mut tell = Some(tell);
            let mut lines = BufReader::new(stdout).lines();
            // Read to its end, lest the process waits for a reader.
            while let Ok(Some(line)) = lines.next_line().await {
                if line.starts_with("ready in ")
                    && let Some(tell) = tell.take()
                {
                    // Nobody listens any more when it took too long.
                    let _late = tell.send(());
                }
            }
        });
        Ok((child, ready))
    }
}
