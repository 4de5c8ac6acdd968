//! `trireme up`: a whole cluster in the foreground. One machine runs in this process; more run as child processes.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use trireme_dataplane::Netns;
use trireme_pki::JoinRole;
use trireme_process::cluster::CreateToken;
use trireme_process::{Admin, Client, Inspect, MachineTree};

use crate::api_args::{Component, Runtime};
use crate::cli::{LogFormat, MachineArgs, ServerArgs, UpArgs};
use crate::data_dir::{self, DataDir};
use crate::launcher::{Event, Launcher, Program};
use crate::node::PodsWish;
use crate::progress::{Progress, print};
use crate::spaces::{Plan, Spaces};
use crate::{machine, signals};

/// How long a machine may take to come up the first time.
const START_LIMIT: Duration = Duration::from_secs(60);
/// Life of the tokens with which the machines of `up` join.
const TOKEN_LIFE: Duration = Duration::from_secs(600);
/// Port of machines with addresses of their own, unless --listen names one.
const DEFAULT_PORT: u16 = 6443;
/// Pause between two looks at whether every machine sees every other one.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Runs until told to stop.
pub(crate) fn run(args: &UpArgs, log: &str, format: LogFormat) -> anyhow::Result<()> {
    if args.servers == 1 && args.agents == 0 {
        return single(args, log, format);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(Up::new(args, log)?.run())
}

fn single(args: &UpArgs, log: &str, format: LogFormat) -> anyhow::Result<()> {
    crate::log::start(log, format)?;
    let machine = MachineArgs {
        config: args.config.clone(),
        data: args.data.clone(),
        node_name: Some(args.node_name.clone().unwrap_or_else(|| "s1".to_owned())),
        ready_file: args.ready_file.clone(),
        stop_on_stdin_eof: false,
    };
    machine::run_server(&ServerArgs {
        store_history: crate::durations::HISTORY_DEFAULT,
        machine,
        signing: args.signing.clone(),
        api: args.api.or_components(&Component::ALL),
        node: args.node.clone(),
        listen: args.listen,
        join: None,
        token: None,
    })
}

struct Up<'a> {
    args: &'a UpArgs,
    log: &'a str,
    root: DataDir,
    started: Instant,
    /// Where machines that run pods live.
    spaces: Option<Spaces>,
    progress: Progress,
    launcher: Launcher,
    ready: Vec<String>,
}

impl<'a> Up<'a> {
    fn new(args: &'a UpArgs, log: &'a str) -> anyhow::Result<Self> {
        if args.node_name.is_some() {
            bail!(
                "--node-name names one machine; with --servers or --agents they are called s1, s2, ... and a1, a2, ..."
            );
        }
        crate::api::check_components(&args.api.components)?;
        if args.node.demo {
            bail!(
                "--demo is for one machine that is server and node at once: leave --servers and --agents out"
            );
        }
        let named = &args.api.components;
        let on_agents = args.agents > 0 && named.is_empty() && args.api.runtime == Runtime::Builtin;
        let pods = on_agents || named.contains(&Component::Node);
        if pods {
            // Refused here, with what to do, and not by each machine.
            PodsWish::new(&args.node, &args.api.service_cidr)?;
        }
        let root = DataDir::open(&args.data.data_dir)?;
        let started = Instant::now();
        let spaces = match pods {
            false => None,
            true => {
                let plan = Plan::new(args.machine_cidr, args.servers, args.agents)?;
                Some(Spaces::open(&args.data.data_dir, plan)?)
            }
        };
        let seed = u64::from(std::process::id());
        let launcher = Launcher::new(seed);
        let progress = Progress::start();
        Ok(Self { args, log, root, started, spaces, progress, launcher, ready: Vec::new() })
    }

    async fn run(mut self) -> anyhow::Result<()> {
        let mut stop = signals::stop()?;
        let came_up = tokio::select! {
            came_up = self.come_up() => came_up,
            signal = stop.recv() => {
                self.progress.note(&format!("{signal}: stopping"));
                return self.stop().await;
            }
        };
        self.progress.finish();
        if let Err(error) = came_up {
            self.stop().await?;
            return Err(error);
        }
        let millis = self.started.elapsed().as_millis();
        if let Some(file) = &self.args.ready_file {
            trireme_process::write_whole(file, b"ready\n")
                .with_context(|| format!("cannot write {}", file.display()))?;
        }
        print(&format!("ready in {millis} ms"));
        loop {
            tokio::select! {
                event = self.launcher.next() => self.tell(event),
                signal = stop.recv() => {
                    self.progress.note(&format!("{signal}: stopping"));
                    return self.stop().await;
                }
            }
        }
    }

