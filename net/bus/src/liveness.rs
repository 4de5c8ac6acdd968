//! When a peer counts as silent. Pure.
//!
//! The session's heartbeat loop hosts one of these: whatever arrives from the peer counts as a sign of life, not
//! only heartbeats. Deliberate absence: it does not close anything; that a silent peer is gone is decided by
//! whoever listens (raft, the node controller) and, much later, by the transport's idle time-out.

use std::time::Duration;
use trireme_core::{Core, Tick};

/// What the shell tells the core.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LivenessInput {
    /// The session is established.
    Connected,
    /// Something was last received at this moment.
    HeardAt(Tick),
    /// The session ended.
    Disconnected,
}

/// What listeners hear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Liveness {
    /// The peer is there, for the first time or again.
    Up,
    /// Nothing was received since that moment.
    SilentSince(Tick),
    /// The session is over.
    Down,
}

/// Tells up, silent and down apart.
#[derive(Debug)]
pub struct LivenessCore {
    silent_after: Duration,
    last_heard: Tick,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Down,
    Up,
    Silent,
}

impl LivenessCore {
    /// A peer is silent when nothing arrived for `silent_after`.
    pub fn new(silent_after: Duration) -> Self {
        Self { silent_after, last_heard: Tick::from_nanos(0), state: State::Down }
    }
}

impl Core for LivenessCore {
    type Input = LivenessInput;
    type Effect = Liveness;

    fn step(&mut self, now: Tick, input: LivenessInput, out: &mut Vec<Liveness>) {
        match (input, self.state) {
            (LivenessInput::Connected, State::Down) => {
                self.last_heard = now;
                self.state = State::Up;
                out.push(Liveness::Up);
            }
            (LivenessInput::Disconnected, State::Up | State::Silent) => {
                self.state = State::Down;
                out.push(Liveness::Down);
            }
            (LivenessInput::HeardAt(at), State::Up) => self.last_heard = self.last_heard.max(at),
            (LivenessInput::HeardAt(at), State::Silent) if at > self.last_heard => {
                self.last_heard = at;
                self.state = State::Up;
                out.push(Liveness::Up);
            }
            _ => {}
        }
    }

    fn deadline(&self) -> Option<Tick> {
        (self.state == State::Up).then(|| self.last_heard + self.silent_after)
    }

    fn expire(&mut self, now: Tick, out: &mut Vec<Liveness>) {
        if self.deadline().is_some_and(|at| now >= at) {
            self.state = State::Silent;
            out.push(Liveness::SilentSince(self.last_heard));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(at: u64) -> Tick {
        Tick::from_nanos(at * 1_000_000)
    }

    #[test]
    fn up_silent_up_down() {
        let mut core = LivenessCore::new(Duration::from_secs(2));
        let mut out = Vec::new();
        core.step(ms(10), LivenessInput::Connected, &mut out);
        core.step(ms(600), LivenessInput::HeardAt(ms(500)), &mut out);
        assert_eq!(core.deadline(), Some(ms(2500)));
        core.expire(ms(2499), &mut out);
        assert_eq!(out, [Liveness::Up]);
        core.expire(ms(2500), &mut out);
        assert_eq!(out.pop(), Some(Liveness::SilentSince(ms(500))));
        assert_eq!(core.deadline(), None, "a silent peer wakes nobody");
        core.step(ms(2600), LivenessInput::HeardAt(ms(500)), &mut out);
        assert_eq!(out.len(), 1, "old news is no sign of life");
        core.step(ms(2700), LivenessInput::HeardAt(ms(2650)), &mut out);
        core.step(ms(2800), LivenessInput::Disconnected, &mut out);
        core.step(ms(2900), LivenessInput::Disconnected, &mut out);
        assert_eq!(out, [Liveness::Up, Liveness::Up, Liveness::Down]);
    }
}
