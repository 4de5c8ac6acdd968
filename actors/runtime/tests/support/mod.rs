//! A runtime on folders of its own, with a network that gives nothing but loopback.

#![allow(dead_code, reason = "each test file uses a part")]
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests, and what they stand on")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use trireme_node::{
    Answer, ContainerConfig, ContainerId, ContainerState, ContainerStatus, NetworkRequest, PodAddresses,
    PodNetwork, Runtime, RuntimeError, SandboxConfig, SandboxId,
};
use trireme_runtime::image::{BuildImage, build};
use trireme_runtime::{Builtin, BuiltinConfig, Registries};

/// How long something real may take before a test gives up on it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Turns loopback on in the pod's namespace and gives no address.
pub(crate) struct Loopback;

impl PodNetwork for Loopback {
    fn attach(&self, request: NetworkRequest) -> Answer<'_, Result<PodAddresses, RuntimeError>> {
        Box::pin(async move {
            let done = std::thread::spawn(move || {
                use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
                use std::os::fd::AsFd;
                let space = std::fs::File::open(&request.netns).unwrap();
                move_into_link_name_space(space.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
                std::process::Command::new("ip")
                    .args(["link", "set", "lo", "up"])
                    .status()
                    .is_ok_and(|s| s.success())
            });
            assert!(done.join().unwrap(), "`ip link set lo up` failed");
            Ok(PodAddresses::default())
        })
    }

    fn detach(&self, _: NetworkRequest) -> Answer<'_, Result<(), RuntimeError>> {
        Box::pin(async { Ok(()) })
    }

    fn keep_only(&self, _: Vec<String>) -> Answer<'_, Result<(), RuntimeError>> {
        Box::pin(async { Ok(()) })
    }

    fn not_ready(&self) -> Option<String> {
        None
    }
}

/// A runtime's folders; taken down with all that runs there.
pub(crate) struct Place {
    folder: tempfile::TempDir,
    group: String,
    /// Present while a runtime is open.
    pub(crate) runtime: Option<Arc<Builtin>>,
}

/// Whether tests of real containers can run; says why not.
pub(crate) fn can_run() -> bool {
    if !rustix::process::geteuid().is_root() {
        println!("SKIPPED: real containers need root");
        return false;
    }
    for program in ["/bin/sh", "/bin/sleep", "/bin/cat", "/sbin/ip", "/usr/bin/id", "/bin/ls"] {
        if !Path::new(program).exists() && !Path::new("/usr").join(&program[1..]).exists() {
            println!("SKIPPED: {program} is missing");
            return false;
        }
    }
    true
}

