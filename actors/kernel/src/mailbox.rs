//! The queue of a slot: bounded inputs, a small control lane before them, and who may take from it.

use std::collections::VecDeque;
use std::task::Waker;
use std::time::Duration;

use trireme_core::supervision::Incarnation;

/// Above this capacity an emptied queue gives its memory back.
const KEEP_CAPACITY: usize = 64;

/// What goes before inputs and does not count against the capacity. Bounded by what is in flight: one stop, one
/// kill and one poke, as a second one that waits says nothing new; one completion per I/O task; per child of a
/// supervisor its declaration, its start, its end, and one request each to restart and to remove it.
pub(crate) enum Control<I> {
    Stop {
        incarnation: Incarnation,
        grace: Duration,
    },
    Kill {
        incarnation: Incarnation,
    },
    /// Lets the incarnation pass its fault point once, without an input.
    Poke {
        incarnation: Incarnation,
    },
    IoEnded {
        incarnation: Incarnation,
        id: u64,
        end: IoEnd<I>,
    },
    Report(I),
}

/// How an I/O task ended.
pub(crate) enum IoEnd<I> {
    Input(I),
    Nothing,
    Panicked(String),
}

/// Which controls wait of which one is enough.
#[derive(Default)]
struct Waits {
    stop: bool,
    kill: bool,
    poke: bool,
}

impl Waits {
    fn of<I>(&mut self, control: &Control<I>) -> Option<&mut bool> {
        match control {
            Control::Stop { .. } => Some(&mut self.stop),
            Control::Kill { .. } => Some(&mut self.kill),
            Control::Poke { .. } => Some(&mut self.poke),
            Control::IoEnded { .. } | Control::Report(_) => None,
        }
    }
}

pub(crate) struct Mailbox<I> {
    queue: VecDeque<I>,
    control: VecDeque<Control<I>>,
    waits: Waits,
    waker: Option<Waker>,
    owner: Option<Incarnation>,
    closed: bool,
    high_water: usize,
    /// Inputs ever taken; an input that was pushed as number n is held by an incarnation once `taken > n`.
    taken: u64,
    /// Senders waiting for room.
    pub(crate) waiting: usize,
}

/// What an incarnation gets when it asks for work.
pub(crate) enum Take<I> {
    Control(Control<I>),
    Input(I),
    Empty,
    /// Another incarnation owns the mailbox, or nobody does.
    Fenced,
}

/// Why an input was not accepted; it is handed back.
pub(crate) enum Refused<I> {
    Full(I),
    Closed(I),
}

/// What a mailbox held when it was closed, and the waker of whoever took from it, to be told.
pub(crate) struct Closed<I> {
    pub(crate) inputs: VecDeque<I>,
    pub(crate) controls: VecDeque<Control<I>>,
    pub(crate) waker: Option<Waker>,
}

impl<I> Mailbox<I> {
    pub(crate) fn new() -> Self {
        Self {
            queue: VecDeque::new(),
            control: VecDeque::new(),
            waits: Waits::default(),
            waker: None,
            owner: None,
            closed: false,
            high_water: 0,
            taken: 0,
            waiting: 0,
        }
    }

    /// Appends an input and gives back its number and the waker to call once the lock is released.
    pub(crate) fn push(&mut self, input: I, capacity: usize) -> Result<(u64, Option<Waker>), Refused<I>> {
        if self.closed {
            return Err(Refused::Closed(input));
        }
        if self.queue.len() >= capacity {
            return Err(Refused::Full(input));
        }
        let number = self.taken + self.queue.len() as u64;
        self.queue.push_back(input);
        self.high_water = self.high_water.max(self.queue.len());
        Ok((number, self.waker.take()))
    }

    pub(crate) fn control(&mut self, control: Control<I>) -> Option<Waker> {
        let stale = match &control {
            Control::Stop { incarnation, .. }
            | Control::Kill { incarnation }
            | Control::Poke { incarnation }
            | Control::IoEnded { incarnation, .. } => self.owner != Some(*incarnation),
            Control::Report(_) => self.closed,
        };
        let waits_already = self.waits.of(&control).is_some_and(|waits| *waits);
        if stale || waits_already {
            return None;
        }
        if let Some(waits) = self.waits.of(&control) {
            *waits = true;
        }
        if matches!(control, Control::Kill { .. }) {
            self.control.push_front(control);
        } else {
            self.control.push_back(control);
        }
        self.waker.take()
    }

