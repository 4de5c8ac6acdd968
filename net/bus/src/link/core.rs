//! The decisions of a link. Pure.

use super::{Claim, preferred};
use std::net::SocketAddr;
use std::time::Duration;
use trireme_core::{Core, Rng, Tick};

/// How a link dials.
#[derive(Debug, Clone, Copy)]
pub struct LinkLimits {
    /// Wait after the first failure.
    pub first_wait: Duration,
    /// Longest wait; doubled up to here.
    pub longest_wait: Duration,
    /// Waits vary by this much, in percent.
    pub jitter_percent: u8,
}

impl Default for LinkLimits {
    fn default() -> Self {
        Self {
            first_wait: Duration::from_millis(50),
            longest_wait: Duration::from_secs(5),
            jitter_percent: 30,
        }
    }
}

/// What a link hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkInput {
    /// Where the peer can be dialled; empty when it dials us.
    Addresses(Vec<SocketAddr>),
    /// All live sessions with the peer that are not draining.
    Sessions(Vec<Claim>),
    /// The dial with this number ended; established sessions are told by [`LinkInput::Sessions`].
    DialEnded {
        /// The number.
        dial: u64,
        /// Why it failed.
        failed: bool,
    },
}

/// What a link wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkEffect {
    /// Connect to the peer.
    Dial {
        /// Number of the attempt.
        dial: u64,
        /// Where.
        to: SocketAddr,
    },
    /// Give up the attempt, if it still goes on.
    CancelDial {
        /// Number of the attempt.
        dial: u64,
    },
    /// Finish what is in flight on this session and close it: another one stays.
    Drain {
        /// The session.
        session: u64,
    },
}

/// Where a link stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkState {
    /// No session, and no address to dial.
    Waiting,
    /// A dial is under way.
    Dialing {
        /// Its number.
        dial: u64,
    },
    /// The last dial failed; the next one comes at this moment.
    BackingOff {
        /// When.
        until: Tick,
    },
    /// There is a session.
    Connected {
        /// Which.
        session: u64,
    },
}

/// One link.
#[derive(Debug)]
pub struct LinkCore {
    me: String,
    limits: LinkLimits,
    rng: Rng,
    addresses: Vec<SocketAddr>,
    next_address: usize,
    last_dial: u64,
    failures: u32,
    state: LinkState,
}

impl LinkCore {
    /// A link of machine `me`; `seed` decides the jitter.
    pub fn new(me: &str, limits: LinkLimits, seed: u64) -> Self {
        Self {
            me: me.to_owned(),
            limits,
            rng: Rng::new(seed),
            addresses: Vec::new(),
            next_address: 0,
            last_dial: 0,
            failures: 0,
            state: LinkState::Waiting,
        }
    }

    /// Where it stands.
    pub fn state(&self) -> LinkState {
        self.state
    }

    fn dial(&mut self, out: &mut Vec<LinkEffect>) {
        if self.addresses.is_empty() {
            self.state = LinkState::Waiting;
            return;
        }
        let to = self.addresses[self.next_address % self.addresses.len()];
        self.next_address = (self.next_address + 1) % self.addresses.len();
        self.last_dial += 1;
        self.state = LinkState::Dialing { dial: self.last_dial };
        out.push(LinkEffect::Dial { dial: self.last_dial, to });
    }

    fn back_off(&mut self, now: Tick) {
        let doubled = self.limits.first_wait.saturating_mul(1 << self.failures.min(16));
        self.failures = self.failures.saturating_add(1);
        let wait = self.rng.jitter(doubled.min(self.limits.longest_wait), self.limits.jitter_percent);
        self.state = LinkState::BackingOff { until: now + wait };
    }

    fn take_addresses(&mut self, addresses: Vec<SocketAddr>, out: &mut Vec<LinkEffect>) {
        if addresses == self.addresses {
            return;
        }
        self.addresses = addresses;
        self.next_address = 0;
        self.failures = 0;
        if let LinkState::Dialing { dial } = self.state {
            out.push(LinkEffect::CancelDial { dial });
        }
        if !matches!(self.state, LinkState::Connected { .. }) {
            self.dial(out);
        }
    }

    fn take_sessions(&mut self, now: Tick, claims: &[Claim], out: &mut Vec<LinkEffect>) {
        match preferred(claims, &self.me) {
            Some(stays) => {
                if let LinkState::Dialing { dial } = self.state {
                    out.push(LinkEffect::CancelDial { dial });
                }
                self.failures = 0;
                self.state = LinkState::Connected { session: stays };
                let others = claims.iter().map(|claim| claim.session).filter(|session| *session != stays);
                out.extend(others.map(|session| LinkEffect::Drain { session }));
            }
            None => {
                if matches!(self.state, LinkState::Connected { .. }) {
                    if self.addresses.is_empty() {
                        self.state = LinkState::Waiting;
                    } else {
                        // Both ends lose a session at the same moment: the jittered wait spreads their dials.
                        self.back_off(now);
                    }
                }
            }
        }
    }
}

impl Core for LinkCore {
    type Input = LinkInput;
    type Effect = LinkEffect;

    fn step(&mut self, now: Tick, input: LinkInput, out: &mut Vec<LinkEffect>) {
        match input {
            LinkInput::Addresses(addresses) => self.take_addresses(addresses, out),
            LinkInput::Sessions(claims) => self.take_sessions(now, &claims, out),
            LinkInput::DialEnded { dial, .. } if self.state != (LinkState::Dialing { dial }) => {}
            // A dial that ended well shows up among the sessions; if it does not, it was lost again at once.
            LinkInput::DialEnded { .. } => self.back_off(now),
        }
    }

    fn deadline(&self) -> Option<Tick> {
        match self.state {
            LinkState::BackingOff { until } => Some(until),
            _ => None,
        }
    }

    fn expire(&mut self, now: Tick, out: &mut Vec<LinkEffect>) {
        if self.deadline().is_some_and(|at| now >= at) {
            self.dial(out);
        }
    }
}

#[cfg(test)]
#[path = "core_test.rs"]
mod core_test;
