//! [`Machine`]: a machine of its own for a cluster, with an image of host programs.
#![allow(unsafe_code, reason = "a thread leaves its network namespace")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
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
/// Nothing waits this long when it works.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// What is logged: also where the time of a pod's start goes.
const LOG: &str = "info,openraft=warn,trireme_kubelet::times=debug,trireme_runtime::times=debug";
/// What the image holds of this machine.
const PROGRAMS: [&str; 20] = [
    "sh", "sleep", "cat", "id", "readlink", "ls", "kill", "touch", "stat", "head", "tail", "mkdir", "rm",
    "getent", "stty", "tty", "grep", "wc", "true", "false",
];

/// One cluster at a time: several would only slow each other down.
static ONE: std::sync::Mutex<()> = std::sync::Mutex::new(());

/// A cluster of one in a network namespace of its own, for `work`; afterwards nothing of it may be left.
pub(crate) fn with(area: &str, flags: &[&str], work: impl FnOnce(&mut Machine) + Send + 'static) {
    if !rustix::process::geteuid().is_root() {
        println!("SKIPPED: containers and network namespaces take root");
        return;
    }
    // A failed test before this one is no reason not to run it.
    let _alone = ONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let (area, flags) = (area.to_owned(), flags.iter().map(|flag| (*flag).to_owned()).collect());
    let left = in_a_namespace(move || {
        let mut machine = Machine::start(&area, flags);
        work(&mut machine);
        machine.stop()
    });
    assert_eq!(left, Vec::<String>::new(), "left behind");
}

/// Runs on a thread of its own, in a network namespace that ends with it: with a loopback, and a link with [`ADDRESS`].
fn in_a_namespace<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let thread = std::thread::spawn(move || {
        leave_network();
        let mut routing = Routing::open(&Netns::Current).expect("netlink");
        let outside = routing.ensure_bridge("outside", [2, 0, 0, 0, 9, 1], 1500).expect("a link");
        routing.add_address(&outside, format!("{ADDRESS}/24").parse().expect("a range")).expect("an address");
        routing.set_up(outside.index).expect("up");
        routing.set_route(default_route("10.9.0.254", outside.index)).expect("a default route");
        work()
    });
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

pub(crate) fn leave_network() {
    // SAFETY: only this thread leaves its network namespace; what it starts inherits the new one.
    unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNET) }.expect("root");
    let mut routing = Routing::open(&Netns::Current).expect("netlink");
    let loopback = routing.must_link("lo").expect("a loopback");
    routing.set_up(loopback.index).expect("up");
}

pub(crate) fn default_route(via: &str, link: u32) -> Route {
    Route {
        destination: "0.0.0.0/0".parse().expect("a range"),
        via: Some(via.parse().expect("an address")),
        link,
        source: None,
    }
}

/// `trireme up` as a child of the test, in a folder of its own.
pub(crate) struct Machine {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
    folder: TempDir,
    flags: Vec<String>,
    /// The node's name; no other cluster on this machine has it.
    pub(crate) node: String,
}

