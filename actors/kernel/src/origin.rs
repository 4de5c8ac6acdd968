//! What stands above the root supervisor: a task on the I/O runtime that hosts one more [`SupervisorCore`],
//! whose only child is the root, and which never gives up.
//!
//! It runs no code of others, so nothing in it can panic or stick.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use trireme_core::Core;
use trireme_core::supervision::{
    ChildId, ChildPolicy, ExitReason, Incarnation, Intensity, Seen, SupervisorCore, SupervisorEffect,
    SupervisorInput, SupervisorPolicy, WhenExceeded,
};

use crate::shared::Shared;
use crate::slot::{AnySlot, ExitSink};

/// The origin's only child.
const ROOT: ChildId = ChildId(0);

/// The handle to the origin's task.
pub(crate) struct Origin {
    inbox: Arc<Inbox>,
    finished: watch::Receiver<bool>,
}

/// An origin whose root slot is still to be made.
pub(crate) struct Prepared {
    inbox: Arc<Inbox>,
}

/// What waits for the origin's task. Bounded by construction: one place for each thing there is to say. The
/// root has one incarnation at a time, and the next is started only once the end of the last was taken out, so
/// nothing is overwritten that still counts.
#[derive(Default)]
struct Inbox {
    waiting: Mutex<Waiting>,
    arrived: Notify,
}

#[derive(Default)]
struct Waiting {
    shutdown: bool,
    started: Option<Incarnation>,
    exited: Option<(Incarnation, ExitReason)>,
    kill: bool,
}

impl Inbox {
    fn put(&self, put: impl FnOnce(&mut Waiting)) {
        put(&mut self.waiting.lock());
        self.arrived.notify_one();
    }

    /// Takes out what waits, or waits until there is something.
    async fn take(&self) -> Waiting {
        self.arrived.notified().await;
        std::mem::take(&mut *self.waiting.lock())
    }
}

impl ExitSink for Inbox {
    fn started(&self, _child: ChildId, incarnation: Incarnation) {
        self.put(|waiting| waiting.started = Some(incarnation));
    }

    fn exited(&self, _child: ChildId, incarnation: Incarnation, reason: ExitReason) {
        self.put(|waiting| waiting.exited = Some((incarnation, reason)));
    }
}

impl Origin {
    /// `policy` with the one reaction to restarts that keeps the process alive.
    pub(crate) fn endless(policy: SupervisorPolicy) -> SupervisorPolicy {
        let intensity = Intensity { when_exceeded: WhenExceeded::BackOff, ..policy.intensity };
        SupervisorPolicy { intensity, ..policy }
    }

    pub(crate) fn prepare() -> (Prepared, Arc<dyn ExitSink>) {
        let inbox = Arc::new(Inbox::default());
        let sink = Arc::clone(&inbox);
        (Prepared { inbox }, sink)
    }

    /// Begins an orderly shutdown of the root.
    pub(crate) fn shut_down(&self) {
        self.inbox.put(|waiting| waiting.shutdown = true);
    }

    /// Kills the root, and with it everything.
    pub(crate) fn kill(&self) {
        self.inbox.put(|waiting| waiting.kill = true);
    }

    /// Waits until the root is down for good.
    pub(crate) async fn finished(&self) {
        // An error means that the task is gone with its runtime, and with it the tree.
        let mut finished = self.finished.clone();
        let _gone = finished.wait_for(|finished| *finished).await;
    }
}

impl Prepared {
    pub(crate) fn start(self, root: Arc<dyn AnySlot>, policy: ChildPolicy, shared: &Arc<Shared>) -> Origin {
        let (done, finished) = watch::channel(false);
        let core = SupervisorCore::new(Origin::endless(SupervisorPolicy::default()), shared.seed);
        let task = Task { core, root, policy, clock: shared.clock, effects: Vec::new() };
        shared.io.spawn(task.run(Arc::clone(&self.inbox), done));
        Origin { inbox: self.inbox, finished }
    }
}

struct Task {
    core: SupervisorCore,
    root: Arc<dyn AnySlot>,
    policy: ChildPolicy,
    clock: crate::clock::Clock,
    effects: Vec<SupervisorEffect>,
}

impl Task {
    async fn run(mut self, inbox: Arc<Inbox>, done: watch::Sender<bool>) {
        self.feed(SupervisorInput::AddChild { child: ROOT, policy: self.policy, seen: Seen::default() });
        let mut over = self.feed(SupervisorInput::Start);
        while !over {
            let deadline = self.core.deadline().map(|at| self.clock.instant(at));
            let late = async {
                match deadline {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            over = tokio::select! {
                waiting = inbox.take() => self.handle(&waiting),
                () = late => {
                    self.core.expire(self.clock.now(), &mut self.effects);
                    self.carry_out()
                }
            };
        }
        let _nobody_waits = done.send(true);
    }

    /// True when the root is down for good. A shutdown goes first, so that nothing is started in vain.
    fn handle(&mut self, waiting: &Waiting) -> bool {
        let shutdown = waiting.shutdown.then_some(SupervisorInput::Shutdown);
        let started =
            waiting.started.map(|incarnation| SupervisorInput::Started { child: ROOT, incarnation });
        let exited = waiting.exited.map(|(incarnation, reason)| SupervisorInput::Exited {
            child: ROOT,
            incarnation,
            reason,
        });
        let mut over = false;
        for input in [shutdown, started, exited].into_iter().flatten() {
            over |= self.feed(input);
        }
        if waiting.kill
            && let Some(incarnation) = self.root.meta().alive()
        {
            self.root.kill(incarnation);
        }
        over
    }

    fn feed(&mut self, input: SupervisorInput) -> bool {
        self.core.step(self.clock.now(), input, &mut self.effects);
        self.carry_out()
    }

    /// True when the root is down for good.
    fn carry_out(&mut self) -> bool {
        let mut over = false;
        for effect in std::mem::take(&mut self.effects) {
            match effect {
                SupervisorEffect::Start { incarnation, .. } => Arc::clone(&self.root).start(incarnation),
                SupervisorEffect::Stop { incarnation, grace, .. } => self.root.stop(incarnation, grace),
                SupervisorEffect::Kill { incarnation, .. } => self.root.kill(incarnation),
                SupervisorEffect::Restarting { reason, delay, .. } => {
                    tracing::warn!(actor = "/", ?reason, ?delay, "restarting the root supervisor");
                }
                SupervisorEffect::Finished => over = true,
                // The root is permanent and the policy never escalates.
                SupervisorEffect::ChildFinished { .. }
                | SupervisorEffect::Removed { .. }
                | SupervisorEffect::Escalate { .. } => {}
            }
        }
        over
    }
}
