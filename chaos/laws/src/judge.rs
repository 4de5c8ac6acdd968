//! All laws over one history.

use crate::{Action, History, Law, Limits, Verdict};
use crate::{convergence, fencing, list_append, register, revisions, set, state_hash, watch};

/// What one law says of a history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The law.
    pub law: Law,
    /// How many records it had to judge. A law without records proves nothing, and is left out of [`judge`].
    pub records: usize,
    /// Its verdict.
    pub verdict: Verdict,
}

/// Checks every law for which the history has records.
///
/// A caller that counts on a law must look for its finding: a law without records is not in the answer.
pub fn judge(history: &History, limits: &Limits) -> Vec<Finding> {
    let operations = &history.operations;
    let count = |matches: fn(&Action) -> bool| operations.iter().filter(|op| matches(&op.action)).count();
    let registers = count(|action| {
        matches!(action, Action::Read | Action::Write { .. } | Action::Cas { .. } | Action::Delete { .. })
    });
    let lists = count(|action| {
        matches!(action, Action::Append { .. } | Action::ReadList | Action::Transaction { .. })
    });
    let sets = count(|action| matches!(action, Action::Add { .. } | Action::ReadSet));
    let revisions = operations.iter().filter(|operation| operation.revision().is_some()).count();
    let (watches, log) = (&history.watches[..], &history.log[..]);

    let mut findings = Vec::new();
    let mut add = |law, records: usize, check: &dyn Fn() -> Verdict| {
        if records > 0 {
            findings.push(Finding { law, records, verdict: check() });
        }
    };
    add(Law::RegisterLinearizable, registers, &|| register::check(operations, limits));
    add(Law::ListAppend, lists, &|| list_append::check(operations, limits));
    add(Law::Set, sets, &|| set::check(operations));
    add(Law::Revisions, revisions, &|| revisions::check(operations));
    add(Law::WatchOrdered, watches.len(), &|| watch::ordered::check(watches, log));
    add(Law::WatchUnique, watches.len(), &|| watch::unique::check(watches, log));
    add(Law::WatchAtomic, watches.len(), &|| watch::atomic::check(watches, log));
    add(Law::WatchReliable, watches.len(), &|| watch::reliable::check(watches, log));
    add(Law::WatchResumable, watches.len(), &|| watch::resumable::check(watches, log));
    add(Law::WatchBookmarkable, watches.len(), &|| watch::bookmarkable::check(watches, log));
    add(Law::Fencing, history.fenced.len(), &|| fencing::check(&history.fenced));
    add(Law::StateHash, history.hashes.len(), &|| state_hash::check(&history.hashes));
    add(Law::Convergence, history.finals.len(), &|| convergence::check(&history.finals, operations));
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate;
    use crate::state_hash::HashSample;

    #[test]
    fn every_law_with_records_is_checked_and_no_other() {
        let mut operations = generate::register(1, 200, 4, 3);
        operations.extend(generate::set(1, 100, 4));
        let mut history = History { operations, ..History::default() };
        history.hashes.push(HashSample { member: 1, at: 0, index: 1, hash: 1 });
        let findings = judge(&history, &Limits::default());
        let laws: Vec<Law> = findings.iter().map(|finding| finding.law).collect();
        assert_eq!(laws, [Law::RegisterLinearizable, Law::Set, Law::Revisions, Law::StateHash]);
        assert!(findings.iter().all(|finding| finding.verdict.is_ok()));
        history.hashes.push(HashSample { member: 2, at: 0, index: 1, hash: 2 });
        let findings = judge(&history, &Limits::default());
        assert_eq!(findings.iter().filter(|finding| !finding.verdict.is_ok()).count(), 1);
    }
}