impl Place {
    /// A runtime with the image `tools:1`.
    pub(crate) async fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("trt-").tempdir().unwrap();
        let name = folder.path().file_name().unwrap().to_string_lossy().into_owned();
        let group = format!("trireme-test-{}-{}", std::process::id(), name.trim_start_matches("trt-"));
        let mut place = Self { folder, group, runtime: None };
        place.open().await;
        let request = BuildImage {
            tags: vec!["tools:1".into()],
            add: [
                "sh", "sleep", "cat", "ls", "id", "mkdir", "touch", "head", "tail", "readlink", "mknod",
                "stat", "chmod", "mount", "unshare", "tty", "stty", "env", "hostname", "dd", "df",
            ]
            .iter()
            .filter_map(|name| {
                let path =
                    ["/bin", "/usr/bin"].iter().map(|at| Path::new(at).join(name)).find(|path| path.exists());
                path.map(|path| (path, Some(format!("/bin/{name}"))))
            })
            .collect(),
            entrypoint: vec!["/bin/sh".into()],
            ..BuildImage::default()
        };
        let store = place.runtime().store().clone();
        tokio::task::spawn_blocking(move || build(&store, &request).unwrap()).await.unwrap();
        place
    }

    /// Opens the runtime (again).
    pub(crate) async fn open(&mut self) {
        let config = BuiltinConfig {
            data_dir: self.folder.path().join("data"),
            run_dir: self.folder.path().join("run"),
            cgroup_root: self.group.clone(),
            network: Arc::new(Loopback),
            registries: Registries::default(),
            shim_command: vec![env!("CARGO_BIN_EXE_trireme-runtime-shim").into()],
        };
        self.runtime = Some(Builtin::open(config).await.unwrap());
    }

    /// Forgets the runtime, as when its process ends.
    pub(crate) fn close(&mut self) {
        self.runtime = None;
    }

    pub(crate) fn runtime(&self) -> &Arc<Builtin> {
        self.runtime.as_ref().unwrap()
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Groups of one controller, for looking at.
    pub(crate) fn group_folder(&self, controller: &str) -> PathBuf {
        let v1 = Path::new("/sys/fs/cgroup").join(controller);
        if v1.is_dir() { v1.join(&self.group) } else { Path::new("/sys/fs/cgroup").join(&self.group) }
    }

    pub(crate) fn sandbox_config(&self, name: &str) -> SandboxConfig {
        SandboxConfig {
            name: name.into(),
            namespace: "default".into(),
            uid: format!("uid-{name}"),
            hostname: name.into(),
            log_directory: self.folder.path().join("logs").join(name).display().to_string(),
            cgroup_parent: format!("kubepods/pod-{name}"),
            ..SandboxConfig::default()
        }
    }

    pub(crate) async fn sandbox(&self, name: &str) -> SandboxId {
        self.runtime().run_sandbox(self.sandbox_config(name)).await.unwrap()
    }

    /// Makes and starts a container.
    pub(crate) async fn start(&self, sandbox: &SandboxId, config: ContainerConfig) -> ContainerId {
        let id = self.runtime().create_container(sandbox, config).await.unwrap();
        self.runtime().start_container(&id).await.unwrap();
        id
    }

    /// Waits for the end.
    pub(crate) async fn ended(&self, id: &ContainerId) -> ContainerStatus {
        let began = Instant::now();
        loop {
            let status = self.runtime().container(id).await.unwrap();
            if status.state == ContainerState::Exited {
                return status;
            }
            assert!(began.elapsed() < PATIENCE, "container {id:?} does not end: {status:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Runs a script in a container of its own to its end; gives status and log text.
    pub(crate) async fn run(
        &self,
        sandbox: &SandboxId,
        config: ContainerConfig,
    ) -> (ContainerStatus, String) {
        let id = self.start(sandbox, config).await;
        let status = self.ended(&id).await;
        let log = texts(&std::fs::read_to_string(&status.log_path).unwrap());
        (status, log)
    }

    /// What a running container says to a script.
    pub(crate) async fn say(&self, id: &ContainerId, script: &str) -> (i32, String) {
        let command = vec!["/bin/sh".into(), "-c".into(), script.into()];
        let out = self.runtime().exec_sync(id, command, PATIENCE).await.unwrap();
        let text = [out.stdout, out.stderr].concat();
        (out.exit_code, String::from_utf8_lossy(&text).trim().to_owned())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.runtime = None;
        // Whatever is left in the groups ends, shims by their folder; then groups go.
        for controller in
            ["cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "blkio", "pids", "hugetlb"]
        {
            for _ in 0..50 {
                if remove_groups(&self.group_folder(controller)) {
                    break;
                }
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        for entry in std::fs::read_dir("/proc").unwrap().flatten() {
            let Ok(pid) = entry.file_name().to_string_lossy().parse::<i32>() else { continue };
            let words = std::fs::read_to_string(entry.path().join("cmdline")).unwrap_or_default();
            if words.contains(&self.folder.path().display().to_string()) && words.contains("shim.json") {
                kill(pid);
            }
        }
    }
}

pub(crate) fn kill(pid: i32) {
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
}

fn remove_groups(folder: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(folder) else { return true };
    for entry in entries.flatten() {
        if entry.path().is_dir() {
            remove_groups(&entry.path());
        }
    }
    for pid in std::fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default().lines() {
        kill(pid.parse().unwrap());
    }
    std::fs::remove_dir(folder).is_ok()
}

/// The text of log lines, parts put together.
pub(crate) fn texts(log: &str) -> String {
    let line = |line: &str| {
        let fields: Vec<&str> = line.splitn(4, ' ').collect();
        let end = if fields[2] == "P" { "" } else { "\n" };
        format!("{}{end}", fields[3])
    };
    log.lines().map(line).collect::<String>()
}

/// A container that runs a script.
pub(crate) fn script(name: &str, text: &str) -> ContainerConfig {
    ContainerConfig {
        name: name.into(),
        image: "tools:1".into(),
        user_image: "tools:1".into(),
        args: vec!["-c".into(), text.into()],
        log_path: format!("{name}/0.log"),
        ..ContainerConfig::default()
    }
}
