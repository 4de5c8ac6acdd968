//! Runs the machines of `trireme up` as child processes, supervised by the same core that supervises actors.
//!
//! A machine that dies is started again with back-off; stopping closes the children's standard input, waits for
//! their grace and kills what is left. No child outlives this process: each stops when its standard input ends.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::mpsc;
use trireme_core::supervision::{
    ChildId, ChildPolicy, ExitReason, Incarnation, Intensity, Seen, SupervisorCore, SupervisorEffect,
    SupervisorInput, SupervisorPolicy, WhenExceeded,
};
use trireme_core::{Core, Tick};
use trireme_dataplane::Netns;

/// How long a machine may take to stop.
const GRACE: Duration = Duration::from_secs(30);
/// Events kept while the launcher is busy.
const EVENTS_LIMIT: usize = 256;

/// One machine to run.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    /// Its name in the cluster.
    pub(crate) name: String,
    /// Arguments after the program's own name.
    pub(crate) arguments: Vec<String>,
    /// A join token for the first start, kept out of the argument list.
    pub(crate) token: Option<String>,
    /// Where its logs go.
    pub(crate) log: PathBuf,
    /// The network namespace it runs in.
    pub(crate) netns: Netns,
}

/// Something a machine did.
#[derive(Debug)]
pub(crate) enum Event {
    /// It printed a line.
    Line { name: String, line: String },
    /// It ended and will be started again after `delay`.
    Restarting { name: String, status: String, delay: Duration },
    /// All machines are down after [`Launcher::stop`].
    Finished,
}

enum Inner {
    Line { child: ChildId, line: String },
    Exited { child: ChildId, incarnation: Incarnation, status: String, clean: bool },
}

struct Running {
    incarnation: Incarnation,
    stdin: Option<ChildStdin>,
    kill: mpsc::Sender<()>,
}

/// See the module.
pub(crate) struct Launcher {
    core: SupervisorCore,
    started: Instant,
    programs: BTreeMap<ChildId, Program>,
    running: BTreeMap<ChildId, Running>,
    last_status: BTreeMap<ChildId, String>,
    sender: mpsc::Sender<Inner>,
    receiver: mpsc::Receiver<Inner>,
    pending: Vec<Event>,
}

impl Launcher {
    pub(crate) fn new(seed: u64) -> Self {
        let policy = SupervisorPolicy {
            // A machine that cannot start keeps being tried, ever more slowly; the cluster is never given up.
            intensity: Intensity { when_exceeded: WhenExceeded::BackOff, ..Intensity::default() },
            ..SupervisorPolicy::default()
        };
        let (sender, receiver) = mpsc::channel(EVENTS_LIMIT);
        let mut launcher = Self {
            core: SupervisorCore::new(policy, seed),
            started: Instant::now(),
            programs: BTreeMap::new(),
            running: BTreeMap::new(),
            last_status: BTreeMap::new(),
            sender,
            receiver,
            pending: Vec::new(),
        };
        launcher.feed(SupervisorInput::Start);
        launcher
    }

    /// Starts a machine and keeps it running.
    pub(crate) fn add(&mut self, program: Program) {
        let child = ChildId(self.programs.len() as u64);
        self.programs.insert(child, program);
        let policy = ChildPolicy { grace: GRACE, ..ChildPolicy::default() };
        self.feed(SupervisorInput::AddChild { child, policy, seen: Seen::default() });
    }

    /// Tells every machine to stop; [`Event::Finished`] follows.
    pub(crate) fn stop(&mut self) {
        self.feed(SupervisorInput::Shutdown);
    }

