//! Fencing: once a newer term wrote, no write that was decided under an older term takes effect.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Law, Record, Verdict};

/// A write of a leader-scope writer (a controller, the scheduler).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FencedWrite {
    /// Who wrote.
    pub writer: String,
    /// The term under which it was decided.
    pub term: u64,
    /// When it was called, in nanoseconds.
    pub call: u64,
    /// When its answer came; none if none came.
    pub returned: Option<u64>,
    /// Whether the writer was told that it took effect; none if the outcome is unknown.
    pub acknowledged: Option<bool>,
    /// What the log says of it; none if it never got there or the log was not recorded.
    pub logged: Option<FencedEntry>,
}

/// Where a fenced write stands in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FencedEntry {
    /// The log index.
    pub index: u64,
    /// The term of the leader that appended it.
    pub log_term: u64,
    /// Whether it took effect when it was applied.
    pub applied: bool,
}

/// Checks all fenced writes, by the log where it was recorded and by real time.
pub fn check(writes: &[FencedWrite]) -> Verdict {
    by_log(writes).or_else(|| by_real_time(writes)).unwrap_or(Verdict::Ok)
}

fn by_log(writes: &[FencedWrite]) -> Option<Verdict> {
    let mut entries: Vec<(FencedEntry, &FencedWrite)> =
        writes.iter().filter_map(|write| Some((write.logged?, write))).collect();
    entries.sort_by_key(|(entry, _)| entry.index);
    let mut newest: Option<(u64, &FencedWrite)> = None;
    for (entry, write) in entries {
        if write.acknowledged.is_some_and(|acknowledged| acknowledged != entry.applied) {
            let told =
                if entry.applied { "refused, but it took effect" } else { "done, but it had no effect" };
            return Some(broken(format!("the writer was told that the write was {told}"), &[write]));
        }
        if !entry.applied {
            continue;
        }
        if write.term > entry.log_term {
            let text =
                format!("a write of term {} was applied in the earlier term {}", write.term, entry.log_term);
            return Some(broken(text, &[write]));
        }
        if write.term < entry.log_term {
            let text =
                format!("a write of term {} was applied in the newer term {}", write.term, entry.log_term);
            return Some(broken(text, &[write]));
        }
        if let Some((term, newer)) = newest.filter(|(term, _)| *term > write.term) {
            let text = format!("a write of term {} was applied after one of term {term}", write.term);
            return Some(broken(text, &[newer, write]));
        }
        newest = Some((write.term, write));
    }
    None
}

/// Without the log: an acknowledged write called after a newer term's write had been acknowledged.
fn by_real_time(writes: &[FencedWrite]) -> Option<Verdict> {
    let mut acknowledged: Vec<(u64, &FencedWrite)> = writes
        .iter()
        .filter(|write| write.acknowledged == Some(true))
        .filter_map(|write| Some((write.returned?, write)))
        .collect();
    acknowledged.sort_by_key(|(returned, _)| *returned);
    let mut newest: Vec<(u64, &FencedWrite)> = Vec::new();
    for (returned, write) in &acknowledged {
        if newest.last().is_none_or(|(_, newest)| write.term > newest.term) {
            newest.push((*returned, write));
        }
    }
    acknowledged.iter().find_map(|(_, write)| {
        let before = newest.partition_point(|(returned, _)| *returned < write.call);
        let (_, newer) = newest[..before].last().filter(|(_, newer)| newer.term > write.term)?;
        let text = format!(
            "a write of term {} was acknowledged after one of term {} had been",
            write.term, newer.term
        );
        Some(broken(text, &[newer, write]))
    })
}

fn broken(explanation: String, writes: &[&FencedWrite]) -> Verdict {
    let history = writes.iter().map(|write| Record::Fenced((*write).clone())).collect();
    Verdict::broken(Law::Fencing, explanation, history)
}

impl fmt::Display for FencedWrite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} wrote under term {}", self.writer, self.term)?;
        f.write_str(match self.acknowledged {
            Some(true) => ", acknowledged",
            Some(false) => ", refused",
            None => ", outcome unknown",
        })?;
        if let Some(entry) = self.logged {
            let effect = if entry.applied { "applied" } else { "without effect" };
            write!(f, ", {effect} at index {} of term {}", entry.index, entry.log_term)?;
        }
        match self.returned {
            Some(returned) => write!(f, " (called {}, returned {returned})", self.call),
            None => write!(f, " (called {}, never returned)", self.call),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate::mix;

    fn write(term: u64, call: u64, logged: Option<(u64, u64, bool)>) -> FencedWrite {
        let acknowledged = Some(logged.is_none_or(|(_, _, applied)| applied));
        let logged = logged.map(|(index, log_term, applied)| FencedEntry { index, log_term, applied });
        FencedWrite { writer: "c".to_owned(), term, call, returned: Some(call + 1), acknowledged, logged }
    }

    fn history(seed: u64) -> Vec<FencedWrite> {
        let mut term = 1;
        (1..60)
            .map(|index| {
                let roll = mix(seed * 977 + index);
                term += u64::from(roll.is_multiple_of(8));
                let old = roll.is_multiple_of(5) && term > 1;
                let mut write = write(term - u64::from(old), index * 3, Some((index, term, !old)));
                if roll.is_multiple_of(11) {
                    write.acknowledged = None;
                    write.returned = None;
                }
                write
            })
            .collect()
    }

    #[test]
    fn correct_histories_pass_and_an_accepted_old_write_is_caught() {
        let mut planted = 0;
        for seed in 0..1_000 {
            let mut history = history(seed);
            assert!(check(&history).is_ok(), "seed {seed}");
            let refused = history.iter_mut().find(|write| write.logged.is_some_and(|entry| !entry.applied));
            let Some(refused) = refused else { continue };
            refused.logged = refused.logged.map(|entry| FencedEntry { applied: true, ..entry });
            refused.acknowledged = refused.acknowledged.map(|_| true);
            planted += 1;
            let verdict = check(&history);
            assert_eq!(verdict.violation().expect("caught").law, Law::Fencing);
        }
        assert!(planted > 900);
    }

    #[test]
    fn the_log_is_held_against_the_acknowledgement() {
        let mut lied = write(1, 0, Some((1, 1, false)));
        lied.acknowledged = Some(true);
        assert!(check(&[lied]).violation().is_some());
    }

    #[test]
    fn real_time_suffices_without_a_log() {
        let history = [write(2, 0, None), write(1, 5, None)];
        assert_eq!(check(&history).violation().expect("violation").history.len(), 2);
        let overlapping = [write(2, 0, None), write(1, 1, None)];
        assert!(check(&overlapping).is_ok(), "concurrent writes may be applied in either order");
    }

    #[test]
    fn a_write_of_a_term_to_come_is_found() {
        assert!(check(&[write(5, 0, Some((1, 4, true)))]).violation().is_some());
    }
}
