use std::time::Duration;

use trireme_core::Core;

use crate::{Behaviour, Context, StartError, Stopping};

/// How the effects of a pure core are carried out.
pub trait Perform<C>: Sized + 'static
where
    C: Core + 'static,
    C::Input: Send + 'static,
{
    /// Carries out one effect. I/O goes through [`Context::spawn_io`], whose completion is an input that
    /// names the effect's id.
    fn perform(&mut self, effect: C::Effect, cx: &mut Context<CoreHost<C, Self>>);

    /// Called once, before the first input; an input returned here is the core's first.
    ///
    /// # Errors
    /// An incarnation that cannot start says why.
    fn started(&mut self, cx: &mut Context<CoreHost<C, Self>>) -> Result<Option<C::Input>, StartError> {
        let _ = cx;
        Ok(None)
    }

    /// Called when the supervisor asks the actor to stop. `None` stops at once; an input goes to the core,
    /// and the actor runs on until `perform` calls [`Context::stop`] or the grace is over.
    fn stopping(&mut self, grace: Duration) -> Option<C::Input> {
        let _ = grace;
        None
    }

    /// The name of the core's state, for introspection.
    fn state_name(&self, core: &C) -> &'static str {
        let _ = core;
        "running"
    }

    /// The name of an input, for introspection.
    fn label(input: &C::Input) -> &'static str {
        let _ = input;
        "input"
    }
}

/// Hosts a pure core as an actor: steps it, carries out its effects in order, and keeps exactly one timer,
/// armed for the core's earliest deadline.
pub struct CoreHost<C: Core, D> {
    core: C,
    perform: D,
    effects: Vec<C::Effect>,
}

impl<C: Core, D> CoreHost<C, D> {
    /// A host for `core`, whose effects `perform` carries out.
    pub fn new(core: C, perform: D) -> Self {
        Self::with_effects(core, perform, Vec::new())
    }

    /// A host for a core that was stepped before; `effects` are carried out at the start.
    pub fn with_effects(core: C, perform: D, effects: Vec<C::Effect>) -> Self {
        Self { core, perform, effects }
    }
}

impl<C, D> CoreHost<C, D>
where
    C: Core + 'static,
    C::Input: Send + 'static,
    D: Perform<C>,
{
    fn feed(&mut self, input: C::Input, cx: &mut Context<Self>) {
        self.core.step(cx.now(), input, &mut self.effects);
        self.carry_out(cx);
    }

    fn carry_out(&mut self, cx: &mut Context<Self>) {
        let mut effects = std::mem::take(&mut self.effects);
        for effect in effects.drain(..) {
            self.perform.perform(effect, cx);
        }
        self.effects = effects;
        match self.core.deadline() {
            Some(at) => cx.arm(at),
            None => cx.disarm(),
        }
    }
}

impl<C, D> Behaviour for CoreHost<C, D>
where
    C: Core + 'static,
    C::Input: Send + 'static,
    D: Perform<C>,
{
    type Input = C::Input;

    fn started(&mut self, cx: &mut Context<Self>) -> Result<(), StartError> {
        match self.perform.started(cx)? {
            Some(input) => self.feed(input, cx),
            None => self.carry_out(cx),
        }
        Ok(())
    }

    fn handle(&mut self, input: C::Input, cx: &mut Context<Self>) {
        self.feed(input, cx);
    }

    fn timer(&mut self, cx: &mut Context<Self>) {
        if self.core.deadline().is_some_and(|at| at <= cx.now()) {
            self.core.expire(cx.now(), &mut self.effects);
        }
        self.carry_out(cx);
    }

    fn stopping(&mut self, grace: Duration, cx: &mut Context<Self>) -> Stopping {
        let Some(input) = self.perform.stopping(grace) else { return Stopping::Now };
        self.feed(input, cx);
        Stopping::Later
    }

    fn state_name(&self) -> &'static str {
        self.perform.state_name(&self.core)
    }

    fn label(input: &C::Input) -> &'static str {
        D::label(input)
    }
}
