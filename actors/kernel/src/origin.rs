//! What stands above the root supervisor: a task on the I/O runtime that hosts one more [`SupervisorCore`],
//! whose only child is the root, and which never gives up.
//!
//! It runs no code of others, so nothing in it can panic or stick.

use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use trireme_core::Core;
use trireme_core::supervision::{
    ChildId, ChildPolicy, ExitReason, Incarnation, Intensity, Seen, SupervisorCore, SupervisorEffect,
    SupervisorInput, SupervisorPolicy, WhenExceeded,
};

use crate::shared::Shared;
use crate::slot::{AnySlot, ExitSink};

/// The handle to the origin's task.
pub(crate) struct Origin {
    commands: mpsc::UnboundedSender<Command>,
    finished: watch::Receiver<bool>,
}

/// An origin whose root slot is still to be made.
pub(crate) struct Prepared {
    commands: mpsc::UnboundedSender<Command>,
    inbox: mpsc::UnboundedReceiver<Command>,
}

/// Bounded by what is in flight: two per incarnation of the root, and what the kernel's user asks for.
enum Command {
    Input(SupervisorInput),
    Kill,
}

struct Sink {
    commands: mpsc::UnboundedSender<Command>,
}

impl ExitSink for Sink {
    fn started(&self, child: ChildId, incarnation: Incarnation) {
        let _gone = self.commands.send(Command::Input(SupervisorInput::Started { child, incarnation }));
    }

    fn exited(&self, child: ChildId, incarnation: Incarnation, reason: ExitReason) {
        let _gone =
            self.commands.send(Command::Input(SupervisorInput::Exited { child, incarnation, reason }));
    }
}

impl Origin {
    /// `policy` with the one reaction to restarts that keeps the process alive.
    pub(crate) fn endless(policy: SupervisorPolicy) -> SupervisorPolicy {
        let intensity = Intensity { when_exceeded: WhenExceeded::BackOff, ..policy.intensity };
        SupervisorPolicy { intensity, ..policy }
    }

    pub(crate) fn prepare() -> (Prepared, Arc<dyn ExitSink>) {
        let (commands, inbox) = mpsc::unbounded_channel();
        let sink = Arc::new(Sink { commands: commands.clone() });
        (Prepared { commands, inbox }, sink)
    }

    /// Begins an orderly shutdown of the root.
    pub(crate) fn shut_down(&self) {
        let _gone = self.commands.send(Command::Input(SupervisorInput::Shutdown));
    }

    /// Kills the root, and with it everything.
    pub(crate) fn kill(&self) {
        let _gone = self.commands.send(Command::Kill);
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
        shared.io.spawn(task.run(self.inbox, done));
        Origin { commands: self.commands, finished }
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
    async fn run(mut self, mut inbox: mpsc::UnboundedReceiver<Command>, done: watch::Sender<bool>) {
        let child = ChildId(0);
        self.feed(SupervisorInput::AddChild { child, policy: self.policy, seen: Seen::default() });
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
                command = inbox.recv() => match command {
                    Some(Command::Input(input)) => self.feed(input),
                    Some(Command::Kill) => self.kill(),
                    None => true,
                },
                () = late => {
                    self.core.expire(self.clock.now(), &mut self.effects);
                    self.carry_out()
                }
            };
        }
        let _nobody_waits = done.send(true);
    }

    fn feed(&mut self, input: SupervisorInput) -> bool {
        self.core.step(self.clock.now(), input, &mut self.effects);
        self.carry_out()
    }

    fn kill(&mut self) -> bool {
        if let Some(incarnation) = self.root.meta().alive() {
            self.root.kill(incarnation);
        }
        false
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
