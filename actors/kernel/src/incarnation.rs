//! One life of an actor: an actix actor that drains its slot's mailbox on its arbiter.
//!
//! The actix actor runs a single future, [`Pump`], which takes controls, inputs and the timer in turns of a
//! limited budget. Every call into the behaviour is caught. However the incarnation ends, also by being
//! dropped with its arbiter, [`Life::finish`] runs once.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use actix::fut::ActorFuture;
use actix::{Actor, ActorContext, AsyncContext};
use std::sync::atomic::Ordering;
use tokio::time::Sleep;
use trireme_core::Tick;
use trireme_core::supervision::{ExitReason, Incarnation};
use trireme_faults::MailboxFault;

use crate::arbiter::ArbiterState;
use crate::context::{Context, End};
use crate::mailbox::{Control, IoEnd, Take};
use crate::panic_text::{catch, drop_each};
use crate::reply::handling;
use crate::slot::Slot;
use crate::spec::{Birth, Factory};
use crate::{Behaviour, Stopping};

/// Inputs handled in one turn before the arbiter goes on to its next actor.
const TURN_BUDGET: usize = 64;

/// An incarnation.
struct Life<B: Behaviour> {
    behaviour: Option<B>,
    cx: Context<B>,
    slot: Arc<Slot<B::Input>>,
    arbiter: Arc<ArbiterState>,
    timer: Timer,
    state: &'static str,
    /// What the actor logs carries its path and incarnation.
    span: tracing::Span,
    over: bool,
}

/// Nothing in it is pinned by others; the behaviour itself may be of any kind.
impl<B: Behaviour> Unpin for Life<B> {}

/// Builds and starts an incarnation; runs on its arbiter.
pub(crate) fn launch<B: Behaviour>(
    slot: Arc<Slot<B::Input>>,
    incarnation: Incarnation,
    arbiter: Arc<ArbiterState>,
    factory: &Factory<B>,
) {
    let now = slot.meta.shared.clock.now();
    let cx = Context::new(Arc::clone(&slot), incarnation, now);
    let mut life = Life {
        behaviour: None,
        cx,
        slot: Arc::clone(&slot),
        arbiter: Arc::clone(&arbiter),
        timer: Timer::new(),
        state: "starting",
        span: tracing::info_span!("actor", actor = %slot.meta.path, incarnation = incarnation.0),
        over: false,
    };
    arbiter.begin(slot.clone(), incarnation, now);
    // The behaviour is guarded call by call; this catches what is around it, such as its `state_name`.
    let born = life.span.clone().in_scope(|| catch(|| life.birth(factory)).unwrap_or_else(Err));
    match born {
        Ok(()) => {
            slot.meta.parent.started(slot.meta.child, incarnation);
            let _address = life.start();
        }
        Err(error) => life.finish(End { reason: ExitReason::StartFailed, error: Some(error) }),
    }
    arbiter.idle();
}

impl<B: Behaviour> Actor for Life<B> {
    type Context = actix::Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.spawn(Pump);
    }
}

impl<B: Behaviour> Drop for Life<B> {
    fn drop(&mut self) {
        self.finish(End { reason: ExitReason::Killed, error: Some("its arbiter was stopped".to_owned()) });
    }
}

/// Drives a [`Life`].
struct Pump;

impl<B: Behaviour> ActorFuture<Life<B>> for Pump {
    type Output = ();

    fn poll(
        self: Pin<&mut Self>,
        life: &mut Life<B>,
        ctx: &mut actix::Context<Life<B>>,
        task: &mut TaskContext<'_>,
    ) -> Poll<()> {
        let arbiter = Arc::clone(&life.arbiter);
        arbiter.begin(life.slot.clone(), life.cx.incarnation, life.slot.meta.shared.clock.now());
        // The behaviour is guarded call by call; this catches what is around it, such as its `label`.
        let span = life.span.clone();
        let turn = span.in_scope(|| catch(|| life.turn(task))).unwrap_or_else(|text| {
            life.finish(End { reason: ExitReason::Panic, error: Some(text) });
            Poll::Ready(())
        });
        if turn.is_ready() {
            ctx.stop();
        }
        arbiter.idle();
        turn
    }
}

/// What the pump does after one step.
enum Step {
    More,
    Wait,
    End(End),
}