    pub(crate) fn take(&mut self, incarnation: Incarnation, waker: &Waker) -> Take<I> {
        if self.owner != Some(incarnation) {
            return Take::Fenced;
        }
        if let Some(control) = self.control.pop_front() {
            if let Some(waits) = self.waits.of(&control) {
                *waits = false;
            }
            return Take::Control(control);
        }
        if let Some(input) = self.queue.pop_front() {
            self.taken += 1;
            return Take::Input(input);
        }
        if self.queue.capacity() > KEEP_CAPACITY {
            self.queue.shrink_to(0);
        }
        match &self.waker {
            Some(known) if known.will_wake(waker) => {}
            _ => self.waker = Some(waker.clone()),
        }
        Take::Empty
    }

    /// Makes `incarnation` the only one that may take. A closed mailbox stays without owner.
    pub(crate) fn own(&mut self, incarnation: Incarnation) {
        if self.closed {
            return;
        }
        self.owner = Some(incarnation);
        self.waker = None;
    }

    /// Ends `incarnation`'s ownership; `None` when it had none. What others sent stays; what was meant for
    /// it alone is handed out, to be dropped outside the lock.
    pub(crate) fn disown(&mut self, incarnation: Incarnation) -> Option<Vec<Control<I>>> {
        if self.owner != Some(incarnation) {
            return None;
        }
        self.owner = None;
        self.waker = None;
        self.waits = Waits::default();
        let (keep, drop) = std::mem::take(&mut self.control)
            .into_iter()
            .partition::<Vec<_>, _>(|control| matches!(control, Control::Report(_)));
        self.control = keep.into();
        Some(drop)
    }

    /// Refuses inputs from now on, ends the ownership, and hands out what is left, to be dropped outside the lock.
    pub(crate) fn close(&mut self) -> Closed<I> {
        self.closed = true;
        self.owner = None;
        Closed {
            inputs: std::mem::take(&mut self.queue),
            controls: std::mem::take(&mut self.control),
            waker: self.waker.take(),
        }
    }

    pub(crate) fn owner(&self) -> Option<Incarnation> {
        self.owner
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    pub(crate) fn depth(&self) -> usize {
        self.queue.len()
    }

    #[cfg(test)]
    pub(crate) fn controls(&self) -> usize {
        self.control.len()
    }

    pub(crate) fn high_water(&self) -> usize {
        self.high_water
    }

    pub(crate) fn taken(&self) -> u64 {
        self.taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_controls_wait_once() {
        let life = Incarnation(1);
        let mut mailbox: Mailbox<()> = Mailbox::new();
        mailbox.own(life);
        for round in 1..=2 {
            for _ in 0..1_000 {
                mailbox.control(Control::Stop { incarnation: life, grace: Duration::ZERO });
                mailbox.control(Control::Poke { incarnation: life });
                mailbox.control(Control::Kill { incarnation: life });
            }
            assert_eq!(mailbox.control.len(), 3, "round {round}");
            let order = [(); 3].map(|()| match mailbox.take(life, Waker::noop()) {
                Take::Control(Control::Kill { .. }) => "kill",
                Take::Control(Control::Stop { .. }) => "stop",
                Take::Control(Control::Poke { .. }) => "poke",
                _ => "other",
            });
            assert_eq!(order, ["kill", "stop", "poke"], "round {round}: what was taken may wait anew");
        }
        mailbox.control(Control::Kill { incarnation: life });
        mailbox.disown(life);
        mailbox.own(Incarnation(2));
        mailbox.control(Control::Kill { incarnation: Incarnation(2) });
        assert_eq!(mailbox.control.len(), 1, "a later incarnation has its own");
    }

    #[test]
    fn a_closed_mailbox_has_no_owner_and_gets_none() {
        let mut mailbox: Mailbox<()> = Mailbox::new();
        mailbox.own(Incarnation(1));
        assert!(matches!(mailbox.take(Incarnation(1), Waker::noop()), Take::Empty));
        assert!(mailbox.close().waker.is_some(), "whoever waits is told");
        assert!(matches!(mailbox.take(Incarnation(1), Waker::noop()), Take::Fenced));
        mailbox.own(Incarnation(2));
        assert!(matches!(mailbox.take(Incarnation(2), Waker::noop()), Take::Fenced));
    }
}