    /// The first server, then everybody else, then until all see each other.
    async fn come_up(&mut self) -> anyhow::Result<()> {
        self.progress.doing("starting server s1");
        self.add("s1", None, None)?;
        self.until_ready(1).await?;
        let admin = Admin::load(&data_dir::admin_folder(&self.machine_dir("s1")))?;
        admin.save(&self.root.admin())?;
        let client = Client::connect(&admin, START_LIMIT).await?;
        let mut expected = 1;
        for (role, letter, count) in
            [(JoinRole::Server, 's', self.args.servers), (JoinRole::Agent, 'a', self.args.agents)]
        {
            let first = if role == JoinRole::Server { 2 } else { 1 };
            for index in first..=count {
                let name = format!("{letter}{index}");
                self.progress.doing(format!("joining {role} {name}"));
                let joined = self.machine_dir(&name).join("machine.json").exists();
                let token = match joined {
                    true => None,
                    false => Some(client.call("cluster", CreateToken { role, lifetime: TOKEN_LIFE }).await?),
                };
                self.add(&name, token, admin.servers.first().copied())?;
                expected += 1;
            }
        }
        self.until_ready(expected).await?;
        self.progress.doing("waiting until every machine sees every other one");
        self.until_met(&client, expected).await
    }

    fn add(&mut self, name: &str, token: Option<String>, join: Option<SocketAddr>) -> anyhow::Result<()> {
        let folder = self.machine_dir(name);
        data_dir::create(&folder)?;
        let server = name.starts_with('s');
        let command = if server { "server" } else { "agent" };
        let mut arguments = vec![
            format!("--log={}", self.log),
            "--log-format=json".to_owned(),
            command.to_owned(),
            format!("--data-dir={}", folder.display()),
            format!("--node-name={name}"),
            "--stop-on-stdin-eof".to_owned(),
        ];
        if server {
            arguments.push(format!("--listen={}", self.listen(name)?));
            let life = humantime::format_duration(self.args.signing.cluster_signing_duration);
            arguments.push(format!("--cluster-signing-duration={life}"));
            arguments.extend(self.api_arguments(name));
        }
        arguments.extend(self.node_arguments(name, server)?);
        if let (Some(_), Some(join)) = (&token, join) {
            arguments.push(format!("--join={join}"));
        }
        let log = folder.join("trireme.log");
        let netns = self.spaces.as_ref().map_or(Netns::Current, |spaces| spaces.netns(name));
        self.launcher.add(Program { name: name.to_owned(), arguments, token, log, netns });
        Ok(())
    }

    /// The flags of what runs pods. Servers cut the nodes' ranges.
    fn node_arguments(&self, name: &str, server: bool) -> anyhow::Result<Vec<String>> {
        let node = &self.args.node;
        let ranges: Vec<String> = node.pod_cidr.iter().map(ToString::to_string).collect();
        let mut out = vec![format!("--pod-cidr={}", ranges.join(","))];
        let Some(spaces) = &self.spaces else {
            out.extend((!server).then(|| "--components=none".to_owned()));
            return Ok(out);
        };
        out.push(format!("--node-ip={}", spaces.address(name)?));
        out.push(format!("--cluster-domain={}", node.cluster_domain));
        out.push(format!("--eviction-hard={}", node.eviction_hard));
        out.extend(node.registries.iter().map(|file| format!("--registries={}", file.display())));
        out.extend((!server).then(|| format!("--service-cidr={}", self.args.api.service_cidr)));
        Ok(out)
    }

    /// The flags of the API server; the first server writes the kubeconfig.
    fn api_arguments(&self, name: &str) -> Vec<String> {
        let api = &self.args.api;
        let components: Vec<String> =
            api.or_components(&Component::SERVER).components.iter().map(ToString::to_string).collect();
        let mut out = vec![
            format!("--components={}", components.join(",")),
            format!("--service-cidr={}", api.service_cidr),
            format!("--authorization-mode={}", api.authorization_mode),
            format!("--max-requests-inflight={}", api.max_requests_inflight),
            format!("--max-mutating-requests-inflight={}", api.max_mutating_requests_inflight),
            format!("--request-timeout={}ms", api.request_timeout.as_millis()),
            format!("--feature-gates={}", api.feature_gates),
        ];
        out.extend(api.token_auth_file.iter().map(|file| format!("--token-auth-file={}", file.display())));
        out.extend(api.scheduler_config.iter().map(|file| format!("--scheduler-config={}", file.display())));
        if name == "s1" {
            out.extend((api.runtime == Runtime::Hollow).then(|| "--runtime=hollow".to_owned()));
            out.push(format!("--hollow-nodes={}", api.hollow_nodes));
            out.extend(api.kubeconfig.iter().map(|file| format!("--kubeconfig={}", file.display())));
        }
        out
    }

