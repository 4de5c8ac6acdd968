//! [`Server`]: what a shim does when it is asked.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Notify, broadcast};
use tokio::task::spawn_local;

use crate::image::files::write_atomically;
use crate::low::cgroup::{GroupFiles, kill_listed, oom_kills};
use crate::shim::children::{Child, Children, Ended};
use crate::shim::console::Console;
use crate::shim::log::{CriLog, Stream};
use crate::shim::process;
use crate::shim::protocol::{
    Call, Failure, FailureKind, Reply, Request, ShimEvent, ShimState, VERSION, read_frame, receive, send,
};
use crate::shim::spec::{
    ContainerSpec, EXIT_FILE, ExitRecord, PidSpace, ProcessSpec, START_FILE, SandboxSpec, StartRecord,
    now_nanos,
};
use crate::shim::streams::stream_exec;

/// Containers of one pod, restarts included, until they are removed with it.
const CONTAINERS_LIMIT: usize = 10_000;
/// Events that wait for a slow watcher.
const EVENTS_LIMIT: usize = 1_024;
/// How long output is waited for after a process ended, when someone else holds its pipe open.
pub(super) const DRAIN: Duration = Duration::from_secs(2);
/// Exit code of a container that could not start, as containerd has it.
const CANNOT_START_CODE: i32 = 128;

pub(super) struct Container {
    child: Rc<Child>,
    console: Console,
    start: StartRecord,
    exit: Option<ExitRecord>,
    group: GroupFiles,
    own_pids: bool,
    pub(super) stdin_once: bool,
}

/// A shim at work.
pub(crate) struct Server {
    spec: SandboxSpec,
    children: Children,
    pause: Rc<Child>,
    pub(super) containers: RefCell<BTreeMap<String, Container>>,
    events: broadcast::Sender<ShimEvent>,
    pub(crate) over: Notify,
}

impl Server {
    pub(crate) fn new(spec: SandboxSpec, children: Children, pause: Child) -> Rc<Self> {
        let (events, _) = broadcast::channel(EVENTS_LIMIT);
        let pause = Rc::new(pause);
        let containers = RefCell::new(BTreeMap::new());
        let server = Rc::new(Self { spec, children, pause, containers, events, over: Notify::new() });
        let watcher = server.clone();
        spawn_local(async move { watcher.watch_pause().await });
        server
    }

    async fn watch_pause(&self) {
        let Ended { code, signal, at } = self.pause.ended().await;
        let record =
            ExitRecord { code, signal, at, out_of_memory: false, reason: None, message: String::new() };
        self.record(&self.spec.folder.join(EXIT_FILE), &record);
        let _ = self.events.send(ShimEvent::PauseExited);
    }

    /// Serves one connection.
    pub(crate) async fn serve(self: Rc<Self>, stream: UnixStream) {
        let (mut from, mut to) = stream.into_split();
        let call: Call = match receive(&mut from).await {
            Ok(call) => call,
            Err(error) => {
                let failure = Failure::new(FailureKind::Invalid, format!("the call cannot be read: {error}"));
                let _ = send(&mut to, &Reply::Failed(failure)).await;
                return;
            }
        };
        let done = if call.version > VERSION {
            let text = format!("this shim speaks version {VERSION} of its protocol, not {}", call.version);
            send(&mut to, &Reply::Failed(Failure::new(FailureKind::Invalid, text))).await
        } else {
            self.answer(call.request, from, &mut to).await
        };
        if let Err(error) = done {
            tracing::debug!(%error, "a connection broke");
        }
    }

    async fn answer(
        self: &Rc<Self>,
        request: Request,
        from: OwnedReadHalf,
        to: &mut OwnedWriteHalf,
    ) -> io::Result<()> {
        let reply = match request {
            Request::Watch => return self.watch(from, to).await,
            Request::Exec { container, process, stdin, stdout, stderr } => {
                match self.exec(&container, &process, (stdin, stdout, stderr)).await {
                    Ok((child, console, output)) => {
                        send(to, &Reply::Streaming).await?;
                        return stream_exec(&child, &console, output, from, to).await;
                    }
                    Err(failure) => Reply::Failed(failure),
                }
            }
            Request::Attach { container, stdin, stdout, stderr } => {
                return self.attach(&container, (stdin, stdout, stderr), from, to).await;
            }
            Request::Start(spec) => match self.start(*spec).await {
                Ok(record) => Reply::Started(record),
                Err(failure) => Reply::Failed(failure),
            },
            Request::Signal { container, signal, all } => reply_of(self.signal(&container, signal, all)),
            Request::ReopenLog { container } => reply_of(self.reopen(&container)),
            Request::Shutdown => {
                self.shut_down().await;
                send(to, &Reply::Done).await?;
                self.over.notify_one();
                return Ok(());
            }
        };
        send(to, &reply).await
    }

