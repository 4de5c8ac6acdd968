//! [`PodActor`]: the shell of one pod's worker, at `pod/<uid>` below the kubelet.
//!
//! It feeds the worker with the pod as it is wanted (from [`Shared`], so the latest always wins), carries out its
//! operations as I/O tasks, and keeps its one timer. It is restarted when it fails and begins anew from the runtime.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use trireme_core::{Core, OpId, Tick};
use trireme_kernel::supervision::RestartMode;
use trireme_kernel::{ActorSpec, Address, Behaviour, Context, IoId, StartError};
use trireme_kubelet_core::backoff::BackOffLimits;
use trireme_kubelet_core::worker::{OpOutcome, PodEffect, PodInput, PodWorker, WorkerConfig};

use crate::clock::tick_now;
use crate::ops;
use crate::shared::Shared;
use crate::source::SourceMessage;

/// Inputs that may wait; each is only a wake-up.
const MAILBOX: usize = 256;
/// A worker that is busy this long with one input is replaced.
const PROGRESS_LIMIT: Duration = Duration::from_secs(10);

/// What a pod's worker is told.
#[derive(Debug)]
pub(crate) enum PodMessage {
    /// The pod's entry changed.
    Sync,
    /// The runtime told of a change.
    Changed,
    /// Bring volumes up to date.
    Refresh,
    /// The mirror is gone: write the status again.
    StatusLost,
    /// An operation ended.
    Done(OpId, Box<OpOutcome>),
}

/// The shell of one pod's worker.
pub(crate) struct PodActor {
    shared: Arc<Shared>,
    uid: String,
    source: Address<SourceMessage>,
    core: PodWorker,
    open: BTreeMap<OpId, IoId>,
    /// The wall clock at the kernel's `begun`, so that time in the worker never goes back.
    wall: Tick,
    begun: Tick,
}

pub(crate) fn spec(shared: &Arc<Shared>, uid: &str, source: Address<SourceMessage>) -> ActorSpec<PodActor> {
    let (shared, uid) = (Arc::clone(shared), uid.to_owned());
    let name = format!("pod/{uid}");
    ActorSpec::new(name, move |birth| {
        let pod = shared.entry(&uid).unwrap_or_default().pod;
        PodActor {
            core: PodWorker::new(worker_config(&shared), pod),
            shared: Arc::clone(&shared),
            uid: uid.clone(),
            source: source.clone(),
            open: BTreeMap::new(),
            wall: tick_now(),
            begun: birth.now,
        }
    })
    .restart(RestartMode::Transient)
    .mailbox(MAILBOX)
    .progress_limit(PROGRESS_LIMIT)
}

fn worker_config(shared: &Shared) -> WorkerConfig {
    let facts = shared.facts();
    WorkerConfig {
        runtime_scheme: shared.runtime_scheme(),
        host_ips: facts.host_ips.clone(),
        crash: BackOffLimits::UPSTREAM,
        pull: BackOffLimits::UPSTREAM,
        volume_refresh: shared.config.volume_refresh,
        relist: shared.config.relist,
        allocatable: (facts.allocatable.cpu_milli, facts.allocatable.memory_bytes),
        recursive_read_only_mounts: shared.runtime.features().recursive_read_only_mounts,
    }
}

impl Behaviour for PodActor {
    type Input = PodMessage;

    fn started(&mut self, cx: &mut Context<Self>) -> Result<(), StartError> {
        self.sync(cx);
        Ok(())
    }

    fn handle(&mut self, input: PodMessage, cx: &mut Context<Self>) {
        match input {
            PodMessage::Sync => self.sync(cx),
            PodMessage::Changed => self.step(PodInput::Changed, cx),
            PodMessage::Refresh => self.step(PodInput::RefreshVolumes, cx),
            PodMessage::StatusLost => self.step(PodInput::StatusLost, cx),
            PodMessage::Done(id, outcome) => {
                self.open.remove(&id);
                self.step(PodInput::OpDone(id, *outcome), cx);
            }
        }
    }

    fn timer(&mut self, cx: &mut Context<Self>) {
        let mut effects = Vec::new();
        self.core.expire(self.now(cx), &mut effects);
        self.perform(effects, cx);
    }

    fn state_name(&self) -> &'static str {
        self.core.state_name()
    }

    fn label(input: &PodMessage) -> &'static str {
        match input {
            PodMessage::Sync => "sync",
            PodMessage::Changed => "changed",
            PodMessage::Refresh => "refresh",
            PodMessage::StatusLost => "status lost",
            PodMessage::Done(..) => "done",
        }
    }
}

impl PodActor {
    fn now(&self, cx: &Context<Self>) -> Tick {
        self.wall + cx.now().since(self.begun)
    }

    fn sync(&mut self, cx: &mut Context<Self>) {
        let Some(entry) = self.shared.entry(&self.uid) else {
            return self.step(PodInput::Removed, cx);
        };
        if let Some(rejection) = entry.rejection {
            self.step(PodInput::Reject { reason: rejection.reason, message: rejection.message }, cx);
        }
        if let Some(ending) = entry.ending {
            self.step(PodInput::End(ending), cx);
        }
        self.step(PodInput::Desired(entry.pod), cx);
        if entry.removed {
            self.step(PodInput::Removed, cx);
        }
    }

    fn step(&mut self, input: PodInput, cx: &mut Context<Self>) {
        let mut effects = Vec::new();
        self.core.step(self.now(cx), input, &mut effects);
        self.perform(effects, cx);
    }

    fn perform(&mut self, effects: Vec<PodEffect>, cx: &mut Context<Self>) {
        for effect in effects {
            match effect {
                PodEffect::Start(id, op) => {
                    let (shared, pod) = (Arc::clone(&self.shared), Arc::clone(self.core.pod()));
                    let sandbox = self.core.ready_sandbox().cloned();
                    let label = op.label();
                    let uid = self.uid.clone();
                    let work = async move {
                        let begun = tokio::time::Instant::now();
                        let outcome = ops::carry_out(&shared, &pod, sandbox, op).await;
                        let micros = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
                        tracing::debug!(target: "trireme_kubelet::times", uid, what = label, micros, "done");
                        PodMessage::Done(id, Box::new(outcome))
                    };
                    match cx.spawn_io(work) {
                        Ok(io) => drop(self.open.insert(id, io)),
                        // The worker's own limit is below the actor's; a restart begins anew.
                        Err(error) => return cx.fail(format!("{label}: {error}")),
                    }
                }
                PodEffect::Abort(id) => {
                    if let Some(io) = self.open.remove(&id) {
                        cx.abort_io(io);
                    }
                }
                PodEffect::Event { warning, reason, message, field_path } => {
                    let pod = self.core.pod();
                    self.shared.events.pod(pod, field_path.as_deref(), warning, reason, message);
                }
                PodEffect::Finished => self.finish(cx),
            }
        }
        match self.core.deadline() {
            Some(at) => cx.arm(cx.now() + at.since(self.now(cx))),
            None => cx.disarm(),
        }
    }

    fn finish(&mut self, cx: &mut Context<Self>) {
        let (source, uid) = (self.source.clone(), self.uid.clone());
        // The source takes this actor away once it has heard of it; until then nothing is left to do here.
        let told = cx.spawn_task(async move {
            while source
                .send_wait(SourceMessage::Finished(uid.clone()), Duration::from_secs(5))
                .await
                .is_err()
            {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        });
        if let Err(error) = told {
            cx.fail(error.to_string());
        }
    }
}
