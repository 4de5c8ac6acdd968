//! [`Gate`]: closed while this member hands leadership over, so that the log stands still and the successor can have
//! all of it. Whoever finds it closed has changed nothing and asks again.

use std::sync::atomic::{AtomicBool, Ordering};

/// See the module. Open at first.
#[derive(Default)]
pub(super) struct Gate(AtomicBool);

impl Gate {
    pub(super) fn is_closed(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    /// Closes it for as long as the result lives; none if somebody else has.
    pub(super) fn close(&self) -> Option<Closed<'_>> {
        (!self.0.swap(true, Ordering::AcqRel)).then_some(Closed(self))
    }
}

/// Opens the gate when dropped.
pub(super) struct Closed<'a>(&'a Gate);

impl Drop for Closed<'_> {
    fn drop(&mut self) {
        self.0.0.store(false, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_closes_it_and_it_opens_again() {
        let gate = Gate::default();
        let closed = gate.close();
        assert!(closed.is_some() && gate.is_closed() && gate.close().is_none());
        drop(closed);
        assert!(!gate.is_closed());
    }
}
