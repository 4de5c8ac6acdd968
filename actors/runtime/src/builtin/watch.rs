//! Following a shim: its events keep memory right; its loss ends what it kept.

use std::time::Duration;

use tokio::net::UnixStream;
use trireme_node::{ContainerId, RuntimeEvent, RuntimeEventKind, SandboxId};

use super::Builtin;
use super::records::Phase;
use super::shim_client::ShimClient;
use crate::fail::{Outcome, unavailable};
use crate::shim::protocol::{Reply, Request, ShimEvent, ShimState, receive};
use crate::shim::spec::{EXIT_FILE, ExitRecord, now_nanos};

/// Between tries to reach a shim that lives but does not answer.
const RETRY_PAUSE: Duration = Duration::from_millis(200);
/// Exit code of what nobody saw end, as after SIGKILL.
const LOST_CODE: i32 = 137;

impl Builtin {
    /// Follows a sandbox' shim until the sandbox is stopped or the runtime goes.
    pub(super) fn follow(&self, sandbox: &str, first: Option<UnixStream>) {
        let (weak, sandbox) = (self.weak.clone(), sandbox.to_owned());
        tokio::spawn(async move {
            let mut stream = first;
            loop {
                if let Some(stream) = stream.take() {
                    hear_events(&weak, &sandbox, stream).await;
                }
                let Some(runtime) = weak.upgrade() else { return };
                let Some(socket) = runtime.socket_of_ready(&sandbox) else { return };
                let shim = ShimClient::new(&socket);
                match runtime.meet(&sandbox, &shim).await {
                    Ok(met) => stream = Some(met),
                    Err(_) if shim.is_gone().await => {
                        runtime.shim_lost(&sandbox);
                        return;
                    }
                    Err(error) => {
                        tracing::warn!(sandbox, %error, "a shim does not answer");
                        drop(runtime);
                        tokio::time::sleep(RETRY_PAUSE).await;
                    }
                }
            }
        });
    }

    fn socket_of_ready(&self, sandbox: &str) -> Option<std::path::PathBuf> {
        let state = self.state.lock();
        let record = state.sandbox(sandbox).ok()?;
        (record.phase == Phase::Ready).then(|| record.socket.clone())
    }

    /// Connects to a shim and takes over what it knows; events follow on the connection.
    pub(super) async fn meet(&self, sandbox: &str, shim: &ShimClient) -> Outcome<UnixStream> {
        let (stream, reply) = shim.open(Request::Watch).await?;
        let Reply::State(state) = reply else { return Err(unavailable("a shim answered something else")) };
        self.take_over(sandbox, state);
        Ok(stream)
    }

    fn take_over(&self, sandbox: &str, theirs: ShimState) {
        for (id, start, exit) in theirs.containers {
            self.happened(sandbox, ShimEvent::Started { container: id.clone(), record: start });
            if let Some(record) = exit {
                self.happened(sandbox, ShimEvent::Exited { container: id, record });
            }
        }
        if theirs.pause_pid == 0 {
            self.happened(sandbox, ShimEvent::PauseExited);
        }
    }

    /// Takes an event in; one that is known already changes nothing.
    pub(super) fn happened(&self, sandbox: &str, event: ShimEvent) {
        let mut state = self.state.lock();
        let (container, kind) = match event {
            ShimEvent::Started { container, record } => match state.containers.get_mut(&container) {
                Some(entry) if entry.start.is_none() => {
                    entry.start = Some(record);
                    (Some(container), RuntimeEventKind::Started)
                }
                _ => return,
            },
            ShimEvent::Exited { container, record } => match state.containers.get_mut(&container) {
                Some(entry) if entry.exit.is_none() => {
                    entry.set_exit(record);
                    (Some(container), RuntimeEventKind::Stopped)
                }
                _ => return,
            },
            ShimEvent::PauseExited => match state.sandbox(sandbox).map(|record| record.phase) {
                Ok(Phase::Ready) => {
                    // Containers in its namespaces live on until the kubelet stops the sandbox.
                    if let Some(record) = state.set_phase(sandbox, Phase::Stopped)
                        && let Err(error) = self.layout.save_sandbox(&record)
                    {
                        tracing::error!(sandbox, %error, "cannot write that a sandbox stopped");
                    }
                    (None, RuntimeEventKind::Stopped)
                }
                _ => return,
            },
        };
        drop(state);
        self.tell(sandbox, container, kind);
    }

    /// Tells listeners.
    pub(super) fn tell(&self, sandbox: &str, container: Option<String>, kind: RuntimeEventKind) {
        let pod_uid =
            self.state.lock().sandbox(sandbox).map(|record| record.config.uid.clone()).unwrap_or_default();
        let event = RuntimeEvent {
            kind,
            sandbox: SandboxId(sandbox.to_owned()),
            pod_uid,
            container: container.map(ContainerId),
        };
        // Nobody may be listening.
        let _ = self.events.send(event);
    }

    /// A shim was killed: what it kept is ended, because nobody could tell how it ends.
    pub(super) fn shim_lost(&self, sandbox: &str) {
        let (group, containers) = {
            let state = self.state.lock();
            let Ok(record) = state.sandbox(sandbox) else { return };
            let groups: Vec<_> = state.containers_of(sandbox);
            (record.group(), groups)
        };
        tracing::warn!(sandbox, "a sandbox lost its shim; its processes are ended");
        self.cgroups.kill(&group);
        for id in containers {
            self.settle_lost(sandbox, &id);
        }
        self.happened(sandbox, ShimEvent::PauseExited);
    }

    /// The end of a container whose shim is gone: what it wrote down, else that nobody saw it.
    pub(super) fn settle_lost(&self, sandbox: &str, id: &str) {
        let group = match self.state.lock().container(id) {
            Ok(entry) if entry.exit.is_none() => entry.record.group.clone(),
            _ => return,
        };
        self.cgroups.kill(&group);
        let (start, exit) = self.layout.life(sandbox, id);
        let Some(start) = start else { return };
        self.happened(sandbox, ShimEvent::Started { container: id.to_owned(), record: start });
        let record = exit.unwrap_or_else(|| {
            let record = ExitRecord {
                code: LOST_CODE,
                signal: 0,
                at: now_nanos(),
                out_of_memory: false,
                reason: None,
                message: "its shim ended unexpectedly; the container was ended with it".to_owned(),
            };
            let path = self.layout.container(sandbox, id).join(EXIT_FILE);
            if let Err(error) = super::records::save(&path, &record) {
                tracing::error!(container = id, %error, "cannot write how a container ended");
            }
            record
        });
        self.happened(sandbox, ShimEvent::Exited { container: id.to_owned(), record });
    }
}

async fn hear_events(weak: &std::sync::Weak<Builtin>, sandbox: &str, mut stream: UnixStream) {
    while let Ok(Reply::Event(event)) = receive(&mut stream).await {
        let Some(runtime) = weak.upgrade() else { return };
        runtime.happened(sandbox, event);
    }
}