impl<B: Behaviour> Life<B> {
    fn birth(&mut self, factory: &Factory<B>) -> Result<(), String> {
        let meta = &self.slot.meta;
        let birth = Birth {
            path: meta.path.clone(),
            incarnation: self.cx.incarnation,
            seed: seed_of(meta.shared.seed, meta.path.as_str(), self.cx.incarnation),
            now: self.cx.now,
        };
        let behaviour = catch(|| factory(&birth))?;
        let behaviour = self.behaviour.insert(behaviour);
        catch(|| behaviour.started(&mut self.cx))?.map_err(|error| error.0)?;
        self.note_state();
        Ok(())
    }

    fn turn(&mut self, task: &mut TaskContext<'_>) -> Poll<()> {
        if let Some(end) = self.cx.end.take() {
            self.finish(end);
            return Poll::Ready(());
        }
        for _ in 0..TURN_BUDGET {
            match self.step(task) {
                Step::More => {}
                Step::Wait => return Poll::Pending,
                Step::End(end) => {
                    self.finish(end);
                    return Poll::Ready(());
                }
            }
        }
        task.waker().wake_by_ref();
        Poll::Pending
    }

    fn step(&mut self, task: &mut TaskContext<'_>) -> Step {
        let now = self.slot.meta.shared.clock.now();
        self.cx.now = now;
        self.arbiter.tick(now);
        if self.cx.armed.is_some_and(|at| at <= now) {
            self.cx.armed = None;
            return self.guarded("timer", None, |behaviour, cx| behaviour.timer(cx));
        }
        let incarnation = self.cx.incarnation;
        let (taken, room) = {
            let mut mailbox = self.slot.mailbox.lock();
            let taken = mailbox.take(incarnation, task.waker());
            (taken, mailbox.waiting > 0)
        };
        match taken {
            Take::Input(input) => {
                if room {
                    self.slot.room.notify_one();
                }
                self.input(input, true)
            }
            Take::Control(control) => self.control(control),
            Take::Empty => self.idle(task),
            Take::Fenced => Step::End(End { reason: ExitReason::Killed, error: None }),
        }
    }

    /// Nothing to do: keep the one timer and wait.
    fn idle(&mut self, task: &mut TaskContext<'_>) -> Step {
        let shared = &self.slot.meta.shared;
        if self.timer.poll(self.cx.armed, shared, task) { Step::More } else { Step::Wait }
    }

    fn control(&mut self, control: Control<B::Input>) -> Step {
        match control {
            Control::Kill { .. } => Step::End(End { reason: ExitReason::Killed, error: None }),
            Control::Poke { .. } => self.poke(),
            Control::Stop { grace, .. } => self.stop(grace),
            Control::Report(input) => self.input(input, false),
            Control::IoEnded { id, end, .. } => {
                if !self.cx.io_ended(id) {
                    return Step::More;
                }
                match end {
                    IoEnd::Input(input) => self.input(input, false),
                    IoEnd::Nothing => Step::More,
                    IoEnd::Panicked(text) => {
                        Step::End(End { reason: ExitReason::Panic, error: Some(format!("I/O task {text}")) })
                    }
                }
            }
        }
    }

    fn stop(&mut self, grace: Duration) -> Step {
        let mut answer = Stopping::Now;
        let step = self.guarded("stop", None, |behaviour, cx| answer = behaviour.stopping(grace, cx));
        match step {
            Step::More if answer == Stopping::Now => {
                Step::End(End { reason: ExitReason::Normal, error: None })
            }
            other => other,
        }
    }

    /// Handles one input, unless a fault point says otherwise. Completions and reports are never dropped.
    fn input(&mut self, input: B::Input, may_drop: bool) -> Step {
        let label = B::label(&input);
        let meta = &self.slot.meta;
        let mut fault = None;
        if !meta.shared.faults.is_idle() {
            fault = meta.shared.faults.mailbox(meta.path.as_str(), self.cx.now);
            if matches!(fault, Some(MailboxFault::Drop)) && may_drop {
                drop(input);
                return Step::More;
            }
        }
        self.guarded(label, fault, |behaviour, cx| behaviour.handle(input, cx))
    }

