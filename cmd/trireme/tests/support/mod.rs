//! A cluster of real processes for tests, ended with the value that stands for it.
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use trireme_process::cluster::ListMembers;
use trireme_process::{Admin, Client};

/// Deadline of each call a test makes.
pub(crate) const CALL_LIMIT: Duration = Duration::from_secs(10);
/// Everything but pods.
const NO_PODS: &str = "--components=api,controllers,scheduler";
/// How long a cluster may take to come up or go down.
const LIMIT: Duration = Duration::from_secs(90);

pub(crate) struct Cluster {
    child: Child,
    said: Option<std::thread::JoinHandle<String>>,
    folder: PathBuf,
    // Removed with the value; none when the folder is the caller's.
    _temporary: Option<TempDir>,
    pub(crate) ready_line: String,
}

impl Cluster {
    /// `trireme up` in a folder of its own, until it says that it is ready.
    pub(crate) fn start(servers: u8, agents: u8) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut cluster = Self::start_at(folder.path(), servers, agents, &[]);
        cluster._temporary = Some(folder);
        cluster
    }

    /// The same in a folder of the caller's.
    pub(crate) fn start_at(folder: &Path, servers: u8, agents: u8, more: &[&str]) -> Self {
        let mut child = trireme(folder)
            .args(["up", "--listen=127.0.0.1:0"])
            .arg(format!("--servers={servers}"))
            .arg(format!("--agents={agents}"))
            // Pods need root and a network of their own: tests/real_pods runs them.
            .args((!more.iter().any(|flag| flag.starts_with("--components"))).then_some(NO_PODS))
            .args(more)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("trireme starts");
        let stderr = child.stderr.take().expect("piped");
        let said = std::thread::spawn(move || read_all(stderr));
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let ready_line = lines.next().and_then(Result::ok).unwrap_or_default();
        if !ready_line.starts_with("ready in ") {
            let _gone = child.kill();
            let _reaped = child.wait();
            panic!("not ready: {ready_line:?}; {}", said.join().unwrap_or_default());
        }
        Self { child, said: Some(said), folder: folder.to_owned(), _temporary: None, ready_line }
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The administrator's file.
    pub(crate) fn admin(&self) -> Admin {
        Admin::load(&self.folder.join("admin")).expect("an administrator")
    }

    /// A session with each server.
    pub(crate) async fn clients(&self) -> Vec<Arc<Client>> {
        let admin = self.admin();
        let first = Client::connect(&admin, CALL_LIMIT).await.expect("a server answers");
        let members = first.call("cluster", ListMembers {}).await.expect("the members");
        let mut clients = Vec::new();
        for address in members.into_iter().filter_map(|(_, member)| member.address) {
            let one = Admin { credentials: Arc::clone(&admin.credentials), servers: vec![address] };
            clients.push(Arc::new(Client::connect(&one, CALL_LIMIT).await.expect("each server answers")));
        }
        clients
    }

    /// Runs a command against the cluster.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        trireme(&self.folder).args(arguments).output().expect("trireme runs")
    }

    /// Stops it in order and gives back what it said on standard error.
    pub(crate) fn stop(mut self) -> String {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("the cluster still runs");
        let since = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("our own child") {
                break status;
            }
            assert!(since.elapsed() < LIMIT, "the cluster does not stop");
            std::thread::sleep(Duration::from_millis(10));
        };
        assert!(status.success(), "stopping ended with {status}");
        self.said.take().expect("stopped once").join().expect("its words were read")
    }

    /// The process ids of the machines, by name, read from the processes' own command lines.
    pub(crate) fn machines(&self) -> Vec<(String, u32)> {
        let parent = self.pid();
        let mut found = Vec::new();
        for entry in std::fs::read_dir("/proc").expect("/proc").flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
                continue;
            };
            let status = std::fs::read_to_string(entry.path().join("status")).unwrap_or_default();
            if !status.lines().any(|line| line == format!("PPid:\t{parent}")) {
                continue;
            }
            let command = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let words = command.split(|byte| *byte == 0).map(String::from_utf8_lossy);
            let name = words.filter_map(|word| word.strip_prefix("--node-name=").map(str::to_owned)).next();
            found.extend(name.map(|name| (name, pid)));
        }
        found.sort();
        found
    }
}

impl Drop for Cluster {
    /// A test that fails leaves nothing behind: the machines stop when their parent is gone.
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// The binary under test with a data folder.
pub(crate) fn trireme(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trireme"));
    command
        .env("TRIREME_DATA_DIR", folder)
        .env_remove("TRIREME_TOKEN")
        .env_remove("TRIREME_LOG")
        .stdin(Stdio::null());
    command
}

/// Logs of a machine started by `up`.
pub(crate) fn log_of(folder: &Path, machine: &str) -> String {
    let path: PathBuf = folder.join(machine).join("trireme.log");
    std::fs::read_to_string(path).unwrap_or_default()
}

fn read_all(mut stderr: ChildStderr) -> String {
    let mut text = String::new();
    let _closed = stderr.read_to_string(&mut text);
    text
}