    async fn watch(&self, mut from: OwnedReadHalf, to: &mut OwnedWriteHalf) -> io::Result<()> {
        let mut events = self.events.subscribe();
        let state = self.state();
        send(to, &Reply::State(state)).await?;
        loop {
            tokio::select! {
                event = events.recv() => match event {
                    Ok(event) => send(to, &Reply::Event(event)).await?,
                    // Whoever missed something connects anew and sees the state.
                    Err(_) => return Ok(()),
                },
                _ = read_frame(&mut from) => return Ok(()),
            }
        }
    }

    fn state(&self) -> ShimState {
        let containers = self.containers.borrow();
        let all = containers.iter().map(|(id, one)| (id.clone(), one.start.clone(), one.exit.clone()));
        let pause_pid = if self.pause.has_ended() { 0 } else { number(self.pause.pid) };
        ShimState { pause_pid, containers: all.collect() }
    }

    async fn start(self: &Rc<Self>, spec: ContainerSpec) -> Result<StartRecord, Failure> {
        if let Some(known) = self.containers.borrow().get(&spec.id) {
            return Ok(known.start.clone());
        }
        if self.containers.borrow().len() >= CONTAINERS_LIMIT {
            let text = format!("a pod has at most {CONTAINERS_LIMIT} containers, restarts included");
            return Err(Failure::new(FailureKind::Unavailable, text));
        }
        let log = spec.log.clone().map(CriLog::open).transpose();
        let started = match log {
            Ok(log) => {
                let console = Console::new(log);
                let target = match &spec.pid {
                    PidSpace::Container(id) => self.running(id).map(|(child, ..)| child),
                    _ => None,
                };
                let of = target.as_deref();
                let started =
                    process::start_container(&self.children, &spec, &self.pause, of, &console).await;
                started.map(|started| (started, console))
            }
            Err(error) => Err(format!("cannot open the log file: {error}")),
        };
        match started {
            Ok((started, console)) => Ok(self.started(&spec, started, console)),
            Err(why) => {
                let message = format!("failed to start container: unable to start container process: {why}");
                let record = ExitRecord {
                    code: CANNOT_START_CODE,
                    signal: 0,
                    at: now_nanos(),
                    out_of_memory: false,
                    reason: Some("ContainerCannotRun".to_owned()),
                    message: message.clone(),
                };
                self.record(&spec.folder.join(EXIT_FILE), &record);
                Err(Failure::new(FailureKind::CannotStart, message))
            }
        }
    }

    fn started(
        self: &Rc<Self>,
        spec: &ContainerSpec,
        started: process::Started,
        console: Console,
    ) -> StartRecord {
        let process::Started { child, user } = started;
        let start = StartRecord {
            pid: number(child.pid),
            at: now_nanos(),
            uid: user.uid,
            gid: user.gid,
            groups: user.groups,
        };
        self.record(&spec.folder.join(START_FILE), &start);
        let container = Container {
            child: child.clone(),
            console: console.clone(),
            start: start.clone(),
            exit: None,
            group: spec.group.clone(),
            own_pids: spec.pid == PidSpace::Own,
            stdin_once: spec.stdin_once,
        };
        self.containers.borrow_mut().insert(spec.id.clone(), container);
        let _ = self.events.send(ShimEvent::Started { container: spec.id.clone(), record: start.clone() });
        let (server, id, folder) = (self.clone(), spec.id.clone(), spec.folder.clone());
        spawn_local(async move { server.wait(&id, &folder, child, console).await });
        start
    }

