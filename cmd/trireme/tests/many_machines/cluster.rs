//! [`Cluster`]: three servers and two agents in network namespaces, below a namespace of the test's own.
#![allow(unsafe_code, reason = "a thread leaves its network namespace")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};
use tempfile::TempDir;
use trireme_dataplane::Netns;
use trireme_dataplane::rt::Routing;

/// Pause between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// Nothing waits this long when it works.
pub(crate) const LIMIT: Duration = Duration::from_secs(120);
/// The agents of the cluster.
pub(crate) const AGENTS: [&str; 2] = ["a1", "a2"];
/// Its servers.
pub(crate) const SERVERS: [&str; 3] = ["s1", "s2", "s3"];

/// Runs on a thread of its own, in a network namespace that ends with it, with a loopback and nothing else.
pub(crate) fn in_a_namespace<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let thread = std::thread::spawn(move || {
        // SAFETY: only this thread leaves its network namespace; what it starts inherits the new one.
        unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNET) }.expect("root");
        let mut routing = Routing::open(&Netns::Current).expect("netlink");
        let loopback = routing.must_link("lo").expect("a loopback");
        routing.set_up(loopback.index).expect("up");
        work()
    });
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

pub(crate) struct Cluster {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
    folder: TempDir,
}

impl Cluster {
    /// `trireme up`, until every machine is up and every node Ready.
    pub(crate) fn start(servers: usize, agents: usize, more: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        for agent in &AGENTS[..agents] {
            build_image(&folder.path().join("data").join(agent));
        }
        let mut child = trireme()
            .arg("up")
            .arg(format!("--data-dir={}", folder.path().join("data").display()))
            .arg(format!("--servers={servers}"))
            .arg(format!("--agents={agents}"))
            // However full the disk of the machine that runs the tests is.
            .arg("--eviction-hard=memory.available<10Mi,nodefs.available<50Mi")
            .args(more)
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(folder.path().join("log")).expect("a file"))
            .spawn()
            .expect("trireme starts");
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let mut cluster = Self { child, lines, folder };
        let line = cluster.lines.next().and_then(Result::ok).unwrap_or_default();
        assert!(line.starts_with("ready in "), "{line:?}: {}", cluster.log());
        println!("{line}");
        cluster
    }

    pub(crate) fn machine_dir(&self, machine: &str) -> PathBuf {
        self.folder.path().join("data").join(machine)
    }

    /// A machine's network namespace; `switch` is the one between them.
    pub(crate) fn netns(&self, machine: &str) -> Netns {
        Netns::at(self.folder.path().join("data/netns").join(machine))
    }

    pub(crate) fn log(&self) -> String {
        let mut text = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        for machine in SERVERS.iter().chain(&AGENTS) {
            let log = std::fs::read_to_string(self.machine_dir(machine).join("trireme.log"));
            let log = log.unwrap_or_default();
            let lines: Vec<&str> = log.lines().filter(|line| !line.contains("\"INFO\"")).collect();
            for line in &lines[lines.len().saturating_sub(8)..] {
                text.push_str(&format!("\n{machine}: {line}"));
            }
        }
        text
    }

    /// Exit code, output and errors of `trireme kubectl`, through a server.
    pub(crate) fn kubectl_at(&self, server: &str, arguments: &[&str]) -> (Option<i32>, String, String) {
        let config = self.machine_dir(server).join("kubeconfig.yaml");
        let output = trireme()
            .arg("kubectl")
            .arg(format!("--kubeconfig={}", config.display()))
            .args(arguments)
            .output()
            .expect("trireme runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    }

    /// The output of a command that works.
    pub(crate) fn run(&self, server: &str, arguments: &[&str]) -> String {
        let (code, out, err) = self.kubectl_at(server, arguments);
        assert_eq!(code, Some(0), "{server}: {arguments:?}: {out}{err}{}", self.log());
        out
    }

    /// A field of objects through a server; empty when there is none.
    pub(crate) fn get(&self, server: &str, objects: &str, path: &str) -> String {
        let mut arguments: Vec<&str> = vec!["get"];
        arguments.extend(objects.split(' '));
        let path = format!("jsonpath={path}");
        arguments.extend(["-o", path.as_str()]);
        self.kubectl_at(server, &arguments).1
    }

    pub(crate) fn is_ready(&self, server: &str, node: &str) -> bool {
        let path = "{.status.conditions[?(@.type==\"Ready\")].status}";
        self.get(server, &format!("node {node}"), path) == "True"
    }

    pub(crate) fn until(&self, what: &str, mut holds: impl FnMut() -> bool) -> Duration {
        let since = Instant::now();
        while !holds() {
            let seen = || self.kubectl_at("s1", &["get", "nodes,pods", "-A", "-o", "wide"]).1;
            assert!(since.elapsed() < LIMIT, "{what} did not come; {}{}", seen(), self.log());
            std::thread::sleep(LOOK_AGAIN);
        }
        since.elapsed()
    }

    /// The process of a machine.
    pub(crate) fn process(&self, machine: &str) -> Option<Pid> {
        let own = format!("--data-dir={}", self.machine_dir(machine).display());
        for entry in std::fs::read_dir("/proc").expect("/proc").flatten() {
            let command = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
            if command.split(|byte| *byte == 0).any(|word| word == own.as_bytes()) {
                return entry.file_name().to_string_lossy().parse().ok().and_then(Pid::from_raw);
            }
        }
        None
    }

    pub(crate) fn signal(&self, machine: &str, signal: Signal) {
        let process = self.process(machine).unwrap_or_else(|| panic!("{machine} does not run"));
        rustix::process::kill_process(process, signal).expect("our own process");
    }

    /// Pulls a machine's cable, or puts it back.
    pub(crate) fn set_connected(&self, machine: &str, connected: bool) {
        let mut routing = Routing::open(&self.netns("switch")).expect("netlink");
        let port = routing.must_link(&format!("p-{machine}")).expect("its port");
        let outcome = match connected {
            true => routing.set_up(port.index),
            false => routing.set_down(port.index),
        };
        outcome.expect("the kernel takes it");
    }

    /// Who leads, asked from where the test runs.
    pub(crate) fn leader(&self) -> Option<&'static str> {
        let output = trireme()
            .args(["raft", "status"])
            .arg(format!("--data-dir={}", self.folder.path().join("data").display()))
            .output()
            .expect("trireme runs");
        let table = String::from_utf8_lossy(&output.stdout).into_owned();
        let row = table.lines().find(|line| line.split_whitespace().any(|word| word == "leader"))?;
        SERVERS.into_iter().find(|server| row.contains(server))
    }

    /// Stops it in order; gives what it left behind.
    pub(crate) fn stop(mut self) -> Vec<String> {
        self.tell_to_stop();
        let since = Instant::now();
        while self.child.try_wait().expect("our own child").is_none() {
            assert!(since.elapsed() < LIMIT, "the cluster does not stop: {}", self.log());
            std::thread::sleep(LOOK_AGAIN);
        }
        let own = self.folder.path().display().to_string();
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").expect("mounts");
        let mut left: Vec<String> =
            mounts.lines().filter(|line| line.contains(&own)).map(str::to_owned).collect();
        let mut routing = Routing::open(&Netns::Current).expect("netlink");
        let links = routing.links().expect("links");
        left.extend(links.into_iter().map(|link| link.name).filter(|name| name != "lo"));
        for process in std::fs::read_dir("/proc").expect("/proc").flatten() {
            let command = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
            let command = String::from_utf8_lossy(&command).replace('\0', " ");
            if command.contains(&own) && process.file_name() != *std::process::id().to_string() {
                left.push(command);
            }
        }
        if let Ok(kept) = std::fs::read_dir(self.folder.path().join("data/netns")) {
            left.extend(kept.flatten().map(|entry| entry.path().display().to_string()));
        }
        left
    }

    fn tell_to_stop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let pid = Pid::from_child(&self.child);
            // It may end by itself meanwhile.
            let _ = rustix::process::kill_process(pid, Signal::TERM);
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.tell_to_stop();
        let since = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) && since.elapsed() < LIMIT {
            std::thread::sleep(LOOK_AGAIN);
        }
    }
}

fn build_image(data_dir: &Path) {
    let mut build = trireme();
    build.args(["image", "build", "--tag", "tools:1"]).arg(format!("--data-dir={}", data_dir.display()));
    build.arg("--add").arg(format!("{}:/bin/trireme", env!("CARGO_BIN_EXE_trireme")));
    let built = build.output().expect("trireme runs");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
}

fn trireme() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trireme"));
    for name in ["TRIREME_TOKEN", "TRIREME_LOG", "TRIREME_DATA_DIR", "KUBECONFIG"] {
        command.env_remove(name);
    }
    command.stdin(Stdio::null());
    command
}

/// The text of a small web server, asked from a machine.
pub(crate) fn http(from: &Netns, address: &str, port: u16) -> std::io::Result<String> {
    from.run(|| {
        let at = format!("{address}:{port}").parse().map_err(std::io::Error::other)?;
        let mut stream = TcpStream::connect_timeout(&at, Duration::from_millis(500))?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        stream.write_all(b"GET / HTTP/1.0\r\nHost: hello\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (_, body) = answer.split_once("\r\n\r\n").ok_or_else(|| std::io::Error::other("no HTTP"))?;
        Ok(body.to_owned())
    })
}
