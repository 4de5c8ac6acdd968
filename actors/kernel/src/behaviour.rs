use std::time::Duration;

use thiserror::Error;

use crate::Context;

/// What an actor is: how it starts, what it does with an input, how it stops.
///
/// All methods run on the actor's arbiter, never two at a time, and must not block: an input that takes
/// longer than the progress limit of the child spec gets the actor replaced. Waiting is done by
/// [`Context::spawn_io`]. A panic in any of them ends the incarnation; the supervisor decides what follows.
/// The value itself never leaves its arbiter, so it need not be `Send`.
pub trait Behaviour: Sized + 'static {
    /// What it receives.
    type Input: Send + 'static;

    /// Called once, before the first input.
    ///
    /// # Errors
    /// An incarnation that cannot start says why; it counts as a failed start.
    fn started(&mut self, cx: &mut Context<Self>) -> Result<(), StartError> {
        let _ = cx;
        Ok(())
    }

    /// Handles one input.
    fn handle(&mut self, input: Self::Input, cx: &mut Context<Self>);

    /// Called once `cx.now()` has reached the moment armed by [`Context::arm`]; the timer is disarmed by then.
    fn timer(&mut self, cx: &mut Context<Self>) {
        let _ = cx;
    }

    /// Called when the supervisor asks the actor to stop, which has `grace` to do so before it is killed.
    fn stopping(&mut self, grace: Duration, cx: &mut Context<Self>) -> Stopping {
        let _ = (grace, cx);
        Stopping::Now
    }

    /// The name of the state it is in, for introspection. Read after every input.
    fn state_name(&self) -> &'static str {
        "running"
    }

    /// The name of an input, for the ring of last inputs. Must be cheap: called once per input.
    fn label(input: &Self::Input) -> &'static str {
        let _ = input;
        "input"
    }
}

/// The answer to a request to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopping {
    /// Stop now; what is left in the mailbox stays there for the next incarnation, if there will be one.
    Now,
    /// Go on with inputs until the actor calls [`Context::stop`], or its grace is over and it is killed.
    Later,
}

/// Why an incarnation cannot start.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct StartError(pub String);
