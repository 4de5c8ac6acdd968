//! [`Machine`]: a machine of its own for a cluster, with an image of host programs.
#![allow(unsafe_code, reason = "a thread leaves its network namespace")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use trireme_dataplane::Netns;
use trireme_dataplane::rt::{Route, Routing};

/// The machine's address.
pub(crate) const ADDRESS: &str = "10.9.0.1";
/// Pause between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// How long the cluster may take to start, the demo to answer, and all of it to stop.
const LIMIT: Duration = Duration::from_secs(120);
/// What the image holds of this machine.
const PROGRAMS: [&str; 7] = ["sh", "sleep", "cat", "id", "readlink", "ls", "kill"];

/// Runs on a thread of its own, in a network namespace that ends with it: with a loopback, and a link with [`ADDRESS`].
pub(crate) fn in_a_namespace<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let thread = std::thread::spawn(move || {
        // SAFETY: only this thread leaves its network namespace; what it starts inherits the new one.
        unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNET) }.expect("root");
        let mut routing = Routing::open(&Netns::Current).expect("netlink");
        let loopback = routing.must_link("lo").expect("a loopback");
        routing.set_up(loopback.index).expect("up");
        let outside = routing.ensure_bridge("outside", [2, 0, 0, 0, 9, 1], 1500).expect("a link");
        routing.add_address(&outside, format!("{ADDRESS}/24").parse().expect("a range")).expect("an address");
        routing.set_up(outside.index).expect("up");
        let default = Route {
            destination: "0.0.0.0/0".parse().expect("a range"),
            via: Some("10.9.0.254".parse().expect("an address")),
            link: outside.index,
            source: None,
        };
        routing.set_route(default).expect("a default route");
        work()
    });
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

pub(crate) struct Machine {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
    folder: TempDir,
}

impl Machine {
    /// `trireme up --demo`, until the demo has answered.
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut build = trireme(&folder);
        build.args(["image", "build", "--tag", "tools:1", "--add"]);
        build.arg(format!("{}:/bin/trireme", env!("CARGO_BIN_EXE_trireme")));
        for program in PROGRAMS {
            build.arg("--add").arg(format!("{}:/bin/{program}", found(program).display()));
        }
        let built = build.output().expect("trireme runs");
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        let mut child = trireme(&folder)
            .args(["up", "--demo", "--listen=127.0.0.1:0", "--node-ip", ADDRESS])
            .arg(format!("--kubeconfig={}", folder.path().join("kubeconfig").display()))
            // However full the disk of the machine that runs the tests is.
            .arg("--eviction-hard=memory.available<10Mi,nodefs.available<50Mi")
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(folder.path().join("log")).expect("a file"))
            .spawn()
            .expect("trireme starts");
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let mut machine = Self { child, lines, folder };
        for wanted in ["ready in ", "demo: http://"] {
            let line = machine.lines.next().and_then(Result::ok).unwrap_or_default();
            assert!(line.starts_with(wanted), "{wanted:?} was expected, not {line:?}: {}", machine.log());
            println!("{line}");
        }
        machine
    }

    fn log(&self) -> String {
        let text = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().filter(|line| !line.contains("\"INFO\"")).collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    /// Exit code, output and errors of `trireme kubectl`.
    pub(crate) fn kubectl(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        let output = trireme(&self.folder)
            .arg("kubectl")
            .arg(format!("--kubeconfig={}", self.folder.path().join("kubeconfig").display()))
            .args(arguments)
            .output()
            .expect("trireme runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    }

    /// The output of a command that works.
    pub(crate) fn run_kubectl(&self, arguments: &[&str]) -> String {
        let (code, out, err) = self.kubectl(arguments);
        assert_eq!(code, Some(0), "{arguments:?}: {out}{err}{}", self.log());
        out
    }

    pub(crate) fn apply(&self, objects: &str) {
        let file = self.folder.path().join("objects.yaml");
        std::fs::write(&file, objects).expect("a file");
        // The namespace's service account comes from a controller.
        self.until("the service account", LIMIT, || {
            self.kubectl(&["get", "serviceaccount", "default"]).0 == Some(0)
        });
        self.run_kubectl(&["apply", "-f", &file.display().to_string()]);
    }

    /// A field of an object; empty when there is none.
    pub(crate) fn get(&self, object: &str, path: &str) -> String {
        self.get_in("default", object, path)
    }

    pub(crate) fn get_in(&self, namespace: &str, object: &str, path: &str) -> String {
        self.kubectl(&["-n", namespace, "get", object, "-o", &format!("jsonpath={path}")]).1
    }

    /// What a shell in a pod prints.
    pub(crate) fn exec(&self, pod: &str, script: &str) -> String {
        self.run_kubectl(&["exec", pod, "--", "sh", "-c", script])
    }

    pub(crate) fn until(&self, what: &str, limit: Duration, mut holds: impl FnMut() -> bool) {
        let since = Instant::now();
        while !holds() {
            let pods = || self.kubectl(&["get", "pods", "-A", "-o", "wide"]).1;
            assert!(since.elapsed() < limit, "{what} did not come; {}{}", pods(), self.log());
            std::thread::sleep(LOOK_AGAIN);
        }
    }

    fn tell_to_stop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let pid = rustix::process::Pid::from_child(&self.child);
            // It may end by itself meanwhile.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
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
        left.extend(links.into_iter().map(|link| link.name).filter(|name| name != "lo" && name != "outside"));
        for process in std::fs::read_dir("/proc").expect("/proc").flatten() {
            let command = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
            let command = String::from_utf8_lossy(&command).replace('\0', " ");
            if command.contains(&own) && process.file_name() != *std::process::id().to_string() {
                left.push(command);
            }
        }
        left
    }
}

impl Drop for Machine {
    /// After a failed check: what is left of the cluster is told to stop, and waited for.
    fn drop(&mut self) {
        self.tell_to_stop();
        let since = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) && since.elapsed() < LIMIT {
            std::thread::sleep(LOOK_AGAIN);
        }
    }
}

fn trireme(folder: &TempDir) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trireme"));
    command
        .env("TRIREME_DATA_DIR", folder.path().join("data"))
        .env_remove("TRIREME_TOKEN")
        .env_remove("TRIREME_LOG")
        .env_remove("KUBECONFIG")
        .stdin(Stdio::null());
    command
}

fn found(program: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file());
    found.unwrap_or_else(|| panic!("{program} is on every Linux machine"))
}

/// The text of a small web server.
pub(crate) fn http(address: &str, port: u16) -> std::io::Result<String> {
    let at = format!("{address}:{port}").parse().map_err(std::io::Error::other)?;
    let mut stream = TcpStream::connect_timeout(&at, Duration::from_secs(2))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(b"GET / HTTP/1.0\r\nHost: hello\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (_, body) = answer.split_once("\r\n\r\n").ok_or_else(|| std::io::Error::other("no HTTP"))?;
    Ok(body.to_owned())
}