    async fn wait(&self, id: &str, folder: &Path, child: Rc<Child>, console: Console) {
        let Ended { code, signal, at } = child.ended().await;
        let (group, own_pids) = match self.containers.borrow().get(id) {
            Some(one) => (one.group.clone(), one.own_pids),
            None => return,
        };
        if !own_pids && let Some(procs) = group.procs.first() {
            // Its processes share a namespace that lives on; they end with it all the same.
            kill_listed(procs);
        }
        if tokio::time::timeout(DRAIN, console.drained()).await.is_err() {
            tracing::warn!(container = id, "output is still held open after the end");
        }
        console.close();
        let out_of_memory = code != 0 && group.oom.as_deref().is_some_and(|file| oom_kills(file) > 0);
        let record = ExitRecord { code, signal, at, out_of_memory, reason: None, message: String::new() };
        self.record(&folder.join(EXIT_FILE), &record);
        if let Some(one) = self.containers.borrow_mut().get_mut(id) {
            one.exit = Some(record.clone());
        }
        let _ = self.events.send(ShimEvent::Exited { container: id.to_owned(), record });
    }

    fn record<T: serde::Serialize>(&self, path: &Path, record: &T) {
        let bytes = serde_json::to_vec(record).expect("records are plain data");
        if let Err(error) = write_atomically(path, &bytes) {
            tracing::error!(%error, "a record is lost if this shim ends before it is read");
        }
    }

    fn running(&self, id: &str) -> Option<(Rc<Child>, GroupFiles, Console)> {
        let containers = self.containers.borrow();
        let one = containers.get(id).filter(|one| !one.child.has_ended())?;
        Some((one.child.clone(), one.group.clone(), one.console.clone()))
    }

    pub(super) fn need_running(&self, id: &str) -> Result<(Rc<Child>, GroupFiles, Console), Failure> {
        let found = self.running(id);
        found.ok_or_else(|| Failure::new(FailureKind::NotFound, format!("container {id} is not running")))
    }

    fn signal(&self, id: &str, signal: i32, all: bool) -> Result<(), Failure> {
        let Some((child, group, _)) = self.running(id) else { return Ok(()) };
        if all && signal == libc::SIGKILL {
            group.procs.iter().take(1).for_each(|procs| kill_listed(procs));
        }
        let failed =
            |error| Failure::new(FailureKind::Unavailable, format!("cannot signal container {id}: {error}"));
        child.signal(signal).map_err(failed)
    }

    fn reopen(&self, id: &str) -> Result<(), Failure> {
        let (_, _, console) = self.need_running(id)?;
        let failed =
            |error| Failure::new(FailureKind::Unavailable, format!("cannot reopen the log of {id}: {error}"));
        console.reopen_log().map_err(failed)
    }

    async fn exec(
        &self,
        id: &str,
        process: &ProcessSpec,
        wanted: (bool, bool, bool),
    ) -> Result<(Rc<Child>, Console, tokio::sync::mpsc::Receiver<(Stream, Vec<u8>)>), Failure> {
        let (target, group, _) = self.need_running(id)?;
        let console = Console::new(None);
        // Before the first byte is read.
        let started = {
            let attached = console.attach_early();
            let started =
                process::start_exec(&self.children, process, &target, &group.procs, wanted, &console).await;
            started.map(|started| (started.child, attached))
        };
        match started {
            Ok((child, output)) => Ok((child, console, output)),
            Err(why) => {
                let text = format!("failed to exec in container: unable to start container process: {why}");
                Err(Failure::new(FailureKind::CannotStart, text))
            }
        }
    }

    async fn shut_down(&self) {
        let mut events = self.events.subscribe();
        let running: Vec<String> = self.containers.borrow().keys().cloned().collect();
        let mut children = Vec::new();
        for id in running {
            // What is gone needs no signal.
            let _ = self.signal(&id, libc::SIGKILL, true);
            children.extend(self.running(&id).map(|(child, ..)| child));
        }
        for child in children {
            child.ended().await;
        }
        // Their ends are on disk before anybody hears that all is over.
        while self.containers.borrow().values().any(|one| one.exit.is_none()) {
            // A lag only means that more has happened.
            let _ = events.recv().await;
        }
        let _ = self.pause.signal(libc::SIGKILL);
        self.pause.ended().await;
    }
}

fn reply_of(done: Result<(), Failure>) -> Reply {
    done.map_or_else(Reply::Failed, |()| Reply::Done)
}

fn number(pid: libc::pid_t) -> u32 {
    u32::try_from(pid).unwrap_or(0)
}