    /// Passes the fault point as an input would; there is nothing to drop.
    fn poke(&mut self) -> Step {
        let meta = &self.slot.meta;
        match meta.shared.faults.mailbox(meta.path.as_str(), self.cx.now) {
            None | Some(MailboxFault::Drop) => Step::More,
            fault => self.guarded("poke", fault, |_, _| ()),
        }
    }

    /// Calls into the behaviour; a panic ends the incarnation.
    fn guarded(
        &mut self,
        label: &'static str,
        fault: Option<MailboxFault>,
        call: impl FnOnce(&mut B, &mut Context<B>),
    ) -> Step {
        self.slot.meta.notes.lock().input(label, self.cx.now);
        let Some(behaviour) = self.behaviour.as_mut() else {
            return Step::End(End { reason: ExitReason::Killed, error: None });
        };
        if matches!(fault, Some(MailboxFault::Kill)) {
            // Before the input is dropped, so that its caller learns of a restart.
            let _end_is_named = drop_each(self.slot.disown(self.cx.incarnation));
            return Step::End(End {
                reason: ExitReason::Killed,
                error: Some("killed by a fault point".to_owned()),
            });
        }
        let cx = &mut self.cx;
        let called = catch(move || {
            match fault {
                Some(MailboxFault::Panic) => panic!("fault point"),
                // Blocks on purpose: this is what a stuck handler does to its arbiter.
                Some(MailboxFault::Stall(span)) => std::thread::sleep(span),
                _ => {}
            }
            handling(|| call(behaviour, cx));
        });
        if let Err(text) = called {
            return Step::End(End {
                reason: ExitReason::Panic,
                error: Some(format!("{text}, handling {label}")),
            });
        }
        self.note_state();
        match self.cx.end.take() {
            Some(end) => Step::End(end),
            None => Step::More,
        }
    }

    fn note_state(&mut self) {
        let Some(behaviour) = &self.behaviour else { return };
        if self.arbiter.is_abandoned() {
            return;
        }
        let state = behaviour.state_name();
        if !std::ptr::eq(state, self.state) {
            self.state = state;
            self.slot.meta.notes.lock().enter(state, self.cx.now);
        }
    }

    /// Ends the incarnation: no more inputs, no I/O, no timer, no behaviour, and then the supervisor knows.
    fn finish(&mut self, end: End) {
        if self.over {
            return;
        }
        self.over = true;
        let incarnation = self.cx.incarnation;
        let left = drop_each(self.slot.disown(incarnation));
        self.cx.abort_all_io();
        self.timer.clear(&self.slot.meta.shared);
        let behaviour = self.behaviour.take();
        let dropped = left.and(catch(move || drop(behaviour)));
        let error = end.error.or(dropped.err());
        self.slot.meta.report_end(incarnation, end.reason, error);
    }
}

/// The one timer of an incarnation, counted while armed.
struct Timer {
    sleep: Option<Pin<Box<Sleep>>>,
    armed: Option<Tick>,
}

impl Timer {
    fn new() -> Self {
        Self { sleep: None, armed: None }
    }

    /// Arms for `at` and says whether that moment has come.
    fn poll(&mut self, at: Option<Tick>, shared: &crate::shared::Shared, task: &mut TaskContext<'_>) -> bool {
        let Some(at) = at else {
            self.clear(shared);
            return false;
        };
        if self.armed.is_none() {
            shared.gauges.timers.fetch_add(1, Ordering::AcqRel);
        }
        let instant = shared.clock.instant(at);
        if self.armed != Some(at) {
            match &mut self.sleep {
                Some(sleep) => sleep.as_mut().reset(instant),
                None => self.sleep = Some(Box::pin(tokio::time::sleep_until(instant))),
            }
            self.armed = Some(at);
        }
        let due = self.sleep.as_mut().is_some_and(|sleep| sleep.as_mut().poll(task).is_ready());
        if due {
            self.clear(shared);
        }
        due
    }

    fn clear(&mut self, shared: &crate::shared::Shared) {
        self.sleep = None;
        if self.armed.take().is_some() {
            shared.gauges.timers.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

/// A seed that depends on all three, the same on every machine (FNV-1a).
fn seed_of(kernel: u64, path: &str, incarnation: Incarnation) -> u64 {
    let bytes = kernel.to_le_bytes().into_iter().chain(path.bytes()).chain(incarnation.0.to_le_bytes());
    bytes.fold(0xCBF2_9CE4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3))
}