impl Machine {
    fn start(area: &str, flags: Vec<String>) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut build = trireme(&folder);
        build.args(["image", "build", "--tag", "tools:1", "--tag", "tools:2"]);
        build.arg("--add").arg(format!("{}:/bin/trireme", small_trireme().display()));
        for program in PROGRAMS {
            build.arg("--add").arg(format!("{}:/bin/{program}", found(program).display()));
        }
        let built = build.output().expect("trireme runs");
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        let node = format!("{area}-{}", std::process::id());
        let flags =
            flags.into_iter().map(|flag| flag.replace("FOLDER", &folder.path().display().to_string()));
        let flags: Vec<String> = flags.collect();
        let (child, lines) = launch(&folder, &node, &flags);
        let mut machine = Self { child, lines, folder, flags, node };
        machine.until_said("ready in ");
        // The namespace's service account comes from a controller.
        machine.until("the service account", || machine.kubectl(&["get", "sa", "default"]).0 == Some(0));
        machine
    }

    /// Reads what it prints until a line that begins so.
    pub(crate) fn until_said(&mut self, wanted: &str) {
        let line = self.lines.next().and_then(Result::ok).unwrap_or_default();
        assert!(line.starts_with(wanted), "{wanted:?} was expected, not {line:?}: {}", self.log());
        println!("{line}");
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// kill -9, and started again on the same folder.
    pub(crate) fn crash_and_start(&mut self) {
        self.child.kill().expect("our own child");
        self.child.wait().expect("our own child");
        (self.child, self.lines) = launch(&self.folder, &self.node, &self.flags);
        self.until_said("ready in ");
    }

    pub(crate) fn log(&self) -> String {
        let text = std::fs::read_to_string(self.path("log")).unwrap_or_default();
        let lines: Vec<&str> =
            text.lines().filter(|line| !line.contains("\"INFO\"") && !line.contains("\"DEBUG\"")).collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    /// Another command of the binary, against this cluster.
    pub(crate) fn trireme(&self) -> Command {
        trireme(&self.folder)
    }

    /// kubectl as users have it, or `trireme kubectl` where there is none.
    pub(crate) fn kubectl_command(&self) -> Command {
        let mut command = match find("kubectl") {
            Some(kubectl) => Command::new(kubectl),
            None => {
                let mut own = trireme(&self.folder);
                own.arg("kubectl");
                own
            }
        };
        command
            .arg(format!("--kubeconfig={}", self.path("kubeconfig").display()))
            .env("HOME", self.folder.path())
            .env("KUBECACHEDIR", self.path("cache"))
            .stdin(Stdio::null());
        command
    }

    /// Exit code, output and errors of kubectl.
    pub(crate) fn kubectl(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        let output = self.kubectl_command().args(arguments).output().expect("kubectl runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    }

    /// The same with something on its standard input.
    pub(crate) fn kubectl_with(&self, arguments: &[&str], input: &str) -> (Option<i32>, String, String) {
        let mut command = self.kubectl_command();
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("kubectl runs");
        // What begins with a bracket is taken for JSON by kubectl, unless it begins another document.
        let start = if input.starts_with('{') { "---\n" } else { "" };
        // A command that does not read it ends without it.
        let _ = child.stdin.take().expect("piped").write_all(format!("{start}{input}").as_bytes());
        let output = child.wait_with_output().expect("our own child");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    }

    /// The output of a command that works.
    pub(crate) fn run_kubectl(&self, arguments: &[&str]) -> String {
        let (code, out, err) = self.kubectl(arguments);
        assert_eq!(code, Some(0), "{arguments:?}: {out}{err}{}", self.log());
        out
    }

    /// The output of a command that reads objects and works.
    pub(crate) fn run_kubectl_with(&self, arguments: &[&str], objects: &str) -> String {
        let (code, out, err) = self.kubectl_with(arguments, objects);
        assert_eq!(code, Some(0), "{arguments:?}: {out}{err}{}", self.log());
        out
    }

    /// `kubectl apply`; gives what it printed.
    pub(crate) fn apply(&self, objects: &str) -> String {
        self.run_kubectl_with(&["apply", "-f", "-"], &self.filled(objects))
    }

    /// FOLDER and NODE in the text of objects stand for the machine's own.
    pub(crate) fn filled(&self, objects: &str) -> String {
        objects.replace("FOLDER", &self.folder.path().display().to_string()).replace("NODE", &self.node)
    }

    /// A field of an object; empty when there is none.
    pub(crate) fn get(&self, object: &str, path: &str) -> String {
        self.get_in("default", object, path)
    }

    pub(crate) fn get_in(&self, namespace: &str, object: &str, path: &str) -> String {
        self.kubectl(&["-n", namespace, "get", object, "-o", &format!("jsonpath={path}")]).1
    }

    /// A field of all objects that a selector picks, in words.
    pub(crate) fn all(&self, kind: &str, selector: &str, path: &str) -> Vec<String> {
        let wanted = format!("jsonpath={{range .items[*]}}{path}{{\"\\n\"}}{{end}}");
        let text = self.run_kubectl(&["get", kind, "-l", selector, "-o", &wanted]);
        text.lines().map(str::to_owned).collect()
    }

    pub(crate) fn until_running(&self, pods: &[&str]) {
        for pod in pods {
            let pod = format!("pod/{pod}");
            self.until(&pod, || self.get(&pod, "{.status.phase}") == "Running");
        }
    }

    /// What a shell in a pod prints.
    pub(crate) fn exec(&self, pod: &str, script: &str) -> String {
        self.run_kubectl(&["exec", pod, "--", "sh", "-c", script])
    }

    pub(crate) fn until(&self, what: &str, holds: impl FnMut() -> bool) {
        self.until_within(what, PATIENCE, holds);
    }

    pub(crate) fn until_within(&self, what: &str, limit: Duration, mut holds: impl FnMut() -> bool) {
        let since = Instant::now();
        while !holds() {
            let pods = || self.kubectl(&["get", "pods", "-A", "-o", "wide"]).1;
            let events = || self.kubectl(&["get", "events", "--field-selector=type=Warning"]).1;
            assert!(since.elapsed() < limit, "{what} did not come; {}{}{}", pods(), events(), self.log());
            std::thread::sleep(LOOK_AGAIN);
        }
    }

    /// Processes of this machine that run in a container, by the id that the pod's status has.
    pub(crate) fn processes_of(&self, pod: &str) -> Vec<i32> {
        let id = self.get(&format!("pod/{pod}"), "{.status.containerStatuses[0].containerID}");
        let Some((_, id)) = id.split_once("://") else { return Vec::new() };
        processes(|folder| {
            std::fs::read_to_string(folder.join("cgroup")).is_ok_and(|groups| groups.contains(id))
        })
    }

    fn tell_to_stop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let pid = rustix::process::Pid::from_child(&self.child);
            // It may end by itself meanwhile.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
    }

    /// Stops it in order; gives what it left behind.
    fn stop(mut self) -> Vec<String> {
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
        let cgroup = format!("trireme-{}", self.node);
        for controller in std::fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten() {
            left.extend(Some(controller.path().join(&cgroup)).filter(|path| path.exists()).map(shown));
        }
        left.extend(Some(Path::new("/sys/fs/cgroup").join(&cgroup)).filter(|path| path.exists()).map(shown));
        for process in processes(|folder| {
            let command = std::fs::read(folder.join("cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&command).contains(&own)
        }) {
            let command = std::fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
            left.push(String::from_utf8_lossy(&command).replace('\0', " "));
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

fn shown(path: PathBuf) -> String {
    path.display().to_string()
}

/// Process ids, but the test's own, whose folder below /proc is as wanted.
fn processes(wanted: impl Fn(&Path) -> bool) -> Vec<i32> {
    let all = std::fs::read_dir("/proc").expect("/proc").flatten();
    let all = all.filter_map(|entry| Some((entry.file_name().to_str()?.parse::<i32>().ok()?, entry.path())));
    let own = i32::try_from(std::process::id()).expect("a pid");
    all.filter(|(pid, path)| *pid != own && wanted(path)).map(|(pid, _)| pid).collect()
}

fn launch(folder: &TempDir, node: &str, flags: &[String]) -> (Child, std::io::Lines<BufReader<ChildStdout>>) {
    let log = std::fs::File::options().create(true).append(true).open(folder.path().join("log"));
    let mut child = trireme(folder)
        .args(["up", "--listen=127.0.0.1:0", "--node-ip", ADDRESS, "--node-name", node])
        .arg(format!("--kubeconfig={}", folder.path().join("kubeconfig").display()))
        .args(flags)
        // However full the disk of the machine that runs the tests is.
        .env("TRIREME_LOG", LOG)
        .arg("--eviction-hard=memory.available<10Mi,nodefs.available<50Mi")
        .stdout(Stdio::piped())
        .stderr(log.expect("a file"))
        .spawn()
        .expect("trireme starts");
    let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    (child, lines)
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

/// The binary without what debuggers read, which is most of it, where there is a program that takes it away.
fn small_trireme() -> PathBuf {
    let whole = PathBuf::from(env!("CARGO_BIN_EXE_trireme"));
    let made = std::fs::metadata(&whole).and_then(|about| about.modified()).expect("it is built");
    let made = made.duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_nanos();
    let small = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("trireme-{made}"));
    if small.exists() {
        return small;
    }
    let part = small.with_extension(std::process::id().to_string());
    let done = Command::new("strip").arg("-o").arg(&part).arg(&whole).status();
    match done {
        Ok(status) if status.success() => std::fs::rename(&part, &small).map_or(whole, |()| small),
        _ => whole,
    }
}

fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

fn found(program: &str) -> PathBuf {
    find(program).unwrap_or_else(|| panic!("{program} is on every Linux machine"))
}

/// The text of a small web server; any status but 200 is an error that names it.
pub(crate) fn http(address: &str, port: u16) -> std::io::Result<String> {
    let (head, body) = http_at(address, port, "/")?;
    match head.contains(" 200 ") {
        true => Ok(body),
        false => Err(std::io::Error::other(head)),
    }
}

/// Head and body of an answer.
pub(crate) fn http_at(address: &str, port: u16, path: &str) -> std::io::Result<(String, String)> {
    let at = format!("{address}:{port}").parse().map_err(std::io::Error::other)?;
    let mut stream = TcpStream::connect_timeout(&at, Duration::from_secs(2))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: hello\r\n\r\n").as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(|| std::io::Error::other("no HTTP"))?;
    Ok((head.to_owned(), body.to_owned()))
}