    /// Waits for the next thing that happens.
    pub(crate) async fn next(&mut self) -> Event {
        loop {
            if !self.pending.is_empty() {
                return self.pending.remove(0);
            }
            let wait = self.core.deadline().map(|at| at.since(self.now()));
            let deadline = async {
                match wait {
                    Some(wait) => tokio::time::sleep(wait).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = deadline => {
                    let mut out = Vec::new();
                    self.core.expire(self.now(), &mut out);
                    self.carry_out(out);
                }
                Some(inner) = self.receiver.recv() => self.take(inner),
            }
        }
    }

    fn take(&mut self, inner: Inner) {
        match inner {
            Inner::Line { child, line } => {
                let name = self.name(child);
                self.pending.push(Event::Line { name, line });
            }
            Inner::Exited { child, incarnation, status, clean } => {
                self.running.remove(&child);
                self.last_status.insert(child, status);
                let reason = if clean { ExitReason::Normal } else { ExitReason::Failed };
                self.feed(SupervisorInput::Exited { child, incarnation, reason });
            }
        }
    }

    fn feed(&mut self, input: SupervisorInput) {
        let mut out = Vec::new();
        self.core.step(self.now(), input, &mut out);
        self.carry_out(out);
    }

    fn carry_out(&mut self, effects: Vec<SupervisorEffect>) {
        for effect in effects {
            match effect {
                SupervisorEffect::Start { child, incarnation } => self.start(child, incarnation),
                SupervisorEffect::Stop { child, incarnation, .. } => {
                    if let Some(running) =
                        self.running.get_mut(&child).filter(|r| r.incarnation == incarnation)
                    {
                        running.stdin = None;
                    }
                }
                SupervisorEffect::Kill { child, incarnation } => {
                    if let Some(running) = self.running.get(&child).filter(|r| r.incarnation == incarnation) {
                        let _already = running.kill.try_send(());
                    }
                }
                SupervisorEffect::Restarting { child, delay, .. } => {
                    let status = self.last_status.get(&child).cloned().unwrap_or_default();
                    self.pending.push(Event::Restarting { name: self.name(child), status, delay });
                }
                SupervisorEffect::Finished | SupervisorEffect::Escalate { .. } => {
                    self.pending.push(Event::Finished)
                }
                SupervisorEffect::ChildFinished { .. } | SupervisorEffect::Removed { .. } => {}
            }
        }
    }

    fn start(&mut self, child: ChildId, incarnation: Incarnation) {
        let input = match self.spawn(child, incarnation) {
            Ok(running) => {
                self.running.insert(child, running);
                SupervisorInput::Started { child, incarnation }
            }
            Err(error) => {
                self.last_status.insert(child, format!("could not be started: {error:#}"));
                SupervisorInput::Exited { child, incarnation, reason: ExitReason::StartFailed }
            }
        };
        self.feed(input);
    }

    fn spawn(&self, child: ChildId, incarnation: Incarnation) -> anyhow::Result<Running> {
        let program = self.programs.get(&child).context("unknown machine")?;
        let executable = std::env::current_exe().context("cannot find this program's own file")?;
        let log = File::options()
            .create(true)
            .append(true)
            .open(&program.log)
            .with_context(|| format!("cannot write {}", program.log.display()))?;
        let mut command = Command::new(executable);
        command
            .args(&program.arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true);
        match &program.token {
            Some(token) => command.env("TRIREME_TOKEN", token),
            None => command.env_remove("TRIREME_TOKEN"),
        };
        let runtime = tokio::runtime::Handle::current();
        // A process begins where the thread is that starts it.
        let mut process = program.netns.run(|| {
            let _on_runtime = runtime.enter();
            command.spawn()
        })?;
        let stdin = process.stdin.take();
        let stdout = process.stdout.take().context("the machine's output is not piped")?;
        let (kill, killed) = mpsc::channel(1);
        tokio::spawn(read_lines(child, stdout, self.sender.clone()));
        tokio::spawn(wait(child, incarnation, process, killed, self.sender.clone()));
        Ok(Running { incarnation, stdin, kill })
    }

    fn name(&self, child: ChildId) -> String {
        self.programs.get(&child).map(|program| program.name.clone()).unwrap_or_default()
    }

    fn now(&self) -> Tick {
        Tick::ZERO + self.started.elapsed()
    }
}

async fn read_lines(child: ChildId, stdout: tokio::process::ChildStdout, sender: mpsc::Sender<Inner>) {
    let mut lines = BufReader::new(stdout).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if sender.send(Inner::Line { child, line }).await.is_err() {
            return;
        }
    }
}

async fn wait(
    child: ChildId,
    incarnation: Incarnation,
    mut process: Child,
    mut killed: mpsc::Receiver<()>,
    sender: mpsc::Sender<Inner>,
) {
    let status = tokio::select! {
        status = process.wait() => status,
        Some(()) = killed.recv() => {
            // A failed kill means that it is gone already; either way it must be reaped.
            let _gone = process.start_kill();
            process.wait().await
        }
    };
    let (status, clean) = match status {
        Ok(status) => (status.to_string(), status.success()),
        Err(error) => (format!("cannot be waited for: {error}"), false),
    };
    let _stopping = sender.send(Inner::Exited { child, incarnation, status, clean }).await;
}
