//! [`PreVotes`]: who gives way when two members want to lead at the same moment.
//!
//! Members whose timers end in the same tick ask each other for a pre-vote, both say yes, both stand, each votes for
//! itself, and the cluster waits for another timer. Here one of them gives way: a member that asks for pre-votes itself
//! refuses members with a smaller id, and one that has just promised its vote does not ask. Refusing a pre-vote is
//! always safe; both marks last a moment only, so that a member which cannot win does not keep others from it.

use std::time::Duration;

use parking_lot::Mutex;

use crate::identity::MemberId;
use crate::rt::Instant;

/// How long a question or a promise counts: several round trips, a part of the time between two timers.
const MOMENT: Duration = Duration::from_millis(40);

/// The last question and the last promise of this member.
#[derive(Default)]
pub(super) struct PreVotes(Mutex<Marks>);

#[derive(Default)]
struct Marks {
    asked: Option<Instant>,
    promised: Option<Instant>,
}

fn is_fresh(mark: Option<Instant>, now: Instant) -> bool {
    mark.is_some_and(|at| now - at < MOMENT)
}

impl PreVotes {
    /// This member wants to ask for a pre-vote; false: it has just promised its own to another.
    pub(super) fn ask(&self, now: Instant) -> bool {
        let mut marks = self.0.lock();
        if is_fresh(marks.promised, now) {
            return false;
        }
        marks.asked = Some(now);
        true
    }

    /// Raft would promise `candidate` its vote; false: this member gives way to nobody below it.
    pub(super) fn promise(&self, now: Instant, me: MemberId, candidate: MemberId) -> bool {
        let mut marks = self.0.lock();
        if me > candidate && is_fresh(marks.asked, now) {
            return false;
        }
        marks.promised = Some(now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two members ask at once, whatever order their questions cross in: exactly one is promised what it asked for.
    #[test]
    fn of_two_that_ask_at_once_one_gives_way() {
        let start = Instant::now();
        // Milliseconds at which each asks; a question takes two to arrive.
        for (first, second) in [(0, 0), (0, 1), (1, 0), (0, 3), (3, 0), (0, 30), (30, 0)] {
            let (small, large) = (PreVotes::default(), PreVotes::default());
            let at = |ms: u64| start + Duration::from_millis(ms);
            // 0: the small one asks, 1: the large one asks, 2: small's question arrives, 3: large's.
            let mut events = [(first, 0), (second, 1), (first + 2, 2), (second + 2, 3)];
            events.sort_unstable();
            let (mut asked, mut promised) = ([false; 2], [false; 2]);
            for (ms, event) in events {
                match event {
                    0 => asked[0] = small.ask(at(ms)),
                    1 => asked[1] = large.ask(at(ms)),
                    2 => promised[0] = asked[0] && large.promise(at(ms), 2, 1),
                    _ => promised[1] = asked[1] && small.promise(at(ms), 1, 2),
                }
            }
            assert_eq!(promised.iter().filter(|yes| **yes).count(), 1, "{first} {second}: {promised:?}");
        }
    }

    #[test]
    fn marks_last_a_moment_only() {
        let (votes, start) = (PreVotes::default(), Instant::now());
        assert!(votes.ask(start));
        assert!(!votes.promise(start, 2, 1), "it asks itself");
        assert!(votes.promise(start, 2, 3), "a larger one goes first");
        assert!(!votes.ask(start + MOMENT / 2), "it has promised");
        assert!(votes.ask(start + MOMENT));
        assert!(votes.promise(start + MOMENT * 3, 2, 1));
    }
}