    fn listen(&self, name: &str) -> anyhow::Result<SocketAddr> {
        let mut listen = self.args.listen;
        if let Some(spaces) = &self.spaces {
            let port = if listen.port() == 0 { DEFAULT_PORT } else { listen.port() };
            return Ok(SocketAddr::new(spaces.address(name)?, port));
        }
        if listen.port() == 0 {
            return Ok(listen);
        }
        let index: u16 = name[1..].parse().context("servers are numbered")?;
        let port = listen.port().checked_add(index - 1);
        listen.set_port(
            port.with_context(|| format!("no port is left for {name} above {}", self.args.listen))?,
        );
        Ok(listen)
    }

    fn machine_dir(&self, name: &str) -> PathBuf {
        self.args.data.data_dir.join(name)
    }

    async fn until_ready(&mut self, expected: usize) -> anyhow::Result<()> {
        let wait = async {
            while self.ready.len() < expected {
                match self.launcher.next().await {
                    Event::Line { name, line } if line.starts_with("ready in ") => self.ready.push(name),
                    Event::Line { .. } => {}
                    Event::Restarting { name, status, .. } => {
                        let log = self.machine_dir(&name).join("trireme.log");
                        bail!("{name} did not start ({status}): {}", last_words(&log));
                    }
                    Event::Finished => bail!("the machines were stopped while starting"),
                }
            }
            Ok(())
        };
        match tokio::time::timeout(START_LIMIT, wait).await {
            Ok(outcome) => outcome,
            Err(_) => bail!(
                "the machines did not come up within {START_LIMIT:?}; see the logs in {}",
                self.args.data.data_dir.display()
            ),
        }
    }

    async fn until_met(&mut self, client: &Client, expected: usize) -> anyhow::Result<()> {
        let mut last = String::new();
        while self.started.elapsed() < START_LIMIT {
            match client.call("inspect", Inspect { prefix: None, everywhere: true }).await {
                Ok(trees) if met(&trees, expected) => return Ok(()),
                Ok(trees) => last = missing(&trees, expected),
                Err(error) => last = error.to_string(),
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK_AGAIN) => {}
                event = self.launcher.next() => self.tell(event),
            }
        }
        bail!("the machines do not all see each other after {START_LIMIT:?}: {last}")
    }

    fn tell(&self, event: Event) {
        match event {
            Event::Line { name, line } => self.progress.note(&format!("{name}: {line}")),
            Event::Restarting { name, status, delay } => {
                self.progress
                    .note(&format!("{name} ended ({status}); starting it again in {} ms", delay.as_millis()));
            }
            Event::Finished => {}
        }
    }

    async fn stop(&mut self) -> anyhow::Result<()> {
        self.launcher.stop();
        loop {
            if let Event::Finished = self.launcher.next().await {
                self.progress.finish();
                return self.spaces.as_ref().map_or(Ok(()), Spaces::remove);
            }
        }
    }
}

/// Every machine answers, and every server is linked to every other one.
fn met(trees: &[MachineTree], expected: usize) -> bool {
    trees.len() == expected && trees.iter().all(|tree| tree.error.is_none())
}

fn missing(trees: &[MachineTree], expected: usize) -> String {
    let silent: Vec<String> =
        trees.iter().filter_map(|tree| Some(format!("{}: {}", tree.machine, tree.error.as_ref()?))).collect();
    format!("{} of {expected} machines known; {}", trees.len(), silent.join("; "))
}

/// The last lines a machine logged, for an error message.
fn last_words(log: &Path) -> String {
    const LINES: usize = 3;
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().rev().take(LINES).collect();
    match lines.is_empty() {
        true => format!("it logged nothing; see {}", log.display()),
        false => lines.into_iter().rev().collect::<Vec<_>>().join(" | "),
    }
}
