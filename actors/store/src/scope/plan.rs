//! What to do about the scope next, as a pure decision.

use trireme_raft::store::Leadership;

/// What is known.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Situation {
    /// Who leads.
    pub(crate) leadership: Leadership,
    /// Leadership is being handed over.
    pub(crate) yielding: bool,
    /// The term of the last applied entry.
    pub(crate) applied_term: u64,
    /// The term whose scope runs here.
    pub(crate) running: Option<u64>,
}

/// The next step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Stop what runs, then look again.
    Stop,
    /// Start the scope of this term.
    Start(u64),
    /// Wait until an entry of this term is applied, or something changes.
    WaitApplied,
    /// Wait until something changes.
    Rest,
}

/// A scope runs for exactly the term that this member leads, after its first entry was applied.
pub(crate) fn plan_scope(situation: Situation) -> Step {
    let Situation { leadership, yielding, applied_term, running } = situation;
    let wanted = (leadership.is_me && !yielding).then_some(leadership.term);
    match (running, wanted) {
        (Some(running), wanted) if wanted != Some(running) => Step::Stop,
        (None, Some(term)) if applied_term >= term => Step::Start(term),
        (None, Some(_)) => Step::WaitApplied,
        _ => Step::Rest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trireme_core::Rng;

    fn leads(term: u64, is_me: bool) -> Leadership {
        Leadership { term, leader: Some(1), is_me }
    }

    #[test]
    fn a_scope_waits_for_its_term_and_ends_with_it() {
        let mut at =
            Situation { leadership: leads(3, true), yielding: false, applied_term: 2, running: None };
        assert_eq!(plan_scope(at), Step::WaitApplied);
        at.applied_term = 3;
        assert_eq!(plan_scope(at), Step::Start(3));
        at.running = Some(3);
        assert_eq!(plan_scope(at), Step::Rest);
        assert_eq!(plan_scope(Situation { yielding: true, ..at }), Step::Stop);
        assert_eq!(plan_scope(Situation { leadership: leads(4, false), ..at }), Step::Stop);
        // Leads again, later: the old scope goes first.
        assert_eq!(plan_scope(Situation { leadership: leads(5, true), applied_term: 5, ..at }), Step::Stop);
    }

    /// Random lives of three members whose elections give each term one leader: no term ever has two scopes, and
    /// no scope starts before its term's first entry is applied.
    #[test]
    fn at_most_one_scope_acts_per_term() {
        for seed in 0..2_000 {
            let mut rng = Rng::new(seed);
            let mut leader_of: Vec<usize> = vec![usize::MAX];
            let mut started: Vec<Option<usize>> = vec![None];
            // What each member believes, and what runs there.
            let mut members = [(leads(0, false), false, 0_u64, None::<u64>); 3];
            for _ in 0..200 {
                let who = usize::try_from(rng.below(3)).unwrap();
                match rng.below(5) {
                    // An election: the others learn of it later, if ever.
                    0 => {
                        leader_of.push(who);
                        started.push(None);
                        members[who].0 = leads(leader_of.len() as u64 - 1, true);
                    }
                    1 => members[who].1 = !members[who].1,
                    // Applies what its newest leader wrote.
                    2 => members[who].2 = members[who].2.max(members[who].0.term),
                    3 => {
                        let newest = leader_of.len() - 1;
                        members[who].0 = leads(newest as u64, leader_of[newest] == who);
                    }
                    _ => {}
                }
                let (leadership, yielding, applied_term, running) = members[who];
                match plan_scope(Situation { leadership, yielding, applied_term, running }) {
                    Step::Stop => members[who].3 = None,
                    Step::Start(term) => {
                        let term_at = usize::try_from(term).unwrap();
                        assert!(applied_term >= term, "seed {seed}");
                        assert_eq!(leader_of[term_at], who, "seed {seed}");
                        assert!(started[term_at].is_none_or(|before| before == who), "seed {seed}");
                        assert!(running.is_none(), "seed {seed}");
                        started[term_at] = Some(who);
                        members[who].3 = Some(term);
                    }
                    Step::WaitApplied | Step::Rest => {}
                }
            }
        }
    }
}
